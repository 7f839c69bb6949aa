package relyingparty_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"signet/test/rig"
)

const (
	callback = "http://localhost:9/callback" // nobody listens: the test reads the redirect itself
	bye      = "http://localhost:9/bye"
	email    = "go@example.com"
)

type metadata struct {
	EndSession    string `json:"end_session_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
}

type party struct {
	provider *oidc.Provider
	more     metadata
	config   oauth2.Config
}

func discover(t *testing.T, p *rig.Provider, c rig.Client, style oauth2.AuthStyle) *party {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	rp := &party{provider: provider}
	if err := provider.Claims(&rp.more); err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = style
	rp.config = oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, Endpoint: endpoint, RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	return rp
}

// signIn does the whole code flow and returns the tokens and the verified ID token.
func (rp *party) signIn(t *testing.T, person *rig.Person) (*oauth2.Token, *oidc.IDToken) {
	t.Helper()
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	landed, err := person.Authorize(rp.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), email, rig.Password)
	if err != nil {
		t.Fatal(err)
	}
	answer := landed.Query()
	if answer.Get("state") != state || answer.Get("code") == "" {
		t.Fatalf("authorization response %s", landed)
	}
	token, err := rp.config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	id := rp.verify(t, token)
	if id.Nonce != nonce {
		t.Errorf("nonce %q, want %q", id.Nonce, nonce)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	return token, id
}

func (rp *party) verify(t *testing.T, token *oauth2.Token) *oidc.IDToken {
	t.Helper()
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		t.Fatal("no id_token")
	}
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: rp.config.ClientID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (rp *party) refresh(ctx context.Context, token *oauth2.Token) (*oauth2.Token, error) {
	return rp.config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

func start(t *testing.T) *rig.Provider {
	t.Helper()
	p := rig.Dev(t).Start()
	p.ImportUsers(email)
	return p
}

func TestGoOIDC_CodeFlowUserInfoRefreshLogout(t *testing.T) {
	t.Parallel()
	p := start(t)
	for name, style := range map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams} {
		t.Run(name, func(t *testing.T) {
			c := p.CreateClient("--kind", "web", "--name", "go-oidc", "--redirect-uri", callback, "--post-logout-redirect-uri", bye,
				"--auth-method", name, "--grant-type", "authorization_code", "--grant-type", "refresh_token")
			rp := discover(t, p, c, style)
			person := rig.NewPerson(p.Issuer)
			token, id := rp.signIn(t, person)

			info, err := rp.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil {
				t.Fatal(err)
			}
			if info.Subject != id.Subject || info.Email != email {
				t.Errorf("userinfo %+v, want subject %s and %s", info, id.Subject, email)
			}

			second, err := rp.refresh(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if renewed := rp.verify(t, second); renewed.Subject != id.Subject || second.RefreshToken == token.RefreshToken {
				t.Errorf("refresh: subject %s, rotated %t", renewed.Subject, second.RefreshToken != token.RefreshToken)
			}

			hint, _ := second.Extra("id_token").(string)
			leave := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}, "state": {"kept"}}
			landed, err := person.Visit(rp.more.EndSession + "?" + leave.Encode())
			if err == nil && landed == nil {
				landed, err = person.Press("answer", "leave")
			}
			if err != nil || landed.String() != bye+"?state=kept" {
				t.Fatalf("logout led to %s, %v", landed, err)
			}
			if _, err := rp.refresh(t.Context(), second); !refused(err, "invalid_grant") {
				t.Errorf("refresh after logout: %v, want invalid_grant", err)
			}
		})
	}
}

func refused(err error, code string) bool {
	if e, ok := err.(*oauth2.RetrieveError); ok {
		return e.ErrorCode == code
	}
	return false
}

func TestGoOIDC_CodeIsGoodOnceAndOnlyWithItsVerifier(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.CreateClient("--kind", "web", "--name", "go-oidc", "--redirect-uri", callback, "--first-party")
	rp := discover(t, p, c, oauth2.AuthStyleInHeader)
	person := rig.NewPerson(p.Issuer)
	verifier := oauth2.GenerateVerifier()
	land := func() string {
		landed, err := person.Authorize(rp.config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), email, rig.Password)
		if err != nil {
			t.Fatal(err)
		}
		return landed.Query().Get("code")
	}
	if _, err := rp.config.Exchange(t.Context(), land(), oauth2.VerifierOption(oauth2.GenerateVerifier())); !refused(err, "invalid_grant") {
		t.Errorf("RFC 7636 §4.6: a foreign verifier gives %v, want invalid_grant", err)
	}
	code := land()
	token, err := rp.config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); !refused(err, "invalid_grant") {
		t.Errorf("RFC 6749 §4.1.2: a second exchange gives %v, want invalid_grant", err)
	}
	if _, err := rp.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
		t.Error("RFC 6749 §4.1.2: the tokens of a reused code must be revoked")
	}
}

func TestGoOIDC_ClientCredentialsIntrospectionRevocation(t *testing.T) {
	t.Parallel()
	p := start(t)
	const audience = "https://go.example.com/"
	p.CLI("api", "create", "--audience", audience, "--name", "Go", "--scope", "jobs:run=Run jobs")
	c := p.CreateClient("--kind", "machine", "--name", "cron", "--audience", audience, "--scope", "jobs:run")
	rp := discover(t, p, c, oauth2.AuthStyleInHeader)
	source := clientcredentials.Config{
		ClientID: c.ID, ClientSecret: c.Secret, TokenURL: rp.config.Endpoint.TokenURL, Scopes: []string{"jobs:run"},
		EndpointParams: url.Values{"resource": {audience}},
	}
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verified, err := rp.provider.Verifier(&oidc.Config{ClientID: audience}).Verify(t.Context(), token.AccessToken)
	if err != nil {
		t.Fatalf("any service verifies the token with the JWKS: %v", err)
	}
	if verified.Subject != c.ID {
		t.Errorf("sub %q, want the client (RFC 9068 §2.2)", verified.Subject)
	}
	if facts := introspect(t, rp, c, token.AccessToken); facts["active"] != true || facts["client_id"] != c.ID {
		t.Errorf("introspection %v", facts)
	}
	if facts := introspect(t, rp, c, "nonsense"); len(facts) != 1 || facts["active"] != false {
		t.Errorf("introspection of nonsense %v (RFC 7662 §2.2)", facts)
	}
}

func introspect(t *testing.T, rp *party, c rig.Client, token string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rp.more.Introspection, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var facts map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&facts); err != nil {
		t.Fatal(err)
	}
	return facts
}
