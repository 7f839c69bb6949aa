package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// syncFile makes the clients and APIs of the configuration what it says.
func (s *Services) syncFile(ctx context.Context, cfg *config.Config) error {
	clients, apis := FileRows(cfg)
	sum, err := s.Clients.SyncFile(ctx, clients, apis)
	if problems := client.ProblemsOf(err); len(problems) > 0 { // one to a line, for people
		lines := make([]string, len(problems))
		for i, p := range problems {
			lines[i] = p.String()
		}
		return errors.New("\n" + strings.Join(lines, "\n"))
	}
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
	if c.ResponseTypes == nil {
		m.FitResponseTypes()
	}
	list(&m.ResponseTypes, c.ResponseTypes)
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
	flag(&m.RequireMFA, c.RequireMFA)
	duration(&m.AccessTokenTTL, c.AccessTokenTTL)
	duration(&m.RefreshIdleTTL, c.RefreshIdle)
	duration(&m.RefreshAbsoluteTTL, c.RefreshAbsolute)
	duration(&m.RefreshGrace, c.RefreshGrace)
	_ = m.Merge(c.Metadata) // CheckFile has reported what is wrong with it
	return m
}

// CheckServe is CheckFile for a configuration to serve with: the certificate must be there too. Other
// subcommands may run where it is not.
func CheckServe(cfg *config.Config) []config.Fault {
	out := CheckFile(cfg)
	if cfg.TLS.CertFile != "" && cfg.TLS.KeyFile != "" {
		if _, err := server.LoadCertificate(cfg.TLS.CertFile, cfg.TLS.KeyFile, time.Now, slog.New(slog.DiscardHandler)); err != nil {
			out = append(out, config.Fault{Path: "tls.cert_file", Text: err.Error()})
		}
	}
	if _, err := authorities(cfg); err != nil {
		out = append(out, config.Fault{Path: "mtls.ca_file", Text: err.Error()})
	}
	return out
}

// CheckFile says what is wrong with a configuration beyond its single values, as far as that can be
// known without the store: the rules of client registration. It is the Check of config.Load, so
// that all of it is reported before anything is touched.
func CheckFile(cfg *config.Config) []config.Fault {
	out := slices.Concat(checkRegistration(cfg), checkIssuers(cfg))
	add := func(item string, p client.Problem) {
		out = append(out, config.Fault{Path: item + "." + p.Field, Text: p.Text})
	}
	clients, apis := FileRows(cfg)
	for i, c := range clients {
		item := fmt.Sprintf("clients[%d]", i)
		if err := new(client.Protocol).Merge(cfg.Clients[i].Metadata); err != nil {
			add(item, client.Problem{Field: "metadata", Text: err.Error()})
		}
		for _, p := range client.ProblemsOf(c.Metadata.Validate(c.Kind)) {
			add(item, p)
		}
		for _, p := range checkSecrets(c) {
			add(item, p)
		}
	}
	for i, a := range apis {
		for _, scope := range slices.Sorted(maps.Keys(a.Scopes)) {
			if slices.Contains(client.StandardScopes(), scope) {
				add(fmt.Sprintf("apis[%d]", i), client.Problem{Field: "scopes", Text: strconv.Quote(scope) + " is a standard OpenID scope"})
			}
		}
	}
	return out
}

// checkSecrets says whether a client has the secrets that it needs, and none that it must not have.
func checkSecrets(c client.FileClient) []client.Problem {
	uses := c.Metadata.UsesSecret()
	switch {
	case uses && len(c.Secrets) == 0:
		return []client.Problem{{Field: "secret", Text: "is missing: set secret_file or secret_sha256"}}
	case !uses && len(c.Secrets) > 0 && slices.Contains(client.Kinds(), c.Kind):
		return []client.Problem{{Field: "secret", Text: "must not be set: the client authenticates with " + string(c.Metadata.AuthMethod)}}
	}
	return nil
}
