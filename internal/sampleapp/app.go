// Package sampleapp is the application that `signet dev` starts beside the provider: a small
// relying party like any other, which knows only the issuer's URL and its own client
// credentials and imports nothing of Signet. It signs people in with the authorization code
// flow (PKCE, state, nonce), verifies the ID token through discovery and JWKS, shows what it
// got, refreshes, and logs out. Read it as an example: every check an application owes is here.
package sampleapp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Options is all that the application knows.
type Options struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	URL          string // its own address, without a trailing slash
}

// Paths that are registered with the provider.
const (
	CallbackPath   = "/callback"
	PostLogoutPath = "/"
)

// Scopes is what the application asks for: the person, and access while they are away.
var Scopes = []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}

// App is the application. It keeps everything in memory: a restart signs everybody out.
type App struct {
	o        Options
	host     string // of its own address
	http     *http.Client
	mux      *http.ServeMux
	sessions sessions

	mu       sync.Mutex
	provider *provider
}

// provider is what discovery told.
type provider struct {
	*oidc.Provider
	oauth      oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string
}

// New returns the application. The provider need not run yet: discovery waits for the first
// login.
func New(o Options) (*App, error) {
	if o.Issuer == "" || o.ClientID == "" || o.ClientSecret == "" || o.URL == "" {
		return nil, errors.New("sampleapp: issuer, client id, client secret and URL are required")
	}
	own, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("sampleapp: %w", err)
	}
	a := &App{o: o, host: own.Host, http: &http.Client{Timeout: 10 * time.Second}, mux: http.NewServeMux(), sessions: sessions{byID: map[string]*visitor{}}}
	a.mux.HandleFunc("GET /{$}", a.home)
	a.mux.HandleFunc("GET /style.css", style)
	a.mux.HandleFunc("POST /login", a.login)
	a.mux.HandleFunc("GET "+CallbackPath, a.callback)
	a.mux.HandleFunc("POST /refresh", a.refresh)
	a.mux.HandleFunc("POST /logout", a.logout)
	return a, nil
}

// ServeHTTP answers a request. Forms are accepted from our own pages only.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Browsers apply form-action to the redirect that follows a form: ours lead to the issuer.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self' "+a.o.Issuer+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	// People return from the provider to the registered address, and cookies belong to one name:
	// who opened 127.0.0.1 instead of localhost must begin there too.
	if r.Host != a.host {
		http.Redirect(w, r, a.o.URL+"/", http.StatusSeeOther)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	http.NewCrossOriginProtection().Handler(a.mux).ServeHTTP(w, r)
}

// discover reads the provider's metadata once; a failure is tried again at the next login.
func (a *App) discover(ctx context.Context) (*provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider != nil {
		return a.provider, nil
	}
	// The key set keeps the context beyond this request.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), a.http), a.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var meta struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := p.Claims(&meta); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	a.provider = &provider{
		Provider:   p,
		verifier:   p.Verifier(&oidc.Config{ClientID: a.o.ClientID}),
		endSession: meta.EndSession,
		oauth: oauth2.Config{
			ClientID: a.o.ClientID, ClientSecret: a.o.ClientSecret, Endpoint: endpoint,
			RedirectURL: a.o.URL + CallbackPath, Scopes: Scopes,
		},
	}
	return a.provider, nil
}

func (a *App) home(w http.ResponseWriter, r *http.Request) {
	v := a.sessions.find(r)
	if v == nil {
		render(w, http.StatusOK, view{Issuer: a.o.Issuer})
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	render(w, http.StatusOK, view{Issuer: a.o.Issuer, Login: v.login})
}

// login sends the browser to the provider. State, nonce and code verifier stay here, bound to
// this browser by its cookie.
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	p, err := a.discover(r.Context())
	if err != nil {
		a.failed(w, http.StatusBadGateway, err)
		return
	}
	t := attempt{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	a.sessions.findOrMake(w, r).begin(t)
	http.Redirect(w, r, p.oauth.AuthCodeURL(t.state, oidc.Nonce(t.nonce), oauth2.S256ChallengeOption(t.verifier)), http.StatusSeeOther)
}

// callback receives the authorization response. Each check refuses one attack: state a forged
// response, iss a mix-up of providers, PKCE and nonce a stolen or injected code.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := a.sessions.find(r)
	if v == nil {
		a.failed(w, http.StatusBadRequest, errors.New("this browser has not begun a login here"))
		return
	}
	t, ok := v.end(q.Get("state"))
	if !ok {
		a.failed(w, http.StatusBadRequest, errors.New("the state is not one of this browser's"))
		return
	}
	if subtle.ConstantTimeCompare([]byte(q.Get("iss")), []byte(a.o.Issuer)) != 1 { // RFC 9207 §2.4
		a.failed(w, http.StatusBadRequest, errors.New("the response comes from another issuer"))
		return
	}
	if code := q.Get("error"); code != "" {
		a.failed(w, http.StatusForbidden, fmt.Errorf("the provider answered %s: %s", code, q.Get("error_description")))
		return
	}
	p, err := a.discover(r.Context())
	if err != nil {
		a.failed(w, http.StatusBadGateway, err)
		return
	}
	ctx := oidc.ClientContext(r.Context(), a.http)
	token, err := p.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(t.verifier))
	if err != nil {
		a.failed(w, http.StatusBadGateway, fmt.Errorf("code exchange: %w", err))
		return
	}
	l, err := p.verify(ctx, token, t.nonce)
	if err != nil {
		a.failed(w, http.StatusBadGateway, err)
		return
	}
	a.sessions.signIn(w, r, l)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// verify checks the ID token (OIDC Core §3.1.3.7: signature, iss, aud, exp by the library,
// nonce by us) and asks who the person is.
func (p *provider) verify(ctx context.Context, token *oauth2.Token, nonce string) (*login, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the answer has no ID token")
	}
	idToken, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("the nonce of the ID token is not ours")
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	if info.Subject != idToken.Subject { // OIDC Core §5.3.2
		return nil, errors.New("userinfo is about somebody else")
	}
	l := &login{token: token, idToken: raw, subject: idToken.Subject, Refreshable: token.RefreshToken != ""}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	for _, name := range []string{"name", "preferred_username", "email", "sub"} {
		if s, ok := claims[name].(string); ok && l.Name == "" {
			l.Name = s
		}
	}
	l.UserInfo = pretty(claims)
	l.IDHeader, l.ID = decode(raw)
	l.AccessHeader, l.Access = decode(token.AccessToken)
	return l, nil
}

// refresh exchanges the refresh token for new tokens.
func (a *App) refresh(w http.ResponseWriter, r *http.Request) {
	v := a.sessions.find(r)
	if v == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	p, err := a.discover(r.Context())
	if err != nil {
		a.failed(w, http.StatusBadGateway, err)
		return
	}
	v.mu.Lock() // two clicks must not spend one refresh token twice
	defer v.mu.Unlock()
	if v.login == nil || !v.login.Refreshable {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	ctx := oidc.ClientContext(r.Context(), a.http)
	old := &oauth2.Token{RefreshToken: v.login.token.RefreshToken} // no access token: a refresh for sure
	token, err := p.oauth.TokenSource(ctx, old).Token()
	if err != nil {
		v.login.Refreshable = false
		a.failed(w, http.StatusBadGateway, fmt.Errorf("refresh: %w", err))
		return
	}
	l, err := p.verify(ctx, token, "")
	if err == nil && l.subject != v.login.subject { // OIDC Core §12.2
		err = errors.New("the refreshed ID token is about somebody else")
	}
	if err != nil {
		a.failed(w, http.StatusBadGateway, err)
		return
	}
	l.Refreshed = v.login.Refreshed + 1
	v.login = l
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout ends our session, then asks the provider to end its own (RP-Initiated Logout §2).
func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	hint := a.sessions.signOut(w, r)
	p, err := a.discover(r.Context())
	if err != nil || p.endSession == "" || hint == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	q := url.Values{"id_token_hint": {hint}, "client_id": {a.o.ClientID}, "post_logout_redirect_uri": {a.o.URL + PostLogoutPath}}
	http.Redirect(w, r, p.endSession+"?"+q.Encode(), http.StatusSeeOther)
}

func (a *App) failed(w http.ResponseWriter, status int, err error) {
	render(w, status, view{Issuer: a.o.Issuer, Problem: err.Error()})
}

// decode shows what is in a JWT. The ID token was verified before; an access token is for an
// API to verify, an application only carries it.
func decode(token string) (header, claims string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", ""
	}
	return prettyPart(parts[0]), prettyPart(parts[1])
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

type view struct {
	Issuer  string
	Login   *login
	Problem string
}

func render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, v) // fails only when the browser has gone
}

//go:embed style.css
var styleText []byte

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(styleText)
}
