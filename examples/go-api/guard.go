package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// token is what a verified access token says.
type token struct {
	Subject string `json:"sub"`
	Client  string `json:"client_id"`
	Scope   string `json:"scope"`
	// How and when the person signed in; empty for a program that acts for itself.
	ACR      string `json:"acr"`
	AuthTime int64  `json:"auth_time"`
}

// guard lets requests through that carry a token of issuer for audience.
type guard struct{ verifier *oidc.IDTokenVerifier }

func newGuard(ctx context.Context, issuer, audience string) (*guard, error) {
	if audience == "" {
		return nil, errors.New("AUDIENCE is not set: without it a token for any other API would do")
	}
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	// The checks of a JWT access token (RFC 9068 §4) are those of an ID token with the audience
	// in the place of the client: signature, iss, aud, exp. The keys are fetched when an unknown
	// key id appears, and kept.
	return &guard{provider.VerifierContext(ctx, &oidc.Config{
		ClientID:             audience,
		SupportedSigningAlgs: []string{oidc.ES256, oidc.RS256, oidc.PS256, oidc.EdDSA},
	})}, nil
}

func (g *guard) require(scope string, next func(http.ResponseWriter, *http.Request, token)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := bearer(r)
		if !ok {
			refuse(w, http.StatusUnauthorized, "") // RFC 6750 §3.1: no error code when nothing was tried
			return
		}
		t, err := g.verify(r.Context(), raw)
		if err != nil {
			refuse(w, http.StatusUnauthorized, "invalid_token")
			return
		}
		if !slices.Contains(strings.Fields(t.Scope), scope) {
			refuse(w, http.StatusForbidden, "insufficient_scope")
			return
		}
		next(w, r, t)
	})
}

func (g *guard) verify(ctx context.Context, raw string) (token, error) {
	verified, err := g.verifier.Verify(ctx, raw)
	if err != nil {
		return token{}, err
	}
	// RFC 9068 §4: the type keeps an ID token from being taken for an access token.
	if typ := headerType(raw); typ != "at+jwt" && typ != "application/at+jwt" {
		return token{}, fmt.Errorf("typ is %q, not at+jwt", typ)
	}
	var t token
	return t, verified.Claims(&t)
}

func headerType(raw string) string {
	encoded, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	var header struct {
		Type string `json:"typ"`
	}
	if json.Unmarshal(decoded, &header) != nil {
		return ""
	}
	return strings.ToLower(header.Type)
}

func bearer(r *http.Request) (string, bool) {
	scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return value, ok && strings.EqualFold(scheme, "Bearer") && value != ""
}

func refuse(w http.ResponseWriter, status int, code string) {
	challenge := "Bearer"
	if code != "" {
		challenge = fmt.Sprintf("Bearer error=%q", code)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	answer(w, status, map[string]any{"error": code})
}
