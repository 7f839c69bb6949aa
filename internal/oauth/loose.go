package oauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// looseGrant is a grant that no browser session stands behind.
type looseGrant struct {
	id        id.Grant
	client    id.Client
	login     Login
	code      string // hash of what is redeemed for it; unique
	scopes    []string
	resources []string
	challenge string
	params    grantParams
	codeEnd   time.Time

	registered *client.Client
	now        time.Time
	consent    int64 // version of the consent that covers it; 0 = none needed
}

// prepareLoose reads everything that may have changed since the request was made.
func (e *Engine) prepareLoose(ctx context.Context, g *looseGrant, grantType string) error {
	c, err := e.clients.Get(ctx, g.client)
	if errs.Is(err, errs.NotFound) || err == nil && (!c.Active() || !c.AllowsGrant(grantType)) {
		return noClient()
	}
	if err != nil {
		return err
	}
	if grantType == client.GrantCIBA { // it may be in quarantine by now, because it took another's looks
		if err := e.mayAsk(c); err != nil {
			return err
		}
	}
	if !e.strongEnough(c, g.login) {
		return unmet()
	}
	x, err := e.index(ctx)
	if err != nil {
		return err
	}
	g.registered, g.now = c, e.clock.Now()
	if g.scopes = x.narrow(c, g.scopes); len(g.scopes) == 0 {
		return refuse(InvalidScope, "None of the scopes is open to this application any more.")
	}
	for _, r := range g.resources {
		if !x.target(e.issuer, c, r) {
			return refuse(InvalidTarget, "One of the resources is not open to this application any more.")
		}
	}
	return nil
}

// approveLoose records the person's consent and writes the grant, in the caller's transaction. The
// write succeeds only while the user is active and their session live.
func (e *Engine) approveLoose(ctx context.Context, g *looseGrant) error {
	// Before the grant: else a sweep of unused clients could take it along.
	if err := e.clients.Used(ctx, g.registered); err != nil {
		return err
	}
	if !g.registered.Metadata.FirstParty {
		if err := e.consents.Approve(ctx, g.login.User, g.client, g.scopes, g.resources); err != nil {
			if errors.Is(err, store.ErrForeignKey) {
				return noClient().because(err)
			}
			return err
		}
		have, err := e.consents.Find(ctx, g.login.User, g.client)
		if err != nil {
			return err
		}
		g.consent = store.Micros(have.UpdatedAt)
	}
	err := e.insertLoose(ctx, g, sqlInsertApproved, string(g.login.Session))
	if isNoRows(err) {
		return refuse(LoginRequired, "The sign-in is no longer valid.")
	}
	return err
}

// insertLoose writes the grant with a statement that takes it or leaves it: then the error is
// store.ErrNoRows. by is what must be live beside the user: a session, or nothing.
func (e *Engine) insertLoose(ctx context.Context, g *looseGrant, sql, by string) error {
	end := g.codeEnd.Add(e.accessTTL(g.registered))
	if slices.Contains(g.scopes, ScopeOfflineAccess) {
		end = g.now.Add(or(g.registered.Metadata.RefreshAbsoluteTTL, e.ttl.RefreshAbsolute))
	}
	g.params.Remembered = g.login.Remembered
	params, err := g.params.encode()
	if err != nil {
		return err
	}
	var gid string
	err = e.db.Q(ctx).QueryRow(ctx, sql, string(g.id), string(g.client), string(g.login.User), by,
		encodeList(g.scopes), encodeList(g.resources), store.Micros(g.login.AuthTime), g.login.ACR, encodeList(g.login.AMR),
		g.code, g.challenge, store.Micros(g.codeEnd), store.Micros(g.now), store.Micros(end), g.consent, params).Scan(&gid)
	if errors.Is(err, store.ErrForeignKey) {
		return noClient().because(err)
	}
	return err
}

// answer is a person's yes or no to what waits for it.
type answer struct {
	row, sql  string // what waits, and the statement that decides it once
	grantType string
	name      string                      // of what waits, in the records
	gone      string                      // message key: decided before, or over
	also      func(context.Context) error // in the transaction of either answer; nil for nothing
}

// settle takes it: a yes writes consent, grant and decision in one transaction, a no the decision. Of any
// number of answers the first one counts.
func (e *Engine) settle(ctx context.Context, g *looseGrant, allow bool, a answer) error {
	decided, gid := "denied", ""
	if allow {
		decided, gid = "approved", string(g.id)
		if err := e.prepareLoose(ctx, g, a.grantType); err != nil {
			return err
		}
	}
	user := string(g.login.User)
	err := e.db.InTx(ctx, func(ctx context.Context) error {
		err := e.db.Q(ctx).QueryRow(ctx, a.sql, a.row, decided, user, gid, store.Micros(e.clock.Now())).Scan(&g.code)
		if isNoRows(err) {
			return errs.New(errs.NotFound, a.gone, errors.New("decided before, expired, or not theirs"))
		}
		if err == nil && allow {
			err = e.approveLoose(ctx, g)
		}
		if err == nil && a.also != nil {
			err = a.also(ctx)
		}
		if err != nil {
			return err
		}
		return e.audit.Record(ctx, audit.Event{
			Action: a.name + "." + decided, Result: audit.OK, Actor: user, Target: user, Client: g.client, Detail: map[string]string{"grant": gid},
		})
	})
	return errs.Wrap("decide "+a.name, err)
}
