package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/html"

	browser "signet/test/rig"
)

// Plans of FAPI-CIBA: the suite asks somebody who is not in front of it, and calls decideURL to have
// the person say yes or no. The person is here, and answers on the provider's pages like everybody.

const (
	decidePath = "/decide"
	decideURL  = "https://" + issuerHost + ":9445" + decidePath + "?action={action}&person="
	askedPath  = "/account/requests"

	passwordOnly = "urn:signet:acr:1fa" // how the person signs in
)

// ciba is the plan for a mode of delivery and a way in which clients authenticate.
func ciba(mode, authentication string) plan {
	key := "ciba-" + mode + "-" + strings.ReplaceAll(authentication, "private_key_", "")
	return plan{key: key, name: "fapi-ciba-id1-test-plan", algorithm: "PS256", variant: choices{
		"fapi_ciba_profile": "plain_fapi", "ciba_mode": mode, "client_auth_type": authentication, "client_registration": "static_client"}}
}

func (p plan) ciba() bool { return p.variant["ciba_mode"] != "" }

// person signs in in the plan's modules. Who is asked elsewhere has nothing to do with other plans.
func (p plan) person() string {
	if p.ciba() {
		return p.key
	}
	return user
}

// people are those of all plans.
func people(plans []plan) []string {
	names := []string{user}
	for _, p := range plans {
		if !slices.Contains(names, p.person()) {
			names = append(names, p.person())
		}
	}
	return names
}

// cibaClient is a client of such a plan. FAPI-CIBA is of the time of FAPI 1: bound to certificates always,
// with assertions made out to endpoints, so that the client is under no profile of FAPI 2.0.
func cibaClient(p plan, id, name string, public map[string]any) map[string]any {
	metadata := map[string]any{
		"backchannel_token_delivery_mode":                p.variant["ciba_mode"],
		"backchannel_authentication_request_signing_alg": p.algorithm,
		"tls_client_certificate_bound_access_tokens":     true,
	}
	if p.variant["ciba_mode"] == "ping" {
		metadata["backchannel_client_notification_endpoint"] = p.endpoint() + "/ciba-notification-endpoint"
	}
	c := map[string]any{
		"id": id, "name": name, "kind": "web", "jwks": public, "token_endpoint_auth_method": "private_key_jwt",
		"grant_types": []string{"urn:openid:params:grant-type:ciba", "refresh_token"},
		"scopes":      append([]string{resourceScope}, allScopes...), "metadata": metadata,
	}
	if p.variant["client_auth_type"] == "mtls" {
		byCertificate(c, metadata, id)
	} else {
		metadata["token_endpoint_auth_signing_alg"] = p.algorithm
	}
	return c
}

// approver is the people whom applications ask.
type approver struct {
	transport http.RoundTripper
	mu        sync.Mutex
	people    map[string]*asked
}

// asked is one of them.
type asked struct {
	mu      sync.Mutex
	name    string
	browser *browser.Person
}

func newApprover(a *authority) *approver {
	p := &approver{transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}}
	p.forget()
	return p
}

// forget is for a provider that starts from nothing: nobody is signed in there.
func (a *approver) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.people = map[string]*asked{}
}

func (a *approver) named(name string) *asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.people[name] == nil {
		a.people[name] = &asked{name: name, browser: browser.NewPerson(issuer).Over(a.transport)}
	}
	return a.people[name]
}

func (a *approver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if err := a.named(query.Get("person")).decide(query.Get("action")); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// decide answers the newest request: a plan's modules run one at a time, but some leave theirs undecided.
func (a *asked) decide(action string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if action != "allow" && action != "deny" {
		return fmt.Errorf("an unknown action %q", action)
	}
	if err := a.visit(issuer + askedPath); err != nil {
		return err
	}
	newest := lastLink(a.browser.Text, askedPath+"/")
	if newest == "" {
		return errors.New("nobody asks")
	}
	if err := a.visit(issuer + newest); err != nil {
		return err
	}
	_, err := a.browser.Press("answer", action)
	if err == nil && a.browser.Status >= http.StatusBadRequest {
		err = fmt.Errorf("the answer was refused (%d):\n%s", a.browser.Status, a.browser.Text)
	}
	return err
}

// visit goes to a page, and signs in where that is asked for.
func (a *asked) visit(to string) error {
	_, err := a.browser.Visit(to)
	for step := 0; err == nil && strings.Contains(a.browser.Text, `name="password"`); step++ {
		if step == 3 {
			return fmt.Errorf("signed in, and asked again:\n%s", a.browser.Text)
		}
		credentials := url.Values{"password": {password}}
		if strings.Contains(a.browser.Text, `name="identifier"`) {
			credentials.Set("identifier", a.name)
		}
		_, err = a.browser.Submit(credentials)
	}
	return err
}

// lastLink is the last link on a page that leads below a path; "" for none.
func lastLink(page, below string) (last string) {
	z := html.NewTokenizer(strings.NewReader(page))
	for z.Next() != html.ErrorToken {
		t := z.Token()
		for _, a := range t.Attr {
			if t.Data == "a" && a.Key == "href" && strings.HasPrefix(a.Val, below) {
				last = a.Val
			}
		}
	}
	return last
}
