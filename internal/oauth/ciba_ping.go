package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
)

// PingKind names the pings of CIBA in the outbox.
const PingKind = "ciba-ping"

// pingLoops batches are under way at once, so that an application that is slow does not hold up the
// others.
const pingLoops = 4

// Poster sends a document to an address that an application registered; platform/fetch is it.
type Poster interface {
	PostJSON(ctx context.Context, address string, header http.Header, body []byte) (status int, err error)
}

// ping is what is needed to tell an application of a decision: kept sealed in the row of its request, then
// in the outbox.
type ping struct {
	AuthReqID string `json:"auth_req_id"`
	Token     string `json:"token"`
}

// sealPing seals what a client in ping mode is told with; "" for one that polls.
func (e *Engine) sealPing(c *client.Client, row string, p ping) (string, error) {
	if !c.Metadata.Pinged() {
		return "", nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return encode64(e.seal.Seal("ciba_request", "ping", row, text)), nil
}

// notify puts the ping of a decided request into the outbox, in the transaction of the decision. It is
// worthless once the request has expired.
func (e *Engine) notify(ctx context.Context, a *Asked) error {
	if a.ping == "" {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(a.ping)
	if err != nil {
		return errs.Wrap("ping", err)
	}
	text, err := e.seal.Open("ciba_request", "ping", a.ID, sealed)
	if err != nil {
		return errs.Wrap("ping", err)
	}
	_, err = e.ciba.outbox.Put(ctx, outbox.Message{
		Kind: PingKind, Subject: string(a.User), Recipient: string(a.Client), Payload: text, Expires: a.ExpiresAt,
	})
	return err
}

// deliverPing tells an application that a decision is there (CIBA §10.2). Redirects are not followed, and
// what the answer says is not read. An application that refuses hears nothing more: it can still poll.
func (e *Engine) deliverPing(ctx context.Context, d outbox.Delivery) error {
	var p ping
	if err := json.Unmarshal(d.Payload, &p); err != nil {
		return outbox.Permanent(err)
	}
	c, err := e.clients.Recorded(ctx, id.Client(d.Recipient))
	switch {
	case errs.Is(err, errs.NotFound), err == nil && !c.Active():
		return outbox.Permanent(errors.New("the application is not registered any more, or is switched off"))
	case err != nil:
		return err
	case !c.Metadata.Pinged():
		return outbox.Permanent(errors.New("the application polls by now"))
	}
	if c.Strange() {
		ctx = fetch.Stranger(ctx)
	}
	body, err := json.Marshal(struct {
		AuthReqID string `json:"auth_req_id"`
	}{p.AuthReqID})
	if err != nil {
		return outbox.Permanent(err)
	}
	status, err := e.ciba.ping.PostJSON(ctx, c.Metadata.CIBANotification, http.Header{"Authorization": {"Bearer " + p.Token}}, body)
	switch {
	case err != nil:
		return err
	case status >= 200 && status <= 299:
		return nil
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return fmt.Errorf("the application answered %d", status)
	}
	return outbox.Permanent(fmt.Errorf("the application answered %d", status))
}
