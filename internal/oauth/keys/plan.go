package keys

import (
	"cmp"
	"slices"
	"time"
)

// Policy says how keys are rotated.
type Policy struct {
	// RotateEvery is how long a key signs. Zero: only by command.
	RotateEvery time.Duration
	// PublishBefore is how long a key is in the JWKS before it signs: longer than anybody
	// caches the JWKS (OIDC Core §10.1.1).
	PublishBefore time.Duration
	// Retention is how long a key verifies after it signed last: the longest lifetime of
	// anything signed, and some clock skew.
	Retention time.Duration
}

// byAlg groups keys by algorithm, each group sorted by activation, then creation.
func byAlg(list []Key) map[string][]Key {
	groups := map[string][]Key{}
	for _, k := range list {
		groups[k.Alg] = append(groups[k.Alg], k)
	}
	for _, g := range groups {
		slices.SortFunc(g, func(a, b Key) int {
			return cmp.Or(a.ActivateAt.Compare(b.ActivateAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
	}
	return groups
}

// due returns the algorithms that need a successor published at now: their signing key comes to
// the end of its time within PublishBefore and nothing is waiting to follow it.
func (p Policy) due(list []Key, now time.Time) []string {
	var algs []string
	for alg, g := range byAlg(list) {
		if !slices.ContainsFunc(g, func(k Key) bool { s := k.State(now); return s == Active || s == Published }) {
			algs = append(algs, alg) // all retired: cannot happen in order, but must not last
			continue
		}
		last := g[len(g)-1]
		if p.RotateEvery > 0 && last.State(now) == Active && !now.Before(last.ActivateAt.Add(p.RotateEvery-p.PublishBefore)) {
			algs = append(algs, alg)
		}
	}
	slices.Sort(algs)
	return algs
}

// expired returns the keys whose time to leave has come.
func expired(list []Key, now time.Time) []Key {
	var out []Key
	for _, k := range list {
		if k.State(now) == Removed {
			out = append(out, k)
		}
	}
	return out
}

// activation is when a successor published at now takes over from the key that signs until then.
func (p Policy) activation(current Key, now time.Time) time.Time {
	at := now.Add(p.PublishBefore)
	if planned := current.ActivateAt.Add(p.RotateEvery); p.RotateEvery > 0 && planned.After(at) {
		return planned
	}
	return at
}
