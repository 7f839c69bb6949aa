package audit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// Page after page, each record once, also where many share an instant and new ones arrive.
func TestList_CursorLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, c := newLog(t, db)
		record := func(target string) {
			t.Helper()
			if err := db.InTx(t.Context(), func(ctx context.Context) error {
				return l.Record(ctx, Event{Action: "login", Result: OK, Target: target})
			}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 23 {
			if i%5 == 0 {
				c.Advance(time.Microsecond)
			}
			record(fmt.Sprint(i))
		}
		seen := map[string]bool{}
		f := Filter{Limit: 4}
		for page := 0; ; page++ {
			list, err := l.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if seen[r.Target] || r.Target == "late" {
					t.Errorf("page %d shows %s again", page, r.Target)
				}
				seen[r.Target] = true
			}
			if len(list) < f.Limit {
				break
			}
			if f.After, err = ParseCursor(list[len(list)-1].Cursor().String()); err != nil {
				t.Fatal(err)
			}
			c.Advance(time.Microsecond)
			record("late")
		}
		if len(seen) != 23 {
			t.Errorf("%d records seen", len(seen))
		}
	})
}

func TestParseCursor_RefusesWhatStringDoesNotWrite(t *testing.T) {
	t.Parallel()
	good := Cursor{At: start, ID: id.New()}
	if got, err := ParseCursor(good.String()); err != nil || !got.At.Equal(good.At) || got.ID != good.ID {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseCursor(Cursor{}.String()); err != nil || got != (Cursor{}) {
		t.Errorf("beginning: %v, %v", got, err)
	}
	for _, s := range []string{"x", ".", "1.", ".x", "0." + good.ID, "-5." + good.ID, "zzzzzzzzzzzzzzzz." + good.ID, "1." + good.ID + " ", "1.{" + good.ID + "}", "1.' OR 1=1 --"} {
		if got, err := ParseCursor(s); err == nil {
			t.Errorf("%q read as %v", s, got)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(Cursor{At: start, ID: id.New()}.String())
	f.Add("1.x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			return
		}
		if again, err := ParseCursor(c.String()); err != nil || again != c {
			t.Errorf("%q → %v → %v, %v", s, c, again, err)
		}
	})
}
