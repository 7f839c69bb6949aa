package logout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
)

const (
	// loops batches are under way at once: one application that is slow takes at most perClient of
	// their places, and soon none (gate.go).
	loops     = 4
	perClient = 4
	// patience is what an attempt may take: the wait for a place, a look at the application's keys, the
	// post.
	patience = 3 * fetch.DefaultTimeout
)

// deliver posts one notice (OIDC Back-Channel Logout §2.5). Whatever is not a success is tried again
// until the notice expires: 400 stands for a logout that failed at the application as well as for a
// token that it did not like (§2.8), and a person who stays signed in costs more than some requests.
// Each attempt has a fresh token, so that none is older than it may be (§2.4, iat and exp).
func (s *Service) deliver(ctx context.Context, d outbox.Delivery, token TokenFunc) error {
	var n Notice
	if err := json.Unmarshal(d.Payload, &n); err != nil {
		return outbox.Permanent(err)
	}
	c, err := s.d.Clients.Recorded(ctx, id.Client(d.Recipient))
	switch {
	case errs.Is(err, errs.NotFound):
		return outbox.Permanent(errors.New("the application is not registered any more"))
	case err != nil:
		return err
	case c.Metadata.BackchannelLogoutURI == "":
		return outbox.Permanent(errors.New("the application has no backchannel_logout_uri any more"))
	}
	leave, err := s.gates.enter(ctx, c.ID)
	if err != nil {
		return err
	}
	text, err := token(ctx, c, n, tokenID(d))
	if err != nil {
		leave(true) // ours, or its keys': other notices have no better chance
		return fmt.Errorf("logout token: %w", err)
	}
	status, err := s.d.Fetch.Post(ctx, c.Metadata.BackchannelLogoutURI, url.Values{"logout_token": {text}})
	leave(err != nil || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests)
	switch {
	case err != nil:
		return err
	case status < 200 || status > 299: // 200; frameworks say 204 (§2.8)
		return outbox.Refused(fmt.Errorf("the application answered %d", status))
	}
	return nil
}

// tokenID is the jti of an attempt (§2.4): the same in all that nobody knows the end of, so that a receiver
// which took the notice recognizes it (§2.6, step 8), and another one once it has refused, for it may have
// noted the jti before it failed. Before the dot it is the notice's.
func tokenID(d outbox.Delivery) string {
	return d.ID + "." + strconv.FormatInt(store.Micros(d.Answered), 36)
}
