// Command go-oidc does the flows that go-oidc and x/oauth2 know against the provider that the
// environment names, and prints one line for each.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var scopes = []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}

// rp is one client of the provider.
type rp struct {
	provider *oidc.Provider
	config   oauth2.Config
}

func main() {
	flows := []struct {
		name string
		run  func(context.Context) error
	}{
		{"code", code}, {"public", public}, {"refresh", refresh}, {"client_credentials", clientCredentials},
		{"device", device}, {"logout", logout}, {"api_jwt", api},
	}
	failed := false
	for _, f := range flows {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := f.run(ctx); err != nil {
			failed = true
			fmt.Printf("FAILED %s: %s\n", f.name, strings.ReplaceAll(err.Error(), "\n", `\n`))
		} else {
			fmt.Printf("ok %s\n", f.name)
		}
		cancel()
	}
	if failed {
		os.Exit(1)
	}
}

func discover(ctx context.Context, id, secret string) (*rp, error) {
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	if err != nil {
		return nil, err
	}
	return &rp{provider, oauth2.Config{
		ClientID: id, ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: os.Getenv("CALLBACK"), Scopes: scopes,
	}}, nil
}

// person is what the one at the browser does; it answers where that led to.
func person(ctx context.Context, act string, asked map[string]string) (*url.URL, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("PERSON")+"/"+act, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct{ URL, Error string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return url.Parse(answer.URL)
}

// signIn does the whole code flow.
func (c *rp) signIn(ctx context.Context) (*oauth2.Token, *oidc.IDToken, error) {
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	landed, err := person(ctx, "authorize", map[string]string{
		"who": c.config.ClientID, "url": c.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)),
	})
	if err != nil {
		return nil, nil, err
	}
	if answer := landed.Query(); answer.Get("state") != state || answer.Get("iss") != os.Getenv("ISSUER") {
		return nil, nil, fmt.Errorf("authorization response %s", landed)
	}
	token, err := c.config.Exchange(ctx, landed.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, nil, err
	}
	id, err := c.verify(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if id.Nonce != nonce {
		return nil, nil, fmt.Errorf("nonce %q, want %q", id.Nonce, nonce)
	}
	return token, id, id.VerifyAccessToken(token.AccessToken)
}

func (c *rp) verify(ctx context.Context, token *oauth2.Token) (*oidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("no id_token")
	}
	return c.provider.Verifier(&oidc.Config{ClientID: c.config.ClientID}).Verify(ctx, raw)
}

// knows reads the person from userinfo.
func (c *rp) knows(ctx context.Context, token *oauth2.Token, subject string) error {
	info, err := c.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if info.Subject != subject || info.Email != os.Getenv("EMAIL") {
		return fmt.Errorf("userinfo %+v, want subject %s", info, subject)
	}
	return nil
}
