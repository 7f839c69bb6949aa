package oauth

import (
	"context"

	"github.com/ory/fosite"

	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// polledGrant is the side of an application that waits until a person has decided elsewhere: of a device
// (RFC 8628 §3.4), and of an application that asked somebody (CIBA §10.1).
type polledGrant struct {
	own
	e *Engine
	polled
}

// polled is in what the two differ.
type polled struct {
	param string  // of the token request
	kind  id.Kind // of its value
	name  string  // of it, in the log

	sqlFind, sqlPoll, sqlSlow string
	pending, expired          string // what the application is told
}

var (
	byDevice = polled{
		param: "device_code", kind: id.DeviceCode, name: "device code",
		sqlFind: sqlPolledDevice, sqlPoll: sqlPollDevice, sqlSlow: sqlSlowDevice,
		pending: "Nobody has entered the code yet.", expired: "The device code has expired.",
	}
	byCIBA = polled{
		param: "auth_req_id", kind: id.AuthRequest, name: "auth_req_id",
		sqlFind: sqlPolledCIBA, sqlPoll: sqlPollCIBA, sqlSlow: sqlSlowCIBA,
		pending: "The person has not decided yet.", expired: "The auth_req_id has expired.",
	}
)

// HandleTokenEndpointRequest judges the code, whose it is first. What the tokens would be bound to is asked
// for at once: after the person's yes it is late to hear that a certificate is missing.
func (h *polledGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	if err := f.sender(); err != nil {
		return err
	}
	hash, ok := id.Hash(h.kind, f.form.Get(h.param))
	if !ok {
		return invalidGrant("malformed " + h.name)
	}
	var status string
	var expires int64
	g := &f.grant
	err = h.e.db.Q(ctx).QueryRow(ctx, h.sqlFind, hash).Scan((*string)(&g.Client), &status, &expires)
	expired := !f.now.Before(store.Time(expires))
	switch {
	case isNoRows(err):
		return invalidGrant("unknown " + h.name)
	case err != nil:
		return err
	case g.Client != f.client.ID:
		return h.e.foreign(ctx, f, h.name)
	case status == "denied":
		return refuse(AccessDenied, "The request was refused.")
	case expired:
		return refuse(ExpiredToken, h.expired)
	case status == "pending":
		return h.wait(ctx, hash, f)
	}
	f.spends = hash
	return h.judge(ctx, f)
}

// wait says that nobody has decided yet, and slows down who asks too often (RFC 8628 §3.5, CIBA §11).
func (h *polledGrant) wait(ctx context.Context, hash string, f *flow) error {
	var row string
	err := h.e.db.Q(ctx).QueryRow(ctx, h.sqlPoll, hash, store.Micros(f.now)).Scan(&row)
	if err == nil {
		return refuse(AuthorizationPending, h.pending)
	}
	if !isNoRows(err) {
		return err
	}
	err = h.e.db.Q(ctx).QueryRow(ctx, h.sqlSlow, hash, store.Micros(f.now)).Scan(&row)
	switch {
	case err == nil:
		return refuse(SlowDown, "Asked too often: wait five seconds longer from now on.")
	case isNoRows(err): // decided just now: the next poll finds out
		return refuse(AuthorizationPending, h.pending)
	}
	return err
}

// judge reads the grant that the approval made. A code that was redeemed gives nothing more, but does not
// end the grant either: it never passes a browser, so a second use is an application that lost the answer
// or asked twice at once.
func (h *polledGrant) judge(ctx context.Context, f *flow) error {
	var spent string
	g := &f.grant
	if err := g.scan(h.e.db.Q(ctx).QueryRow(ctx, sqlPolledGrant, f.spends), &spent); isNoRows(err) {
		return invalidGrant("the grant is gone")
	} else if err != nil {
		return err
	}
	if spent != "" {
		return invalidGrant(h.name + " used before")
	}
	return h.e.redeemable(ctx, f)
}

// PopulateTokenEndpointResponse signs, then spends the code in one statement: of any number of polls
// at once one gets tokens.
func (h *polledGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	won, err := h.e.redeem(ctx, f)
	if err != nil {
		return err
	}
	if !won {
		return invalidGrant(h.name + " used twice at once")
	}
	f.finish(out)
	return nil
}
