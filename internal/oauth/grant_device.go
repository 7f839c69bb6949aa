package oauth

import (
	"context"

	"github.com/ory/fosite"

	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// deviceGrant is the device's side of the device grant: it polls until a person has decided
// (RFC 8628 §3.4).
type deviceGrant struct {
	own
	e *Engine
}

// HandleTokenEndpointRequest judges the device code, whose it is first.
func (h *deviceGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	hash, ok := id.Hash(id.DeviceCode, f.form.Get("device_code"))
	if !ok {
		return invalidGrant("malformed device code")
	}
	var status string
	var interval, polled, expires int64
	g := &f.grant
	err = h.e.db.Q(ctx).QueryRow(ctx, sqlPolledDevice, hash).Scan((*string)(&g.Client), &status, &interval, &polled, &expires)
	expired := !f.now.Before(store.Time(expires))
	switch {
	case isNoRows(err):
		return invalidGrant("unknown device code")
	case err != nil:
		return err
	case g.Client != f.client.ID:
		return h.e.foreign(ctx, f, "device code")
	case status == "denied":
		return refuse(AccessDenied, "The request was refused.")
	case expired:
		return refuse(ExpiredToken, "The device code has expired.")
	case status == "pending":
		return h.wait(ctx, hash, f)
	}
	f.spends = hash
	return h.judge(ctx, f)
}

// wait says that nobody has decided yet, and slows down a device that asks too often (RFC 8628 §3.5).
func (h *deviceGrant) wait(ctx context.Context, hash string, f *flow) error {
	var row string
	err := h.e.db.Q(ctx).QueryRow(ctx, sqlPollDevice, hash, store.Micros(f.now)).Scan(&row)
	if err == nil {
		return refuse(AuthorizationPending, "Nobody has entered the code yet.")
	}
	if !isNoRows(err) {
		return err
	}
	err = h.e.db.Q(ctx).QueryRow(ctx, sqlSlowDevice, hash, store.Micros(f.now)).Scan(&row)
	switch {
	case err == nil:
		return refuse(SlowDown, "The device asks too often: wait five seconds longer from now on.")
	case isNoRows(err): // decided just now: the next poll finds out
		return refuse(AuthorizationPending, "Nobody has entered the code yet.")
	}
	return err
}

// judge reads the grant that the approval made. A device code that was redeemed gives nothing more,
// but does not end the grant either: it never passes a browser, so a second use is a device that lost
// the answer or asked twice at once.
func (h *deviceGrant) judge(ctx context.Context, f *flow) error {
	var spent string
	g := &f.grant
	if err := g.scan(h.e.db.Q(ctx).QueryRow(ctx, sqlDeviceGrant, f.spends), &spent); isNoRows(err) {
		return invalidGrant("the grant is gone")
	} else if err != nil {
		return err
	}
	if spent != "" {
		return invalidGrant("device code used before")
	}
	return h.e.redeemable(ctx, f)
}

// PopulateTokenEndpointResponse signs, then spends the code in one statement: of any number of polls
// at once one gets tokens.
func (h *deviceGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	won, err := h.e.redeem(ctx, f)
	if err != nil {
		return err
	}
	if !won {
		return invalidGrant("device code used twice at once")
	}
	f.finish(out)
	return nil
}
