package keys

import (
	"slices"
	"time"

	"signet/internal/platform/id"
)

// The algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = "ES256" // the default
	RS256 = "RS256" // always there beside it: OIDC Core §15.1 makes it the common denominator
	PS256 = "PS256"
	EdDSA = "EdDSA"
)

// Algorithms lists what can be signed with, the default first.
func Algorithms() []string { return []string{ES256, RS256, PS256, EdDSA} }

// always are the algorithms that Bootstrap provides.
var always = []string{ES256, RS256}

// Known reports whether alg is one of Algorithms.
func Known(alg string) bool { return slices.Contains(Algorithms(), alg) }

// State is where a key is in its life.
type State string

// The states.
const (
	Published State = "published" // in the JWKS, does not sign yet
	Active    State = "active"    // signs
	Retired   State = "retired"   // verifies only
	Removed   State = "removed"   // neither; the row goes at the next Tick
)

// Key is a signing key without its private part.
type Key struct {
	ID         id.Key
	Alg        string
	CreatedAt  time.Time
	ActivateAt time.Time
	RetireAt   time.Time // zero while no successor is planned
	RemoveAt   time.Time // zero while RetireAt is
}

// State tells the state of the key at now.
func (k Key) State(now time.Time) State {
	switch {
	case !k.RemoveAt.IsZero() && !now.Before(k.RemoveAt):
		return Removed
	case !k.RetireAt.IsZero() && !now.Before(k.RetireAt):
		return Retired
	case now.Before(k.ActivateAt):
		return Published
	}
	return Active
}

// signerAt picks the key of one algorithm that signs at now: the latest activated of those not
// retired. Where none is activated yet, the first one signs: it has no predecessor, so this only
// happens to an instance whose clock is behind that of the one which made it.
// list is sorted by ActivateAt. It returns -1 if there is none.
func signerAt(list []Key, now time.Time) int {
	first := -1
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i].State(now) {
		case Active:
			return i
		case Published:
			first = i
		}
	}
	return first
}
