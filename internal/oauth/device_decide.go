package oauth

import (
	"context"
	"encoding/json"
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
// DV-02). The grant belongs to no browser session: the device stays signed in when the browser that
// approved it signs out.
func (e *Engine) DecideDevice(ctx context.Context, d *DeviceRequest, l Login, allow bool) error {
	grant := &looseGrant{
		id: id.Grant(id.New()), client: d.Client, login: l, scopes: d.ask.Scopes, resources: d.ask.Resources,
		challenge: d.ask.Challenge, params: grantParams{Details: d.ask.Details}, codeEnd: d.ExpiresAt,
	}
	return e.settle(ctx, grant, allow, answer{row: d.ID, sql: sqlDecideDevice, grantType: client.GrantDeviceCode, name: "device", gone: KeyNoDevice})
}
