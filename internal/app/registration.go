package app

import (
	"slices"

	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/oauth/registration"
	"signet/internal/oauth/trust"
)

// terms are what clients may have that describe themselves.
func terms(cfg *config.Config) client.Terms {
	t := client.Terms{
		Scopes: cfg.Register.Scopes, Audiences: cfg.Register.Audiences,
		RequirePKCE: cfg.Register.RequirePKCE, Legacy: cfg.OAuth.LegacyResponseTypes,
	}
	if len(t.Scopes) == 0 {
		t.Scopes = nil
	}
	if cfg.CIBA.Registered {
		t.GrantTypes = append(client.DefaultGrantTypes(), client.GrantCIBA)
	}
	return t
}

// clientDocuments are the terms of clients that are documents. They are all public or prove
// themselves with a key, so all of them do PKCE.
func clientDocuments(cfg *config.Config) *client.Documents {
	if !cfg.OAuth.ClientDocuments {
		return nil
	}
	t := terms(cfg)
	t.RequirePKCE = true
	// No device grant: whoever asks for a device code is nobody yet, and would make rows.
	t.GrantTypes = []string{client.GrantAuthorizationCode, client.GrantRefreshToken}
	return &client.Documents{Terms: t, Most: cfg.OAuth.MaxClientDocuments, UnusedFor: cfg.OAuth.DocumentsUnusedFor}
}

func (s *Services) wireRegistration(cfg *config.Config, issuers *trust.Service) (err error) {
	r := cfg.Register
	s.Register, err = registration.New(registration.Deps{
		DB: s.DB, Clock: s.Clock, Clients: s.Clients, Limits: s.Limits, Audit: s.Audit, Trust: issuers, Issuer: cfg.Issuer,
		EnsureAlg: s.Keys.EnsureAlg,
		Policy: registration.Policy{
			Mode: registration.Mode(r.Mode), Terms: terms(cfg), PerNetwork: r.PerNetwork, MaxClients: r.MaxClients,
			Statements: registration.Statements(r.Statements),
		},
	})
	return err
}

// CheckRegistration says what is wrong with the policy for clients that register themselves.
func checkRegistration(cfg *config.Config) []config.Fault {
	speaks := slices.ContainsFunc(cfg.JWTIssuers, func(i config.JWTIssuer) bool { return trust.Subject(i.Subject) == trust.None })
	if cfg.Register.Statements != string(registration.Refuse) && !speaks {
		return []config.Fault{{Path: "registration.software_statements", Text: "needs one of jwt_issuers with subject none: those may sign them"}}
	}
	return nil
}
