package oauth

import (
	"context"
	"strings"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Revoke answers a revocation request (RFC 7009 §2). Without an error the token is dead, or was
// never the caller's: unknown and foreign tokens are no error and stay as they are (§2.2). A fault
// of the store is an error, so that no client believes a live token dead (§2.2.1, fosite F6).
func (e *Engine) Revoke(ctx context.Context, call Call) error {
	form := call.Form
	if duplicate(form) != "" {
		return refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	caller, err := e.authenticate(ctx, &call)
	if err != nil {
		return err
	}
	token := form.Get("token")
	switch {
	case token == "":
		return refuse(InvalidRequest, "token is missing.")
	case strings.HasPrefix(token, string(id.RefreshToken)):
		return e.revokeRefresh(ctx, caller, token)
	case strings.HasPrefix(token, string(id.AccessToken)):
		return e.revokeOpaque(ctx, caller, token)
	}
	return e.revokeJWT(ctx, caller, token)
}

// revokeRefresh ends the whole grant, access tokens included (RFC 7009 §2.1).
func (e *Engine) revokeRefresh(ctx context.Context, caller *client.Client, token string) error {
	g, _, err := e.findRefresh(ctx, token)
	if err != nil || g == nil || g.Client != caller.ID {
		return err
	}
	return e.revokeGrant(ctx, g, "revoked by the application")
}

func (e *Engine) revokeOpaque(ctx context.Context, caller *client.Client, token string) error {
	hash, ok := id.Hash(id.AccessToken, token)
	if !ok {
		return nil
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		n, err := e.db.Q(ctx).Exec(ctx, sqlRevokeAccess, hash, string(caller.ID), store.Micros(e.clock.Now()))
		if err != nil || n == 0 {
			return err
		}
		return e.tokenRevoked(ctx, caller, "")
	})
}

// revokeJWT denies one token by its jti until it expires. Never by its text: base64 and ECDSA
// signatures have variants.
func (e *Engine) revokeJWT(ctx context.Context, caller *client.Client, token string) error {
	if len(token) > maxAccessText {
		return nil
	}
	c, err := e.verifyAccess(token)
	if err != nil || c.ClientID != string(caller.ID) {
		return nil
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		n, err := e.db.Q(ctx).Exec(ctx, sqlDeny, c.ID, (c.Expires+1)*1_000_000)
		if err != nil || n == 0 {
			return err
		}
		target := c.Subject
		if c.GrantID != "" && sectorOf(caller) != "" { // the record is about the account, not about a pseudonym of it
			err := e.db.Q(ctx).QueryRow(ctx, sqlGrantUser, c.GrantID).Scan(&target)
			if err != nil && !isNoRows(err) {
				return err
			}
		}
		return e.tokenRevoked(ctx, caller, target)
	})
}

func (e *Engine) tokenRevoked(ctx context.Context, caller *client.Client, target string) error {
	return e.audit.Record(ctx, audit.Event{
		Action: "token.revoked", Result: audit.OK, Actor: string(caller.ID), Target: target, Client: caller.ID,
	})
}

// sweeps delete what has expired.
var sweeps = []string{sqlSweepAccess, sqlSweepRefresh, sqlSweepGrant, sqlSweepDenied, sqlSweepAssertion, sqlSweepProof, sqlSweepDevice, sqlSweepCIBA}

// DeleteExpired removes up to limit expired rows of each kind and returns how many went. Spent
// codes and tokens stay until they would have expired, so that a replay is seen as one.
func (e *Engine) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	var total int64
	now := store.Micros(e.clock.Now())
	for _, sql := range sweeps {
		n, err := e.db.Q(ctx).Exec(ctx, sql, now, limit)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
