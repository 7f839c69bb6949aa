package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// KeyNoDevice is the message key for a user code that nobody waits for: wrong, used or expired.
const KeyNoDevice = "device.unknown"

// DeviceRequest is a device that waits for a person's yes or no.
type DeviceRequest struct {
	ID        string
	Client    id.Client
	UserCode  string // canonical
	Scopes    []string
	Resources []string
	Details   []Detail
	IP        string // from where the device asked
	UserAgent string
	CreatedAt time.Time
	ExpiresAt time.Time

	ask remoteAsk
}

// The budgets say how many wrong codes may be tried while one is valid. Eight letters of twenty and five
// tries leave less than 2^-32 to luck (RFC 8628 §5.1); an office behind one address has more people.
func (e *Engine) budgetCodes() ratelimit.Budget {
	return ratelimit.Budget{Name: "device-code", Limit: 5, Per: e.device.Lifetime}
}

func (e *Engine) budgetCodesNetwork() ratelimit.Budget {
	return ratelimit.Budget{Name: "device-code-network", Limit: 30, Per: e.device.Lifetime}
}

// FindDevice finds the device that waits with a code. The try is counted before it is looked at and
// given back when it was right. Only somebody who is signed in may try, so that every try has an
// account to count against.
func (e *Engine) FindDevice(ctx context.Context, user id.User, typed string) (*DeviceRequest, error) {
	code, ok := ParseUserCode(typed)
	if !ok || user == "" || !e.offers(client.GrantDeviceCode) {
		return nil, errs.New(errs.NotFound, KeyNoDevice, nil)
	}
	tries, err := e.limits.Reserve(ctx,
		ratelimit.Key{Budget: e.budgetCodes(), Value: string(user)},
		ratelimit.Key{Budget: e.budgetCodesNetwork(), Value: ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)})
	if err != nil {
		return nil, err
	}
	d := &DeviceRequest{UserCode: code}
	var text string
	var created, expires int64
	err = e.db.Q(ctx).QueryRow(ctx, sqlWaitingDevice, e.userCodeHash(code), store.Micros(e.clock.Now())).
		Scan(&d.ID, (*string)(&d.Client), &text, &created, &expires)
	if isNoRows(err) {
		return nil, errs.New(errs.NotFound, KeyNoDevice, nil)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &d.ask)
	}
	if err != nil {
		return nil, errs.Wrap("find device", err)
	}
	d.Scopes, d.Resources, d.Details = d.ask.Scopes, d.ask.Resources, e.describeDetails(d.ask.Details)
	d.IP, d.UserAgent, d.CreatedAt, d.ExpiresAt = d.ask.IP, d.ask.UserAgent, store.Time(created), store.Time(expires)
	return d, tries.Succeed(ctx)
}

// DecideDevice takes the person's answer: the first one counts, of any number at once (security case
// DV-02). A yes writes consent, grant and decision in one transaction. The grant belongs to no browser
// session: the device stays signed in when the browser that approved it signs out.
func (e *Engine) DecideDevice(ctx context.Context, d *DeviceRequest, l Login, allow bool) error {
	grant := &looseGrant{
		id: id.Grant(id.New()), client: d.Client, login: l, scopes: d.ask.Scopes, resources: d.ask.Resources,
		challenge: d.ask.Challenge, params: grantParams{Details: d.ask.Details}, codeEnd: d.ExpiresAt,
	}
	decided, action, gid := "denied", "device.denied", ""
	if allow {
		decided, action, gid = "approved", "device.approved", string(grant.id)
		if err := e.prepareLoose(ctx, grant, client.GrantDeviceCode); err != nil {
			return err
		}
	}
	err := e.db.InTx(ctx, func(ctx context.Context) error {
		err := e.db.Q(ctx).QueryRow(ctx, sqlDecideDevice, d.ID, decided, string(l.User), gid, store.Micros(e.clock.Now())).Scan(&grant.code)
		if isNoRows(err) {
			return errs.New(errs.NotFound, KeyNoDevice, errors.New("decided before, or expired"))
		}
		if err != nil {
			return err
		}
		if allow {
			if err := e.approveLoose(ctx, grant); err != nil {
				return err
			}
		}
		return e.audit.Record(ctx, audit.Event{
			Action: action, Result: audit.OK, Actor: string(l.User), Target: string(l.User), Client: d.Client,
			Detail: map[string]string{"grant": gid},
		})
	})
	return errs.Wrap("decide device", err)
}

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
