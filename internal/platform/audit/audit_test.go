package audit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/platform/clock"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newLog(t *testing.T, db *store.DB) (*Log, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(start)
	l, err := New(Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

func TestLog_RecordsAndLists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, c := newLog(t, db)
		ctx := WithSource(t.Context(), Source{IP: "192.0.2.1", UserAgent: "Lantern/1.0\x1b[31m", RequestID: "r1", Actor: "cli"})
		record := func(e Event) {
			t.Helper()
			if err := db.InTx(ctx, func(ctx context.Context) error { return l.Record(ctx, e) }); err != nil {
				t.Fatal(err)
			}
			c.Advance(time.Hour)
		}
		record(Event{Action: "login", Result: Refused, Target: "u1", Detail: map[string]string{"reason": "wrong\x00\n" + strings.Repeat("é", 600)}})
		record(Event{Action: "account.disable", Result: OK, Target: "u1", Actor: "admin"})
		record(Event{Action: "login", Result: OK, Target: "u2", Client: "app"})

		all, err := l.List(ctx, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		want := []Record{
			{At: start.Add(2 * time.Hour), Action: "login", Result: OK, Actor: "cli", Target: "u2", Client: "app", IP: "192.0.2.1", UserAgent: "Lantern/1.0[31m", RequestID: "r1"},
			{At: start.Add(time.Hour), Action: "account.disable", Result: OK, Actor: "admin", Target: "u1", IP: "192.0.2.1", UserAgent: "Lantern/1.0[31m", RequestID: "r1"},
			{At: start, Action: "login", Result: Refused, Actor: "cli", Target: "u1", IP: "192.0.2.1", UserAgent: "Lantern/1.0[31m", RequestID: "r1",
				Detail: map[string]string{"reason": "wrong" + strings.Repeat("é", 253)}}, // no controls, bounded, still text
		}
		if diff := cmp.Diff(want, all, cmpopts.IgnoreFields(Record{}, "ID")); diff != "" {
			t.Error(diff)
		}
		for _, tt := range []struct {
			f    Filter
			want int
		}{
			{Filter{Target: "u1"}, 2}, {Filter{Action: "login"}, 2}, {Filter{Target: "u1", Action: "login"}, 1},
			{Filter{Since: start.Add(time.Hour)}, 2}, {Filter{Limit: 1}, 1}, {Filter{Target: "nobody"}, 0},
			{Filter{Actor: "cli"}, 2}, {Filter{Actor: "admin"}, 1}, {Filter{Result: Refused}, 1}, {Filter{Client: "app"}, 1},
			{Filter{Until: start.Add(time.Hour)}, 1}, {Filter{Since: start.Add(time.Hour), Until: start.Add(2 * time.Hour)}, 1},
			{Filter{Target: "u1", Actor: "cli", Action: "login", Result: Refused, Since: start, Until: start.Add(time.Hour)}, 1},
			{Filter{Target: "' OR '1'='1"}, 0},
		} {
			got, err := l.List(ctx, tt.f)
			if err != nil || len(got) != tt.want {
				t.Errorf("%+v: %d records, %v, want %d", tt.f, len(got), err, tt.want)
			}
		}
		if n, err := l.DeleteBefore(ctx, start.Add(2*time.Hour), 1); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if n, err := l.DeleteBefore(ctx, start.Add(2*time.Hour), 10); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}

// The record and the act live and die together.
func TestLog_RollsBackWithTheAct(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(t, db)
		boom := errors.New("boom")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			if err := l.Record(ctx, Event{Action: "x", Result: OK}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if all, err := l.List(t.Context(), Filter{}); err != nil || len(all) != 0 {
			t.Errorf("%d records, %v", len(all), err)
		}
		defer func() {
			if recover() == nil {
				t.Error("recorded outside a transaction")
			}
		}()
		_ = l.Record(t.Context(), Event{Action: "x", Result: OK})
	})
}
