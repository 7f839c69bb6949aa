package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"

	"github.com/ory/fosite"

	"signet/internal/platform/audit"
	"signet/internal/platform/id"
)

// codeGrant is the authorization code grant at the token endpoint: code, PKCE and OIDC in one
// handler over one row (RFC 6749 §4.1.3, RFC 7636 §4.5, OIDC Core §3.1.3).
type codeGrant struct {
	own
	e *Engine
}

// HandleTokenEndpointRequest judges the code. The order matters: whose code it is comes first, so
// that nobody else's attempt has an effect (fosite F16); use before expiry, so that a replay is
// seen as one.
func (h *codeGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	hash, ok := id.Hash(id.AuthorizationCode, f.form.Get("code"))
	if !ok {
		return invalidGrant("malformed code")
	}
	var spent, session string
	g := &f.grant
	if err := g.scan(h.e.db.Q(ctx).QueryRow(ctx, sqlCode, hash), &spent, &session); isNoRows(err) {
		return invalidGrant("unknown code")
	} else if err != nil {
		return err
	}
	f.spends, f.nonce = hash, true
	switch {
	case g.Client != f.client.ID:
		return h.e.foreign(ctx, f, "code")
	case spent != "":
		return h.e.reused(ctx, g, "code used twice") // RFC 6749 §4.1.2, RFC 9700 §4.13
	case g.Revoked, !f.now.Before(g.CodeExpires):
		return invalidGrant("code expired or revoked")
	case session == "":
		// A logout at the time of the issuing may not have seen the grant that it had to revoke.
		return invalidGrant("session ended")
	case f.form.Get("redirect_uri") != g.RedirectURI: // RFC 6749 §4.1.3
		return invalidGrant("redirect_uri differs")
	}
	return h.e.redeemable(ctx, f)
}

// redeemable is what is asked of every code, whoever it came by: the verifier, the state of its grant
// now, and what the request wants of it.
func (e *Engine) redeemable(ctx context.Context, f *flow) error {
	g := &f.grant
	switch {
	case !verifies(g.CodeChallenge, f.form.Get("code_verifier")):
		// One failed verifier kills the code (fosite F5): the next guess meets nothing.
		return e.reused(ctx, g, "code_verifier does not match")
	case !g.stands(f.client, f.now):
		return invalidGrant("revoked, user inactive or consent withdrawn")
	case !e.strongEnough(f.client, g.signIn()):
		return invalidGrant("of a sign-in with less than is demanded by now")
	}
	scopes := f.index.narrow(f.client, g.Scopes)
	if len(scopes) == 0 {
		return invalidGrant("no scope is left to the client")
	}
	return f.within(e, scopes)
}

// PopulateTokenEndpointResponse signs, then spends the code and writes the refresh token in one
// statement. Losing the race means that the code was used twice.
func (h *codeGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	won, err := h.e.redeem(ctx, f)
	if err != nil {
		return err
	}
	if !won {
		return h.e.reused(ctx, &f.grant, "code used twice at once")
	}
	f.finish(out)
	return nil
}

// redeem signs, then spends the code; won is false if somebody else spent it first.
func (e *Engine) redeem(ctx context.Context, f *flow) (won bool, err error) {
	// A code that yields no refresh token leaves a mark which no token has as its hash.
	s := step{hash: "spent:" + f.spends, expires: f.grant.ExpiresAt}
	if slices.Contains(f.scopes, ScopeOfflineAccess) && mayStayOffline(f.client) {
		s = e.nextRefresh(f)
	}
	row, err := e.mint(ctx, f)
	if err != nil {
		return false, err
	}
	return e.spend(ctx, f, s, row)
}

// reused ends the grant, committed on its own, and refuses (RFC 9700 §4.13, §4.14).
func (e *Engine) reused(ctx context.Context, g *grantRow, why string) error {
	if err := e.revokeGrant(ctx, g, why); err != nil {
		return err
	}
	e.log.WarnContext(ctx, "grant revoked: somebody may hold a stolen code or token",
		"reason", why, "client", string(g.Client), "grant", string(g.ID))
	return invalidGrant(why)
}

// foreign records that a client presented what was issued to another, and refuses without any
// effect on the owner (security case TK-02).
func (e *Engine) foreign(ctx context.Context, f *flow, what string) error {
	err := e.db.InTx(ctx, func(ctx context.Context) error {
		return e.audit.Record(ctx, audit.Event{
			Action: "grant.foreign", Result: audit.Refused, Actor: string(f.client.ID), Target: string(f.grant.ID), Client: f.grant.Client,
			Detail: map[string]string{"what": what},
		})
	})
	if err != nil {
		return err
	}
	return invalidGrant(what + " of another client")
}

// verifies compares a code verifier with the S256 challenge (RFC 7636 §4.6). A verifier without a
// challenge is refused too: it is the mark of a stripped challenge (RFC 9700 §4.8.2).
func verifies(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < verifierMin || len(verifier) > verifierMax || !unreserved(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
