package oauth

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/ory/fosite"

	"signet/internal/platform/id"
)

// refreshGrant rotates refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2). A token works once. Used
// again within the client's grace window it gives the same successor, which a client needs that
// lost the answer or refreshed twice at once; after that the use is a replay and ends the grant.
type refreshGrant struct {
	own
	e *Engine
}

// presented is what the store knows of a refresh token.
type presented struct {
	expires   time.Time
	successor string // hash of the token it was exchanged for; "" while it is fresh
	sealed    string
	usedAt    time.Time
	confirm   confirmation // what its holder must prove
}

// HandleTokenEndpointRequest judges the token, its owner first (fosite F16).
func (h *refreshGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	hash, ok := id.Hash(id.RefreshToken, f.form.Get("refresh_token"))
	if !ok {
		return invalidGrant("malformed refresh token")
	}
	f.spends = hash
	if err := h.judge(ctx, f); err != nil {
		return err
	}
	scopes := f.index.narrow(f.client, f.grant.Scopes)
	if !slices.Contains(scopes, ScopeOfflineAccess) {
		return invalidGrant("the client may not stay offline any more")
	}
	return f.within(h.e, scopes)
}

// judge reads the token and its grant and says whether it may be used; for a use within the grace
// window it finds the successor.
func (h *refreshGrant) judge(ctx context.Context, f *flow) error {
	g, p, err := h.e.findRefresh(ctx, f.form.Get("refresh_token"))
	if err != nil {
		return err
	}
	if g == nil {
		return invalidGrant("unknown refresh token")
	}
	f.grant, f.held = *g, p.confirm
	switch {
	case g.Client != f.client.ID:
		return h.e.foreign(ctx, f, "refresh token")
	case p.successor != "" && !h.graced(f, p):
		return h.e.reused(ctx, g, "refresh token used again")
	case !g.stands(f.client, f.now), !f.now.Before(p.expires):
		return invalidGrant("expired, revoked, user inactive or consent withdrawn")
	case !h.e.strongEnough(f.client, g.signIn()):
		// Demanded since: the person signs in again, with both factors (RFC 6749 §5.2).
		return invalidGrant("of a sign-in with less than is demanded by now")
	}
	if p.successor != "" {
		if f.successor, err = h.e.unseal(p); err != nil {
			return err
		}
	}
	return nil
}

// graced reports whether a second use falls into the window, which starts at the first use and is
// not renewed.
func (h *refreshGrant) graced(f *flow, p *presented) bool {
	grace := f.client.Metadata.RefreshGrace
	return grace > 0 && p.sealed != "" && f.now.Before(p.usedAt.Add(grace))
}

// PopulateTokenEndpointResponse signs, then rotates in one statement. Of any number at once, one
// writes; the others find its successor, or, without a grace window, a replay.
func (h *refreshGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	if f.successor != "" {
		return h.repeat(ctx, f, out)
	}
	if keeps(f.client) {
		return h.keep(ctx, f, out)
	}
	s := h.e.nextRefresh(f)
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	won, err := h.e.spend(ctx, f, s, row)
	if err != nil {
		return err
	}
	if !won {
		if err := h.judge(ctx, f); err != nil {
			return err
		}
		if f.successor == "" {
			return invalidGrant("the token was neither spent nor spendable")
		}
		return h.repeat(ctx, f, out)
	}
	f.finish(out)
	return nil
}

// repeat answers within the grace window: fresh access and ID tokens, the same refresh token.
func (h *refreshGrant) repeat(ctx context.Context, f *flow, out fosite.AccessResponder) error {
	f.out.RefreshToken = f.successor
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	if err := h.e.saveAccess(ctx, f, row); err != nil {
		return err
	}
	f.finish(out)
	return nil
}

// unseal opens the successor that was sealed for the grace window.
func (e *Engine) unseal(p *presented) (string, error) {
	box, err := base64.RawURLEncoding.DecodeString(p.sealed)
	if err != nil {
		return "", err
	}
	token, err := e.seal.Open("refresh_token", "sealed", p.successor, box)
	return string(token), err
}
