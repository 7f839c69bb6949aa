package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func code(ctx context.Context) error {
	c, err := discover(ctx, "web", os.Getenv("SECRET"))
	if err != nil {
		return err
	}
	token, id, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	return c.knows(ctx, token, id.Subject)
}

// public is a tool on a desktop, which listens on whatever port is free (RFC 8252 §7.3).
func public(ctx context.Context) error {
	c, err := discover(ctx, "tool", "")
	if err != nil {
		return err
	}
	c.config.RedirectURL = "http://127.0.0.1:9/callback"
	c.config.Scopes = []string{oidc.ScopeOpenID, "email"}
	token, id, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	return c.knows(ctx, token, id.Subject)
}

func refresh(ctx context.Context) error {
	c, err := discover(ctx, "web", os.Getenv("SECRET"))
	if err != nil {
		return err
	}
	token, id, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	second, err := c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		return err
	}
	renewed, err := c.verify(ctx, second)
	if err != nil {
		return err
	}
	if renewed.Subject != id.Subject || second.RefreshToken == token.RefreshToken {
		return fmt.Errorf("subject %s, rotated %t", renewed.Subject, second.RefreshToken != token.RefreshToken)
	}
	return nil
}

func machine(ctx context.Context, c *rp) (*oauth2.Token, error) {
	source := clientcredentials.Config{
		ClientID: "machine", ClientSecret: os.Getenv("SECRET"), TokenURL: c.config.Endpoint.TokenURL, Scopes: []string{"orders.read"},
		EndpointParams: url.Values{"resource": {os.Getenv("AUDIENCE")}},
	}
	return source.Token(ctx)
}

func clientCredentials(ctx context.Context) error {
	c, err := discover(ctx, "machine", "")
	if err != nil {
		return err
	}
	_, err = machine(ctx, c)
	return err
}

// device waits for the person as a television does.
func device(ctx context.Context) error {
	c, err := discover(ctx, "tv", "")
	if err != nil {
		return err
	}
	started, err := c.config.DeviceAuth(ctx)
	if err != nil {
		return err
	}
	if _, err := person(ctx, "device", map[string]string{"who": "tv", "url": started.VerificationURI, "code": started.UserCode}); err != nil {
		return err
	}
	token, err := c.config.DeviceAccessToken(ctx, started)
	if err != nil {
		return err
	}
	id, err := c.verify(ctx, token)
	if err != nil {
		return err
	}
	return c.knows(ctx, token, id.Subject)
}

func logout(ctx context.Context) error {
	c, err := discover(ctx, "web", os.Getenv("SECRET"))
	if err != nil {
		return err
	}
	token, _, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := c.provider.Claims(&more); err != nil {
		return err
	}
	hint, _ := token.Extra("id_token").(string)
	leave := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {os.Getenv("BYE")}, "state": {"kept"}}
	landed, err := person(ctx, "leave", map[string]string{"who": "web", "url": more.EndSession + "?" + leave.Encode()})
	if err != nil {
		return err
	}
	if landed.String() != os.Getenv("BYE")+"?state=kept" {
		return fmt.Errorf("logout led to %s", landed)
	}
	_, err = c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		return fmt.Errorf("refresh after logout: %w", err)
	}
	return nil
}

// api verifies an access token as a service does that has only the issuer's name.
func api(ctx context.Context) error {
	c, err := discover(ctx, "machine", "")
	if err != nil {
		return err
	}
	token, err := machine(ctx, c)
	if err != nil {
		return err
	}
	verified, err := c.provider.Verifier(&oidc.Config{ClientID: os.Getenv("AUDIENCE")}).Verify(ctx, token.AccessToken)
	if err != nil {
		return err
	}
	if verified.Subject != "machine" {
		return fmt.Errorf("sub %q, want the client (RFC 9068 §2.2)", verified.Subject)
	}
	return nil
}
