package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// syncFile makes the clients and APIs of the configuration what it says.
func (s *Services) syncFile(ctx context.Context, cfg *config.Config) error {
	clients, apis := FileRows(cfg)
	sum, err := s.Clients.SyncFile(ctx, clients, apis)
	if err == nil && sum.Changed() {
		s.Log.InfoContext(ctx, "clients and APIs of the configuration were brought up to date",
			"created", sum.Created, "updated", sum.Updated, "disabled", sum.Disabled,
			"apis_created", sum.APIsCreated, "apis_updated", sum.APIsUpdated, "apis_deleted", sum.APIsDeleted)
	}
	return err
}

// FileRows translates the lists of the configuration.
func FileRows(cfg *config.Config) ([]client.FileClient, []client.FileAPI) {
	var clients []client.FileClient
	for _, c := range cfg.Clients {
		clients = append(clients, client.FileClient{
			ID: id.Client(c.ID), Name: c.Name, Kind: client.Kind(c.Kind), Disabled: c.Disabled,
			Metadata: metadata(c), Secrets: secrets(c),
		})
	}
	var apis []client.FileAPI
	for _, a := range cfg.APIs {
		apis = append(apis, client.FileAPI{Audience: a.Audience, Name: a.Name, Scopes: a.Scopes})
	}
	return clients, apis
}

func secrets(c config.Client) []client.FileSecret {
	var out []client.FileSecret
	for _, s := range []client.FileSecret{{Plain: c.Secret, SHA256: c.SecretSHA256}, {Plain: c.NextSecret, SHA256: c.NextSecretSHA256}} {
		if s != (client.FileSecret{}) {
			out = append(out, s)
		}
	}
	return out
}

// metadata starts from the kind's safe defaults and takes over what the file says.
func metadata(c config.Client) client.Metadata {
	m := client.Defaults(client.Kind(c.Kind))
	list := func(to *[]string, from []string) {
		if from != nil {
			*to = from
		}
	}
	text := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	flag := func(to *bool, from *bool) {
		if from != nil {
			*to = *from
		}
	}
	duration := func(to *time.Duration, from *time.Duration) {
		if from != nil {
			*to = *from
		}
	}
	list(&m.RedirectURIs, c.RedirectURIs)
	list(&m.PostLogoutRedirectURIs, c.PostLogoutURIs)
	list(&m.GrantTypes, c.GrantTypes)
	list(&m.Scopes, c.Scopes)
	list(&m.Audiences, c.Audiences)
	list(&m.AllowedOrigins, c.AllowedOrigins)
	if c.AuthMethod != "" {
		m.AuthMethod = client.AuthMethod(c.AuthMethod)
	}
	if len(c.JWKS) > 0 {
		m.JWKS = c.JWKS
	}
	text(&m.JWKSURI, c.JWKSURI)
	text(&m.AccessTokenFormat, c.AccessTokenFormat)
	text(&m.IDTokenAlg, c.IDTokenAlg)
	text(&m.ClientURI, c.ClientURI)
	text(&m.LogoURI, c.LogoURI)
	text(&m.PolicyURI, c.PolicyURI)
	text(&m.TOSURI, c.TOSURI)
	flag(&m.FirstParty, c.FirstParty)
	flag(&m.RequirePKCE, c.RequirePKCE)
	duration(&m.AccessTokenTTL, c.AccessTokenTTL)
	duration(&m.RefreshIdleTTL, c.RefreshIdle)
	duration(&m.RefreshAbsoluteTTL, c.RefreshAbsolute)
	duration(&m.RefreshGrace, c.RefreshGrace)
	return m
}

// CheckFile checks the clients and APIs of a configuration as far as that is possible without
// a store, and reports everything at once.
func CheckFile(cfg *config.Config) error {
	clients, _ := FileRows(cfg)
	var problems []error
	for i, c := range clients {
		for _, p := range client.ProblemsOf(c.Metadata.Validate(c.Kind)) {
			problems = append(problems, fmt.Errorf("clients[%d] (%s): %s", i, c.ID, p))
		}
	}
	return errors.Join(problems...)
}
