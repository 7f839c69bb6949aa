package keys

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKey_State(t *testing.T) {
	t.Parallel()
	k := Key{CreatedAt: start, ActivateAt: start.Add(day), RetireAt: start.Add(10 * day), RemoveAt: start.Add(11 * day)}
	for _, c := range []struct {
		at   time.Time
		want State
	}{
		{start, Published}, {start.Add(day - 1), Published},
		{start.Add(day), Active}, {start.Add(10*day - 1), Active},
		{start.Add(10 * day), Retired}, {start.Add(11*day - 1), Retired},
		{start.Add(11 * day), Removed}, {start.Add(100 * day), Removed},
	} {
		if got := k.State(c.at); got != c.want {
			t.Errorf("after %s: %s, want %s", c.at.Sub(start), got, c.want)
		}
	}
	if got := (Key{ActivateAt: start}).State(start.Add(1000 * day)); got != Active {
		t.Errorf("without a successor: %s", got)
	}
}

func TestSignerAt(t *testing.T) {
	t.Parallel()
	at := func(days int) time.Time { return start.Add(time.Duration(days) * day) }
	a := Key{ID: "a", ActivateAt: at(0), RetireAt: at(10), RemoveAt: at(11)}
	b := Key{ID: "b", ActivateAt: at(10)}
	for name, c := range map[string]struct {
		keys []Key
		at   time.Time
		want int
	}{
		"none":                          {nil, at(0), -1},
		"first":                         {[]Key{a, b}, at(9), 0},
		"second from its time on":       {[]Key{a, b}, at(10), 1},
		"clock behind the maker's":      {[]Key{{ID: "x", ActivateAt: at(1)}}, at(0), 0},
		"the earliest waiting, if none": {[]Key{b, {ID: "c", ActivateAt: at(20)}}, at(0), 0},
		"all retired":                   {[]Key{a}, at(10), -1},
	} {
		if got := signerAt(c.keys, c.at); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestPolicy_Due(t *testing.T) {
	t.Parallel()
	now := start
	active := Key{ID: "a", Alg: ES256, ActivateAt: now.Add(-10 * day)}
	due := Key{ID: "b", Alg: RS256, ActivateAt: now.Add(-89 * day)}
	waiting := Key{ID: "c", Alg: RS256, ActivateAt: now.Add(day)}
	retired := Key{ID: "d", Alg: EdDSA, ActivateAt: now.Add(-90 * day), RetireAt: now.Add(-day), RemoveAt: now.Add(day)}
	for name, c := range map[string]struct {
		keys []Key
		want []string
	}{
		"young":               {[]Key{active}, nil},
		"at its end":          {[]Key{active, due}, []string{RS256}},
		"successor waits":     {[]Key{due, waiting}, nil},
		"nothing signs":       {[]Key{active, retired}, []string{EdDSA}},
		"several, in order":   {[]Key{due, retired}, []string{EdDSA, RS256}},
		"no keys, no opinion": {nil, nil},
	} {
		if d := cmp.Diff(c.want, policy.due(slices.Clone(c.keys), now)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if got := (Policy{PublishBefore: day}).due([]Key{due}, now); got != nil {
		t.Errorf("no schedule: %v", got)
	}
}
