package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// Backchannel authentication (OpenID Connect CIBA Core 1.0): an application asks somebody who is not in
// front of it. ciba_read.go reads what it asks, ciba_decide.go takes the person's answer, ciba_ping.go tells
// the application of it.

// CIBATerms are the terms of backchannel authentication.
type CIBATerms struct {
	Lifetime    time.Duration // of a request that asks for no other; 0 means 5 min
	MaxLifetime time.Duration // that one may ask for; 0 means 1 h
	Interval    time.Duration // between two polls; 0 means 5 s
	Prompts     int           // of one application to one person in an hour; 0 means 12
	Misses      int           // hints of one application in an hour that name nobody; 0 means 60
	// Registered admits applications in quarantine, which nobody here has looked at.
	Registered bool
}

func (t CIBATerms) withDefaults() CIBATerms {
	t.Lifetime, t.Interval = or(t.Lifetime, 5*time.Minute), or(t.Interval, 5*time.Second)
	t.MaxLifetime = max(or(t.MaxLifetime, time.Hour), t.Lifetime)
	t.Prompts, t.Misses = cmp.Or(t.Prompts, 12), cmp.Or(t.Misses, 60)
	return t
}

// Directory knows people by what applications call them, and reaches them.
type Directory interface {
	// Find returns whose verified address or user name this is; errs.NotFound if nobody's.
	Find(ctx context.Context, hint string) (id.User, error)
	// Tell writes to the person that an application waits for their decision, in the transaction that
	// ctx carries. Somebody who cannot be written to is no error: they find it in their account.
	Tell(ctx context.Context, user id.User, a Asking) error
}

// Asking is what a person is written: who asks, until when, and on which page they decide.
type Asking struct {
	Application string
	Page        string // below the issuer
	Expires     time.Time
}

// ciba is what the engine keeps for it.
type ciba struct {
	terms     CIBATerms
	directory Directory
	outbox    *outbox.Service
	ping      Poster
}

func (c *ciba) ready() bool { return c.directory != nil && c.outbox != nil && c.ping != nil }

// AuthRequest is the answer to a backchannel authentication request (CIBA §7.3).
type AuthRequest struct {
	AuthReqID string `json:"auth_req_id"`
	ExpiresIn int64  `json:"expires_in"`
	Interval  int64  `json:"interval"`
}

// AskedPath is the page on which people see who waits for them, below the issuer; a request has its id
// behind it.
const AskedPath = "/account/requests"

// maxAsked is how many requests of one application may wait for one person at once.
const maxAsked = 5

// The budgets bound how often people are disturbed: their phones must not ring until they give in. They
// are per application and person, and per person; and misses per application, because the answer to a
// hint says whether there is such an account.
func (e *Engine) budgetAsked() ratelimit.Budget {
	return ratelimit.Budget{Name: "ciba-request", Limit: e.ciba.terms.Prompts, Per: time.Hour}
}

func (e *Engine) budgetAskedPerson() ratelimit.Budget {
	return ratelimit.Budget{Name: "ciba-person", Limit: 3 * e.ciba.terms.Prompts, Per: time.Hour}
}

func (e *Engine) budgetUnknown() ratelimit.Budget {
	return ratelimit.Budget{Name: "ciba-unknown", Limit: e.ciba.terms.Misses, Per: time.Hour}
}

// Backchannel answers a backchannel authentication request (CIBA §7).
func (e *Engine) Backchannel(ctx context.Context, call Call) (*AuthRequest, error) {
	if duplicate(call.Form) != "" {
		return nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	c, err := e.authenticate(ctx, &call)
	if err != nil {
		return nil, err
	}
	if err := e.mayAsk(c); err != nil {
		return nil, err
	}
	ask, err := e.readCIBA(ctx, c, call.Form)
	if err != nil {
		return nil, err
	}
	if ask.user, err = e.hintedUser(ctx, c, ask.hint); err != nil {
		return nil, err
	}
	_, err = e.limits.Reserve(ctx,
		ratelimit.Key{Budget: e.budgetAsked(), Value: string(c.ID) + " " + string(ask.user)},
		ratelimit.Key{Budget: e.budgetAskedPerson(), Value: string(ask.user)})
	if err != nil {
		return nil, err
	}
	return e.openCIBA(ctx, c, ask)
}

// mayAsk: confidential applications that somebody here let in (CIBA §4). Whoever registers itself could
// otherwise write to people in our name.
func (e *Engine) mayAsk(c *client.Client) error {
	switch {
	case !e.offers(client.GrantCIBA) || !c.AllowsGrant(client.GrantCIBA):
		return refuse(UnauthorizedClient, "The application is not registered for this grant type.")
	case c.Public():
		return refuse(UnauthorizedClient, "Only applications that authenticate may ask people.")
	case c.Unvetted() && !e.ciba.terms.Registered:
		return refuse(UnauthorizedClient, "An operator has to let the application in before it may ask people.")
	}
	return nil
}

// openCIBA writes the request and tells its person.
func (e *Engine) openCIBA(ctx context.Context, c *client.Client, ask *cibaAsk) (*AuthRequest, error) {
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	token, row, now := id.NewToken(id.AuthRequest), id.New(), e.clock.Now()
	hash, _ := id.Hash(id.AuthRequest, token)
	expires := now.Add(ask.lifetime)
	sealed, err := e.sealPing(c, row, ping{AuthReqID: token, Token: ask.notification})
	if err != nil {
		return nil, err
	}
	err = e.db.InTx(ctx, func(ctx context.Context) error {
		if err := e.spendObject(ctx, c, ask); err != nil {
			return err
		}
		var made string
		err := e.db.Q(ctx).QueryRow(ctx, sqlInsertCIBA, row, hash, string(c.ID), string(ask.user), string(text), sealed,
			int64(e.ciba.terms.Interval/time.Second), store.Micros(now), maxAsked, store.Micros(expires)).Scan(&made)
		switch {
		case isNoRows(err):
			return errs.Retry(errs.Limited, "too_many_requests", time.Minute)
		case errors.Is(err, store.ErrForeignKey):
			return noClient().because(err)
		case err != nil:
			return err
		}
		err = e.audit.Record(ctx, audit.Event{
			Action: "ciba.asked", Result: audit.OK, Actor: string(c.ID), Target: string(ask.user), Client: c.ID,
		})
		if err != nil {
			return err
		}
		return e.ciba.directory.Tell(ctx, ask.user, Asking{Application: c.Name, Page: AskedPath + "/" + row, Expires: expires})
	})
	if err != nil {
		return nil, err
	}
	return &AuthRequest{
		AuthReqID: token, ExpiresIn: int64(ask.lifetime / time.Second), Interval: int64(e.ciba.terms.Interval / time.Second),
	}, nil
}
