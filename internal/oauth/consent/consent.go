// Package consent owns what a user granted to which application: one row per pair, holding the
// scopes and resources agreed to. It does not decide when to ask (internal/oauth does) and
// issues nothing.
package consent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Consent is what one user granted one client.
type Consent struct {
	Client    id.Client
	Scopes    []string
	Resources []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Missing returns what of the asked scopes and resources is not covered.
func (c *Consent) Missing(scopes, resources []string) (s, r []string) {
	return without(scopes, c.Scopes), without(resources, c.Resources)
}

func without(asked, have []string) []string {
	var out []string
	for _, a := range asked {
		if !slices.Contains(have, a) {
			out = append(out, a)
		}
	}
	return out
}

// Deps is what a Service needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Audit *audit.Log
}

// Service keeps consents.
type Service struct {
	db    *store.DB
	clock clock.Clock
	audit *audit.Log
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Audit == nil {
		return nil, errors.New("consent: missing dependency")
	}
	return &Service{db: d.DB, clock: d.Clock, audit: d.Audit}, nil
}

// Find returns the consent of a user for a client; without one, an empty Consent whose
// CreatedAt is zero.
func (s *Service) Find(ctx context.Context, user id.User, client id.Client) (Consent, error) {
	var scopes, resources string
	var created, updated int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlConsent, string(user), string(client)).Scan(&scopes, &resources, &created, &updated)
	if errors.Is(err, store.ErrNoRows) {
		return Consent{Client: client}, nil
	}
	if err != nil {
		return Consent{}, err
	}
	return decode(client, scopes, resources, created, updated)
}

// List returns all consents of a user.
func (s *Service) List(ctx context.Context, user id.User) ([]Consent, error) {
	return store.All(ctx, s.db.Q(ctx), func(r store.Row) (Consent, error) {
		var client, scopes, resources string
		var created, updated int64
		if err := r.Scan(&client, &scopes, &resources, &created, &updated); err != nil {
			return Consent{}, err
		}
		return decode(id.Client(client), scopes, resources, created, updated)
	}, sqlConsents, string(user))
}

// Approve adds scopes and resources to what the user granted the client, with its audit event
// in the same transaction.
func (s *Service) Approve(ctx context.Context, user id.User, client id.Client, scopes, resources []string) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		// Two approvals at once can lose one's additions here; the loser is asked again,
		// because issuing reads the row anew. Never the other way round.
		have, err := s.Find(ctx, user, client)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		if !now.After(have.UpdatedAt) {
			now = have.UpdatedAt.Add(time.Microsecond) // UpdatedAt doubles as the row's version
		}
		sc, re := union(have.Scopes, scopes), union(have.Resources, resources)
		if _, err := s.db.Q(ctx).Exec(ctx, sqlSaveConsent, string(user), string(client), encode(sc), encode(re), store.Micros(now)); err != nil {
			return err
		}
		return s.audit.Record(ctx, audit.Event{
			Action: "consent.granted", Result: "ok", Actor: string(user), Target: string(user), Client: client,
			Detail: map[string]string{"scopes": strings.Join(scopes, " ")},
		})
	})
}

// Revoke forgets the consent. It runs in the caller's transaction, which also revokes what was
// issued under it; revoked reports whether there was one.
func (s *Service) Revoke(ctx context.Context, user id.User, client id.Client) (revoked bool, err error) {
	store.MustTx(ctx)
	n, err := s.db.Q(ctx).Exec(ctx, sqlDeleteConsent, string(user), string(client))
	return n > 0, err
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

func encode(list []string) string {
	if list == nil {
		list = []string{}
	}
	b, _ := json.Marshal(list) // a list of strings always encodes
	return string(b)
}

func decode(client id.Client, scopes, resources string, created, updated int64) (Consent, error) {
	c := Consent{Client: client, CreatedAt: store.Time(created), UpdatedAt: store.Time(updated)}
	if err := json.Unmarshal([]byte(scopes), &c.Scopes); err != nil {
		return Consent{}, err
	}
	return c, json.Unmarshal([]byte(resources), &c.Resources)
}
