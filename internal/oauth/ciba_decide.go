package oauth

import (
	"context"
	"encoding/json"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// KeyNotAsked is the message key for a request that does not wait for whoever looks: answered, expired, or
// somebody else's.
const KeyNotAsked = "asked.unknown"

// Asked is a backchannel authentication request that waits for its person's yes or no.
type Asked struct {
	ID        string
	Client    id.Client
	User      id.User // who is asked, and nobody else
	Message   string  // to be compared with what the application shows; "" for none
	Scopes    []string
	Resources []string
	Details   []Detail
	ACRValues []string
	IP        string // from where the application asked
	CreatedAt time.Time
	ExpiresAt time.Time

	ask  cibaAsk
	ping string // sealed
}

// AskedOf lists what waits for somebody, the oldest first.
func (e *Engine) AskedOf(ctx context.Context, user id.User) ([]*Asked, error) {
	list, err := store.All(ctx, e.db.Q(ctx), e.scanAsked, sqlAsked, string(user), store.Micros(e.clock.Now()))
	return list, errs.Wrap("list requests", err)
}

// AskedCount counts what waits for somebody.
func (e *Engine) AskedCount(ctx context.Context, user id.User) (n int, err error) {
	err = e.db.Q(ctx).QueryRow(ctx, sqlAskedCount, string(user), store.Micros(e.clock.Now())).Scan(&n)
	return n, errs.Wrap("count requests", err)
}

// FindAsked finds one of them.
func (e *Engine) FindAsked(ctx context.Context, user id.User, row string) (*Asked, error) {
	a, err := e.scanAsked(e.db.Q(ctx).QueryRow(ctx, sqlAskedOne, string(user), store.Micros(e.clock.Now()), row))
	if isNoRows(err) {
		return nil, errs.New(errs.NotFound, KeyNotAsked, nil)
	}
	return a, errs.Wrap("find request", err)
}

func (e *Engine) scanAsked(r store.Row) (*Asked, error) {
	a := &Asked{}
	var text string
	var created, expires int64
	err := r.Scan(&a.ID, (*string)(&a.Client), (*string)(&a.User), &text, &a.ping, &created, &expires)
	if err == nil {
		err = json.Unmarshal([]byte(text), &a.ask)
	}
	if err != nil {
		return nil, err
	}
	a.Message, a.ACRValues, a.IP = a.ask.Message, a.ask.ACRValues, a.ask.IP
	a.Scopes, a.Resources, a.Details = a.ask.Scopes, a.ask.Resources, e.describeDetails(a.ask.Details)
	a.CreatedAt, a.ExpiresAt = store.Time(created), store.Time(expires)
	return a, nil
}

// DecideAsked takes the person's answer: the first one counts, of any number at once (security case CB-02).
// Either answer puts the application's ping into its transaction. The grant belongs to no browser session: the
// application is not in the browser that approved it.
func (e *Engine) DecideAsked(ctx context.Context, a *Asked, l Login, allow bool) error {
	grant := &looseGrant{
		id: id.Grant(id.New()), client: a.Client, login: l, scopes: a.ask.Scopes, resources: a.ask.Resources,
		params: grantParams{Details: a.ask.Details}, codeEnd: a.ExpiresAt,
	}
	return e.settle(ctx, grant, allow, answer{
		row: a.ID, sql: sqlDecideCIBA, grantType: client.GrantCIBA, name: "ciba", gone: KeyNotAsked,
		also: func(ctx context.Context) error { return e.notify(ctx, a) },
	})
}
