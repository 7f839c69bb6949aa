package consent

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestConsent_GrowsUntilRevoked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		log, err := audit.New(audit.Deps{DB: db, Clock: now})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Deps{DB: db, Clock: now, Audit: log})
		if err != nil {
			t.Fatal(err)
		}
		const user, app = id.User("u"), id.Client("c")
		for _, sql := range []string{
			`INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ('u', 'active', '{}', 'test', 0, 0)`,
			`INSERT INTO client (id, name, kind, status, managed_by, metadata, created_at, updated_at) VALUES ('c', 'C', 'web', 'active', 'admin', '{}', 0, 0)`,
		} {
			if _, err := db.Q(ctx).Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		find := func() Consent {
			t.Helper()
			c, err := s.Find(ctx, user, app)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := find(); !c.CreatedAt.IsZero() {
			t.Errorf("a consent out of nothing: %+v", c)
		}
		for _, scopes := range [][]string{{"openid"}, {"read", "openid"}} {
			if err := s.Approve(ctx, user, app, scopes, []string{"https://api.test"}); err != nil {
				t.Fatal(err)
			}
		}
		// Twice at one instant still gives two versions: issuing relies on it.
		first := now.Now()
		want := Consent{Client: app, Scopes: []string{"openid", "read"}, Resources: []string{"https://api.test"}, CreatedAt: first, UpdatedAt: first.Add(time.Microsecond)}
		c := find()
		if d := cmp.Diff(want, c); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if s, r := c.Missing([]string{"openid", "write"}, []string{"https://api.test", "https://x.test"}); !cmp.Equal(s, []string{"write"}) || !cmp.Equal(r, []string{"https://x.test"}) {
			t.Errorf("missing %v %v", s, r)
		}
		list, err := s.List(ctx, user)
		if err != nil || len(list) != 1 {
			t.Errorf("%v %v", list, err)
		}
		var revoked bool
		err = db.InTx(ctx, func(ctx context.Context) (err error) {
			revoked, err = s.Revoke(ctx, user, app)
			return err
		})
		if err != nil || !revoked || !find().CreatedAt.IsZero() {
			t.Errorf("revoked %v (%v)", revoked, err)
		}
	})
}
