package apptest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// RP is an application. Its state, nonce and code verifier are those of the last AuthURL.
type RP struct {
	ID       id.Client
	Secret   string // "" for a public client
	Redirect string
	Scope    string
	State    string
	Nonce    string
	Verifier string

	t   testing.TB
	app *App
}

// RedirectURI is where applications of RP return to. Nobody listens there.
const RedirectURI = "https://app.example/callback"

// RP registers an application. change edits its metadata, starting from the kind's defaults
// with RedirectURI and https://app.example/ after logout.
func (a *App) RP(t testing.TB, kind client.Kind, change ...func(*client.Metadata)) *RP {
	t.Helper()
	m := client.Defaults(kind)
	if kind != client.Machine {
		m.RedirectURIs = []string{RedirectURI}
		m.PostLogoutRedirectURIs = []string{"https://app.example/"}
	}
	for _, c := range change {
		c(&m)
	}
	c, secret, err := a.Clients.Create(t.Context(), client.NewClient{Name: "Test application", Kind: kind, Metadata: m})
	if err != nil {
		t.Fatalf("create client: %v", err)
	}
	rp := &RP{ID: c.ID, Secret: secret.Reveal(), Scope: "openid profile email offline_access", t: t, app: a}
	if len(m.RedirectURIs) > 0 {
		rp.Redirect = m.RedirectURIs[0]
	}
	return rp
}

// Known is an application that is not registered by RP: one that registered itself, say.
func (a *App) Known(t testing.TB, cid, secret, redirect, scope string) *RP {
	t.Helper()
	return &RP{ID: id.Client(cid), Secret: secret, Redirect: redirect, Scope: scope, t: t, app: a}
}

// FirstParty is a change for RP: nobody is asked for consent.
func FirstParty(m *client.Metadata) { m.FirstParty = true }

// Use makes the application talk to another instance from now on.
func (rp *RP) Use(a *App) { rp.app = a }

// AuthURL returns the address of a new authorization request. params are added: name, value, …;
// an empty value removes the parameter.
func (rp *RP) AuthURL(params ...string) string {
	return rp.app.URL + "/oauth2/authorize?" + rp.AuthParams(params...).Encode()
}

// AuthParams is AuthURL for a POST.
func (rp *RP) AuthParams(params ...string) url.Values {
	rp.State, rp.Nonce, rp.Verifier = rand.Text(), rand.Text(), rand.Text()+rand.Text()
	sum := sha256.Sum256([]byte(rp.Verifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {string(rp.ID)}, "redirect_uri": {rp.Redirect}, "scope": {rp.Scope},
		"state": {rp.State}, "nonce": {rp.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(params); i += 2 {
		v.Set(params[i], params[i+1])
		if params[i+1] == "" {
			v.Del(params[i])
		}
	}
	return v
}

// Answer is what an endpoint answered.
type Answer struct {
	Status           int
	Header           http.Header
	Body             string
	AccessToken      string `json:"access_token"`
	IDToken          string `json:"id_token"`
	RefreshToken     string `json:"refresh_token"`
	TokenType        string `json:"token_type"`
	Scope            string `json:"scope"`
	ExpiresIn        int    `json:"expires_in"`
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
}

// Claims decodes a JWT without verifying it.
func Claims(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// JSON decodes the body.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return m
}

// Exchange takes the code of the redirect that the browser rests at to the token endpoint. It
// fails the test if the redirect is an error, has another state or another issuer.
func (rp *RP) Exchange(p *Page) Answer {
	rp.t.Helper()
	code := rp.Code(p)
	a := rp.Redeem(code)
	if a.Status != http.StatusOK {
		rp.t.Fatalf("code exchange: %d %s", a.Status, a.Body)
	}
	return a
}

// Code checks the redirect and returns its code.
func (rp *RP) Code(p *Page) string {
	rp.t.Helper()
	switch {
	case !p.Left():
		rp.t.Fatalf("the browser is still at the provider:\n%s", p)
	case p.Query("error") != "":
		rp.t.Fatalf("the application got %s: %s", p.Query("error"), p.Query("error_description"))
	case p.Query("state") != rp.State:
		rp.t.Fatalf("state %q, want %q", p.Query("state"), rp.State)
	case p.Query("iss") != rp.app.URL: // RFC 9207 §2
		rp.t.Fatalf("iss %q, want %q", p.Query("iss"), rp.app.URL)
	}
	return p.Query("code")
}

// Redeem exchanges a code and returns whatever the answer is.
func (rp *RP) Redeem(code string, params ...string) Answer {
	rp.t.Helper()
	return rp.Token(append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", rp.Redirect, "code_verifier", rp.Verifier}, params...)...)
}

// Refresh exchanges a refresh token and returns whatever the answer is.
func (rp *RP) Refresh(token string, params ...string) Answer {
	rp.t.Helper()
	return rp.Token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, params...)...)
}

// Token posts to the token endpoint as this client.
func (rp *RP) Token(params ...string) Answer {
	rp.t.Helper()
	return rp.Post("/oauth2/token", params...)
}

// Introspect asks what a token is worth.
func (rp *RP) Introspect(token string) map[string]any {
	rp.t.Helper()
	return rp.Post("/oauth2/introspect", "token", token).JSON(rp.t)
}

// Post posts a form as this client: a confidential one by client_secret_basic. It is safe to
// call from several goroutines.
func (rp *RP) Post(path string, params ...string) Answer {
	rp.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	if rp.Secret == "" {
		v.Set("client_id", string(rp.ID))
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(rp.t.Context()), http.MethodPost, rp.app.URL+path, strings.NewReader(v.Encode()))
	if err != nil {
		rp.t.Error(err)
		return Answer{}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rp.Secret != "" { // RFC 6749 §2.3.1: both parts are form-encoded
		req.SetBasicAuth(url.QueryEscape(string(rp.ID)), url.QueryEscape(rp.Secret))
	}
	return rp.do(req)
}

// Userinfo asks about the person of an access token.
func (rp *RP) Userinfo(token string) Answer {
	rp.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(rp.t.Context()), http.MethodGet, rp.app.URL+"/oauth2/userinfo", nil)
	if err != nil {
		rp.t.Error(err)
		return Answer{}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return rp.do(req)
}

func (rp *RP) do(req *http.Request) Answer {
	rp.t.Helper()
	resp, err := rp.app.Client().Do(req)
	if err != nil {
		rp.t.Error(err)
		return Answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		rp.t.Error(err)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	_ = json.Unmarshal(body, &a) // not every answer is JSON
	return a
}
