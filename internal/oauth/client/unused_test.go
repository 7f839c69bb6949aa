package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// from is an open registration by a network, with room for four.
func from(source string) Registered { return Registered{Source: source, MaxQuarantined: 4} }

func register(t *testing.T, s *Service, r Registered) *Client {
	t.Helper()
	c, _, _, err := s.Register(t.Context(), described(t, webText), r)
	must(t, err)
	return &c
}

func there(t *testing.T, s *Service, c *Client) bool {
	t.Helper()
	_, err := s.load(t.Context(), c.ID)
	if err != nil && !errs.Is(err, errs.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// Security case RG-11: a full quarantine closes registration to nobody. The oldest of the network goes that
// holds most clients which nobody ever used, and never one that somebody did.
func TestRegister_DisplacesUnused(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		honest := register(t, s, from("192.0.2.1"))
		c.Advance(time.Minute)
		old := register(t, s, from("198.51.100.7"))
		used := register(t, s, from("198.51.100.7"))
		must(t, s.Used(t.Context(), used)) // within the first hour
		newer := register(t, s, from("198.51.100.7"))
		if _, _, _, err := s.Register(t.Context(), described(t, webText), from("203.0.113.5")); !errs.Is(err, errs.Busy) {
			t.Fatalf("all of them are new: %v", err)
		}
		c.Advance(newFor)
		register(t, s, from("203.0.113.5"))
		if there(t, s, old) || !there(t, s, honest) || !there(t, s, used) || !there(t, s, newer) || audited(t, s, "client.displace") != 1 {
			t.Error("another one went than the oldest of the network with most of them")
		}
		for range 3 { // as many as there are in all: one each, then by age; the used one stays
			c.Advance(newFor)
			register(t, s, from("198.51.100.7"))
		}
		if there(t, s, honest) || !there(t, s, used) {
			t.Error("by age")
		}
		if list, err := s.List(t.Context(), ListOptions{}); err != nil || len(list) != 4 {
			t.Errorf("%d clients, %v", len(list), err)
		}
	})
}

// Who floods from one network displaces his own at once, while those of others are still protected.
func TestRegister_FloodDisplacesItself(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		wide := func(source string) Registered { return Registered{Source: source, MaxQuarantined: newShare + 3} }
		honest := register(t, s, wide("192.0.2.1"))
		first := register(t, s, wide("198.51.100.7"))
		for range newShare + 5 {
			register(t, s, wide("198.51.100.7"))
		}
		other := register(t, s, wide("192.0.2.2"))
		if !there(t, s, honest) || !there(t, s, other) || there(t, s, first) {
			t.Error("a flood pushed others out")
		}
	})
}

// One that an operator vouched for, and that looks different since, has users: it is not displaced.
func TestRegister_SparesWhatWasApproved(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		known, _, token, err := s.Register(ctx, described(t, webText), from("192.0.2.1"))
		must(t, err)
		must(t, s.Approve(ctx, known.ID))
		_, _, _, err = s.Reregister(ctx, known.ID, token.Reveal(), described(t, `{"client_name":"Owl 2","redirect_uris":["https://owl.test/cb"]}`), "")
		must(t, err)
		for range 8 {
			c.Advance(newFor)
			register(t, s, from("198.51.100.7"))
		}
		if c := get(t, s, known.ID); !c.Metadata.Quarantined {
			t.Error("it is not in quarantine")
		}
	})
}

// grants writes what the store holds of a person's use of clients.
type grants struct {
	t  *testing.T
	db *store.DB
}

func people(t *testing.T, db *store.DB) grants {
	t.Helper()
	g := grants{t, db}
	must(t, g.exec(`INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ('u', 'active', '{}', 'test', 0, 0)`))
	return g
}

func (g grants) exec(sql string, args ...any) error {
	ctx := context.WithoutCancel(g.t.Context())
	_, err := g.db.Q(ctx).Exec(ctx, sql, args...)
	return err
}

func (g grants) consent(cid id.Client) error {
	return g.exec(`INSERT INTO consent (account_id, client_id, scopes, resources, created_at, updated_at) VALUES ('u', $1, '[]', '[]', 1, 1)`, cid)
}

func (g grants) grant(cid id.Client, until time.Time, revoked int64) error {
	return g.exec(`INSERT INTO oauth_grant (id, client_id, account_id, session_id, scopes, resources, auth_time, acr, amr, nonce, code_hash, code_challenge,
		code_expires_at, redirect_uri, created_at, expires_at, revoked_at) VALUES ($1, $2, 'u', '', '[]', '[]', 0, '', '[]', '', $1, '', 0, '', 0, $3, $4)`,
		id.New(), cid, store.Micros(until), revoked)
}

func (g grants) count(table string) (n int64) {
	g.t.Helper()
	must(g.t, g.db.Q(g.t.Context()).QueryRow(g.t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n))
	return n
}

// adopted is a document that people use.
func adopted(t *testing.T, s *Service) *Client {
	t.Helper()
	p := publish(t, nil)
	get(t, s, p.id())
	must(t, s.Adopt(t.Context(), p.id()))
	return get(t, s, p.id())
}

// Security case RG-12: documents that nobody uses any more go, with the consents to them; those of which
// anything lives stay, and so does one that an operator disabled.
func TestDocument_UnusedGoes(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx, g := t.Context(), people(t, s.d.DB)
		kinds := []string{"unused", "live grant", "revoked grant", "expired grant", "session", "notice", "told", "disabled", "used"}
		docs := map[string]*Client{}
		for _, kind := range kinds {
			docs[kind] = adopted(t, s)
			must(t, g.consent(docs[kind].ID))
		}
		end := c.Now().Add(365 * 24 * time.Hour)
		notice := `INSERT INTO outbox (id, kind, subject, recipient, payload, state, attempts, claimed, due_at, last_error, created_at, expires_at, done_at)
			VALUES ($1, 'logout', 'u', $2, $3, $4, 0, FALSE, 0, '', 0, 0, 0)`
		must(t, errors.Join(
			g.grant(docs["live grant"].ID, end, 0), g.grant(docs["revoked grant"].ID, end, 1), g.grant(docs["expired grant"].ID, c.Now(), 0),
			g.exec(`INSERT INTO session_client (session_id, client_id, account_id, sub, created_at) VALUES ('s', $1, 'u', 'u', 0)`, docs["session"].ID),
			g.exec(notice, id.New(), docs["notice"].ID, []byte{}, "pending"), g.exec(notice, id.New(), docs["told"].ID, []byte{}, "done"),
			s.Disable(ctx, docs["disabled"].ID)))
		c.Advance(50 * 24 * time.Hour)
		must(t, s.Used(ctx, docs["used"]))
		if n, err := s.DeleteUnusedDocuments(ctx, 100); n != 0 || err != nil {
			t.Errorf("before their time: %d, %v", n, err)
		}
		c.Advance(41 * 24 * time.Hour)
		if n, err := s.DeleteUnusedDocuments(ctx, 3); n != 3 || err != nil {
			t.Errorf("%d of at most three, %v", n, err)
		}
		if n, err := s.DeleteUnusedDocuments(ctx, 100); n != 1 || err != nil {
			t.Errorf("%d more, %v", n, err)
		}
		for _, kind := range kinds {
			want := !slices.Contains([]string{"unused", "revoked grant", "expired grant", "told"}, kind)
			if there(t, s, docs[kind]) != want {
				t.Errorf("%s: there is %v", kind, !want)
			}
		}
		if n := g.count("consent"); n != 5 || audited(t, s, "client.expire") != 4 {
			t.Errorf("%d consents", n)
		}
		if n, err := s.DeleteUnusedDocuments(ctx, 100); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		// Whoever comes back is a stranger, and can become a client again.
		must(t, s.Adopt(ctx, docs["unused"].ID))
	})
}

// Of rows of an earlier release it is not known when they were used: their time begins when they are seen.
func TestDocument_UnusedOfBefore(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		old := adopted(t, s)
		must(t, people(t, s.d.DB).exec(`UPDATE client SET used_at = 0`))
		c.Advance(1000 * 24 * time.Hour)
		for _, want := range []int64{0, 0, 1} {
			if n, err := s.DeleteUnusedDocuments(t.Context(), 10); n != want || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if want == 0 && !there(t, s, old) {
				t.Error("it went")
			}
			c.Advance(46 * 24 * time.Hour)
		}
	})
}

// Security case RG-12: there are only so many documents. One more takes the place of one of which nothing
// lives, or is refused; those that people use stay.
func TestDocument_Bounded(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx, g := t.Context(), people(t, s.d.DB)
		s.d.Documents.Most = 2
		live, idle := adopted(t, s), adopted(t, s)
		must(t, g.grant(live.ID, c.Now().Add(365*24*time.Hour), 0))
		p := publish(t, nil)
		get(t, s, p.id())
		if err := s.Adopt(ctx, p.id()); !errors.Is(err, ErrDocumentsFull) || !errs.Is(err, errs.Busy) {
			t.Fatalf("the third: %v", err)
		}
		if n := g.count("client"); n != 2 {
			t.Fatalf("%d rows after the refusal", n)
		}
		must(t, s.Adopt(ctx, live.ID)) // those that are there go on
		c.Advance(documentIdle + time.Hour)
		get(t, s, p.id())
		must(t, s.Adopt(ctx, p.id()))
		if !there(t, s, live) || there(t, s, idle) || audited(t, s, "client.displace") != 1 {
			t.Error("not the idle one went")
		}
		q := publish(t, nil)
		get(t, s, q.id())
		for cid, want := range map[id.Client]bool{q.id(): true, p.id(): false, "shop": false} {
			if is, err := s.New(ctx, cid); is != want || err != nil {
				t.Errorf("%s is new: %v, %v", cid, is, err)
			}
		}
	})
}

// Security cases RG-11, RG-12: a sign-in against the deletion of its client. Either the client stays, or
// nothing was written that the deletion took along.
func TestRace_UseAgainstDeletion(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			one, two := open(t, storetest.Connect(t, url), c, nil), open(t, storetest.Connect(t, url), c, nil)
			g := people(t, one.d.DB)
			var clients []*Client
			for i := range 8 {
				clients = append(clients, register(t, one, Registered{Source: fmt.Sprintf("192.0.2.%d", i), MaxQuarantined: 8}), adopted(t, one))
			}
			c.Advance(91 * 24 * time.Hour) // all of them are due, and can be displaced
			ctx := context.WithoutCancel(t.Context())
			var mu sync.Mutex
			var written int64
			var wg sync.WaitGroup
			for _, cl := range clients {
				wg.Go(func() {
					if err := one.Used(ctx, cl); err != nil {
						t.Errorf("use: %v", err)
					}
					err := g.grant(cl.ID, c.Now().Add(time.Hour), 0)
					if err == nil {
						mu.Lock()
						written++
						mu.Unlock()
					} else if !errors.Is(err, store.ErrForeignKey) {
						t.Errorf("grant: %v", err)
					}
				})
			}
			wg.Go(func() {
				for range 4 {
					_, _, _, err := two.Register(ctx, described(t, webText), Registered{Source: "203.0.113.9", MaxQuarantined: 8})
					if err != nil && !errs.Is(err, errs.Busy) {
						t.Errorf("register: %v", err)
					}
				}
			})
			for _, sweep := range []func(context.Context, int) (int64, error){two.DeleteUnused, two.DeleteUnusedDocuments} {
				wg.Go(func() {
					for range 8 {
						if _, err := sweep(ctx, 1); err != nil {
							t.Errorf("sweep: %v", err)
						}
					}
				})
			}
			wg.Wait()
			if n := g.count("oauth_grant"); n != written {
				t.Errorf("%d grants of %d that were written", n, written)
			}
			if n := g.count("client_registration"); n > 8 {
				t.Errorf("%d in quarantine", n)
			}
		})
	}
}
