package app

import (
	"context"
	"fmt"

	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/identity/federation"
	"signet/internal/oauth/client"
	"signet/internal/oauth/trust"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// asserted finds the account that a trusted issuer speaks of (oauth.Resolver).
type asserted struct {
	accounts  *account.Service
	upstreams *federation.Service
}

// Resolve implements oauth.Resolver.
func (a asserted) Resolve(ctx context.Context, issuer trust.Issuer, subject string) (id.User, error) {
	switch issuer.Subject {
	case trust.Account:
		found, err := a.accounts.ByID(ctx, id.User(subject))
		return found.ID, err
	case trust.Email:
		return a.accounts.ByVerifiedEmail(ctx, subject)
	case trust.Upstream:
		return a.upstreams.Owner(ctx, federation.Identity{Provider: issuer.Name, Issuer: issuer.Issuer, Subject: subject})
	}
	return "", errs.New(errs.NotFound, "", nil)
}

func jwtIssuers(cfg *config.Config) []trust.Issuer {
	var out []trust.Issuer
	for _, j := range cfg.JWTIssuers {
		out = append(out, trust.Issuer{Name: j.Name, Issuer: j.Issuer, JWKS: j.JWKS, JWKSURI: j.JWKSURI, Subject: trust.Subject(j.Subject)})
	}
	return out
}

// checkIssuers says which key sets are none.
func checkIssuers(cfg *config.Config) (out []config.Fault) {
	for i, j := range cfg.JWTIssuers {
		if len(j.JWKS) == 0 {
			continue
		}
		if _, err := client.ParseKeys(j.JWKS); err != nil {
			out = append(out, config.Fault{Path: fmt.Sprintf("jwt_issuers[%d].jwks", i), Text: err.Error()})
		}
	}
	return out
}
