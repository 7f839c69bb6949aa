package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"signet/internal/oauth/client"
	"signet/internal/platform/store"
)

// The FAPI 2.0 profiles as one switch per client. Registration has seen to what metadata can say
// (client.checkProfile); the rest is here and, for assertions, proofs and bindings, in the checks
// that ask UnderFAPI. docs/fapi.md goes through the profile section by section.

// maxFAPICode is the longest life of a code (FAPI 2.0 Security Profile §5.3.2.2 no. 13).
const maxFAPICode = time.Minute

// codeTTL is the life of a client's codes.
func (e *Engine) codeTTL(c *client.Client) time.Duration {
	if c.Metadata.UnderFAPI() {
		return min(e.ttl.Code, maxFAPICode)
	}
	return e.ttl.Code
}

// checkProfile refuses what the client's profile does not allow (FAPI 2.0 Security Profile §5.3.2.2).
// checkPushed and checkSigned have seen to pushing and signing.
func checkProfile(_ context.Context, a *authorization) error {
	m := a.client.Metadata
	if !m.UnderFAPI() {
		return nil
	}
	switch {
	case a.client.Public():
		return refuse(UnauthorizedClient, "The application's profile demands client authentication.")
	case a.get("response_type") != "code":
		return refuse(UnsupportedResponseType, "The application's profile allows response_type=code only.")
	case a.req.CodeChallenge == "":
		return refuse(InvalidRequest, "code_challenge is missing: PKCE with S256 is required.")
	}
	return nil
}

// keeps reports whether a client's refresh tokens stay the same. FAPI 2.0 Security Profile §5.3.2.1
// forbids rotation: the tokens are bound to a client that authenticates, and an answer that is lost
// must not lock it out.
func keeps(c *client.Client) bool { return c.Metadata.UnderFAPI() }

// keep answers a refresh with new access and ID tokens under the same refresh token, whose idle end
// moves. The statement is also the last look at the grant.
func (h *refreshGrant) keep(ctx context.Context, f *flow, out fosite.AccessResponder) error {
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	end := f.now.Add(or(f.client.Metadata.RefreshIdleTTL, h.e.ttl.RefreshIdle))
	if f.grant.ExpiresAt.Before(end) {
		end = f.grant.ExpiresAt
	}
	touch := func(ctx context.Context) error {
		var hash string
		return h.e.db.Q(ctx).QueryRow(ctx, sqlKeepRefresh, f.spends, store.Micros(end)).Scan(&hash)
	}
	if row == nil {
		err = touch(ctx)
	} else {
		err = h.e.db.InTx(ctx, func(ctx context.Context) error {
			return errors.Join(touch(ctx), h.e.saveAccess(ctx, f, row))
		})
	}
	if isNoRows(err) {
		return invalidGrant("revoked or exchanged a moment ago")
	}
	if err != nil {
		return err
	}
	f.finish(out)
	return nil
}
