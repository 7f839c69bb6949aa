package oidc

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// nobody is a directory of people who are not there.
type nobody struct{}

func (nobody) Find(context.Context, string) (id.User, error) {
	return "", errs.New(errs.NotFound, "", nil)
}
func (nobody) Tell(context.Context, id.User, oauth.Asking) error { return nil }

// asking gives an engine what backchannel authentication needs.
func asking(d *oauth.Deps) {
	d.Directory, d.Ping = nobody{}, fetch.New(fetch.Options{})
	d.Outbox = must(outbox.New(outbox.Deps{DB: d.DB, Clock: d.Clock, Seal: d.Seal, Audit: d.Audit, Log: d.Log}))
}

// CIBA §4: what discovery says, also of the address for certificates; nothing where nobody can be asked.
func TestDiscovery_CIBA(t *testing.T) {
	t.Parallel()
	read := func(edits ...func(*oauth.Deps)) map[string]any {
		return bodyOf(t, newRig(t, nil, edits...).do("GET", pathConfiguration, nil, nil))
	}
	m := read(asking, func(d *oauth.Deps) { d.Policy.Certificates, d.Policy.MTLS = true, "https://mtls.test" })
	modes, _ := m["backchannel_token_delivery_modes_supported"].([]any)
	algs, _ := m["backchannel_authentication_request_signing_alg_values_supported"].([]any)
	aliases, _ := m["mtls_endpoint_aliases"].(map[string]any)
	if m["backchannel_authentication_endpoint"] != issuer+"/oauth2/bc-authorize" || !slices.Equal(modes, []any{"poll", "ping"}) ||
		!slices.Contains(algs, any("PS256")) || slices.Contains(algs, any("none")) || m["backchannel_user_code_parameter_supported"] != false ||
		aliases["backchannel_authentication_endpoint"] != "https://mtls.test/oauth2/bc-authorize" ||
		!slices.Contains(m["grant_types_supported"].([]any), any(client.GrantCIBA)) {
		t.Errorf("%v", m)
	}
	m = read()
	for _, name := range []string{
		"backchannel_authentication_endpoint", "backchannel_token_delivery_modes_supported",
		"backchannel_authentication_request_signing_alg_values_supported", "backchannel_user_code_parameter_supported",
	} {
		if _, found := m[name]; found {
			t.Errorf("%s although nobody can be asked", name)
		}
	}
}

// The door is that of all protocol endpoints, and not for browsers; the statuses are those of CIBA §13.
func TestBackchannelEndpoint_Door(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, asking)
	meta := client.Defaults(client.Web)
	meta.GrantTypes, meta.RedirectURIs = append(meta.GrantTypes, client.GrantCIBA), []string{"https://bank.example/cb"}
	c, secret, err := r.clients.Create(t.Context(), client.NewClient{Name: "Bank", Kind: client.Web, Metadata: meta})
	check(t, err)
	form := url.Values{"scope": {"openid"}, "login_hint": {"nobody"}}
	as := func(edit func(*http.Request)) func(*http.Request) {
		return func(req *http.Request) {
			req.SetBasicAuth(string(c.ID), secret.Reveal())
			if edit != nil {
				edit(req)
			}
		}
	}
	plain, plainSecret := r.client(client.Web)
	for name, tc := range map[string]struct {
		resp   *http.Response
		status int
		code   string
	}{
		"unknown": {r.do("POST", pathBackchannel, form, as(func(req *http.Request) { req.Header.Set("Origin", "https://evil.test") })), 400, oauth.UnknownUserID},
		"message": {r.do("POST", pathBackchannel, url.Values{"scope": {"openid"}, "login_hint": {"x"}, "binding_message": {"\u202e"}}, as(nil)), 400, oauth.InvalidBindingMessage},
		"query":   {r.do("POST", pathBackchannel+"?scope=openid", form, as(nil)), 400, oauth.InvalidRequest},
		"json":    {r.do("POST", pathBackchannel, form, as(func(req *http.Request) { req.Header.Set("Content-Type", "application/json") })), 415, oauth.InvalidRequest},
		"nobody":  {r.do("POST", pathBackchannel, form, nil), 401, oauth.InvalidClient},
		"secret":  {r.do("POST", pathBackchannel, form, func(req *http.Request) { req.SetBasicAuth(string(c.ID), "wrong") }), 401, oauth.InvalidClient},
		"another": {r.do("POST", pathBackchannel, form, func(req *http.Request) { req.SetBasicAuth(string(plain), plainSecret) }), 400, oauth.UnauthorizedClient},
		"twice":   {r.do("POST", pathBackchannel, url.Values{"scope": {"openid", "openid"}}, as(nil)), 400, oauth.InvalidRequest},
	} {
		body := bodyOf(t, tc.resp)
		if tc.resp.StatusCode != tc.status || body["error"] != tc.code || tc.resp.Header.Get("Cache-Control") != "no-store" || tc.resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v %v", name, tc.resp.StatusCode, body, tc.resp.Header)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS"} {
		if resp := r.do(method, pathBackchannel, nil, nil); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
}

// With the store down the answer is 503, never that somebody is unknown.
func TestBackchannelEndpoint_StoreDown(t *testing.T) {
	t.Parallel()
	for n := int64(1); n <= 2; n++ {
		r := newRig(t, func(db *store.DB) *store.DB {
			down, _ := storetest.FailAt(db, n, storetest.Before)
			return down
		}, asking)
		meta := client.Defaults(client.Web)
		meta.GrantTypes, meta.RedirectURIs = append(meta.GrantTypes, client.GrantCIBA), []string{"https://bank.example/cb"}
		c, secret, err := r.clients.Create(t.Context(), client.NewClient{Name: "Bank", Kind: client.Web, Metadata: meta})
		check(t, err)
		resp := r.do("POST", pathBackchannel, url.Values{"scope": {"openid"}, "login_hint": {"nobody"}}, func(req *http.Request) { req.SetBasicAuth(string(c.ID), secret.Reveal()) })
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%d: %d %v", n, resp.StatusCode, bodyOf(t, resp))
		}
	}
}
