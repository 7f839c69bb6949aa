// Command go-web is a web application whose login is a redirect to Signet. It keeps its own
// sessions in memory; go-oidc and x/oauth2 do the protocol (PKCE, state, nonce, signature,
// issuer and audience checks).
package main

import (
	"cmp"
	"context"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	base := "http://localhost:" + cmp.Or(os.Getenv("PORT"), "4002")
	w, err := newWeb(ctx, os.Getenv("ISSUER"), base, os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.home)
	mux.HandleFunc("GET /login", w.login)
	mux.HandleFunc("GET /callback", w.callback)
	mux.HandleFunc("POST /logout", w.logout)

	address, err := url.Parse(base)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: address.Host,
		// Refuses posts that another site's page sends here.
		Handler:           http.NewCrossOriginProtection().Handler(mux),
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { server.Close() })
	log.Printf("open %s", base)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// web is the application: what it knows of the provider, and who is signed in here.
type web struct {
	base       string
	oauth      oauth2.Config
	provider   *oidc.Provider
	verifier   *oidc.IDTokenVerifier
	endSession string
	sessions   *sessions
}

func newWeb(ctx context.Context, issuer, base, clientID, clientSecret string) (*web, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, err
	}
	return &web{
		base: base,
		oauth: oauth2.Config{
			ClientID:     clientID,
			ClientSecret: clientSecret,
			Endpoint:     provider.Endpoint(),
			RedirectURL:  base + "/callback",
			Scopes:       []string{oidc.ScopeOpenID, "profile", "email"},
		},
		provider:   provider,
		verifier:   provider.Verifier(&oidc.Config{ClientID: clientID}),
		endSession: more.EndSession,
		sessions:   newSessions(),
	}, nil
}

var page = template.Must(template.New("home").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Go web example</title>
<h1>Go web example</h1>
{{if .User}}<p>Signed in as <b id="name">{{or .User.Name .User.Subject}}</b>{{with .User.Email}} (<span id="email">{{.}}</span>){{end}}.</p>
<form method="post" action="/logout"><button>Log out</button></form>
{{else}}<p><a href="/login">Log in</a></p>{{end}}</html>`))

func (w *web) home(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(rw, w.sessions.of(r)); err != nil {
		log.Print(err)
	}
}

func (w *web) login(rw http.ResponseWriter, r *http.Request) {
	p := pending{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier()}
	w.sessions.start(rw, session{Pending: &p})
	http.Redirect(rw, r, w.oauth.AuthCodeURL(p.State, oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)), http.StatusFound)
}

func (w *web) callback(rw http.ResponseWriter, r *http.Request) {
	p := w.sessions.takePending(r)
	if p == nil || r.FormValue("state") != p.State {
		http.Error(rw, "This login was not started in this browser. Go back and log in again.", http.StatusBadRequest)
		return
	}
	if code := r.FormValue("error"); code != "" {
		http.Error(rw, "The provider answered: "+code, http.StatusForbidden)
		return
	}
	token, err := w.oauth.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(p.Verifier))
	if err != nil {
		log.Print(err)
		http.Error(rw, "The code could not be exchanged.", http.StatusBadGateway)
		return
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := w.verifier.Verify(r.Context(), raw)
	if err != nil || idToken.Nonce != p.Nonce {
		log.Print("ID token refused: ", err)
		http.Error(rw, "The ID token did not verify.", http.StatusBadGateway)
		return
	}
	// Name and e-mail are not in the ID token when there is an access token to ask with (OIDC
	// Core §5.4); what userinfo says counts only for the same person (§5.3.2).
	user := user{IDToken: raw}
	info, err := w.provider.UserInfo(r.Context(), oauth2.StaticTokenSource(token))
	if err == nil {
		err = info.Claims(&user)
	}
	if err != nil || user.Subject != idToken.Subject {
		log.Print("userinfo refused: ", err)
		http.Error(rw, "The provider did not say who you are.", http.StatusBadGateway)
		return
	}
	// A new session id at login: one that was planted before it is worth nothing now.
	w.sessions.end(r)
	w.sessions.start(rw, session{User: &user})
	http.Redirect(rw, r, "/", http.StatusFound)
}

func (w *web) logout(rw http.ResponseWriter, r *http.Request) {
	s := w.sessions.of(r)
	w.sessions.end(r)
	query := url.Values{"client_id": {w.oauth.ClientID}, "post_logout_redirect_uri": {w.base + "/"}}
	if s.User != nil {
		query.Set("id_token_hint", s.User.IDToken)
	}
	http.Redirect(rw, r, w.endSession+"?"+query.Encode(), http.StatusSeeOther)
}
