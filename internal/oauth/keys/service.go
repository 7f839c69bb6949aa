package keys

import (
	"context"
	"errors"
	"log/slog"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Topic is the change topic of signing keys.
const Topic = "keys"

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Changes *store.Changes
	Seal    *seal.Sealer
	Audit   *audit.Log
	Log     *slog.Logger // discarded if nil
	Policy
}

// ErrNoKey means that no key signs with the algorithm: EnsureAlg makes one.
var ErrNoKey = errors.New("no signing key for this algorithm")

// Service signs and verifies. It is safe for concurrent use; Sign, Verify and JWKS touch no
// database.
type Service struct{ d Deps }

// New returns a Service without keys: call Bootstrap or Load.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Changes == nil || d.Seal == nil || d.Audit == nil {
		return nil, errors.New("keys: DB, Clock, Changes, Seal and Audit are required")
	}
	return &Service{d: d}, nil
}

// Bootstrap makes the first keys, if there are none, and loads.
func (s *Service) Bootstrap(ctx context.Context) error { panic("wip") }

// EnsureAlg makes a key for the algorithm, active at once, unless there is one.
func (s *Service) EnsureAlg(ctx context.Context, alg string) error { panic("wip") }

// Load reads the keys into a new snapshot.
func (s *Service) Load(ctx context.Context) error { panic("wip") }

// Sign returns the compact JWS of claims, which are JSON already. typ may be empty.
func (s *Service) Sign(alg, typ string, claims []byte) (string, error) { panic("wip") }

// Verify checks a token of ours and returns its claims. Which typ values are acceptable must be
// said.
func (s *Service) Verify(token string, typ ...string) (claims []byte, err error) { panic("wip") }

// JWKS returns the public key set and its entity tag.
func (s *Service) JWKS() (body []byte, etag string) { panic("wip") }

// Rotate publishes a successor for the signing key of the algorithm.
func (s *Service) Rotate(ctx context.Context, alg string, now bool) (Key, error) { panic("wip") }

// Replace is for a key that is known to others: all keys of the algorithm leave at once and a
// new one signs.
func (s *Service) Replace(ctx context.Context, alg string) (Key, error) { panic("wip") }

// List returns all keys, also removed ones whose row is still there.
func (s *Service) List(ctx context.Context) ([]Key, error) { panic("wip") }

// Tick does what is due: publish successors, delete removed keys.
func (s *Service) Tick(ctx context.Context) error { panic("wip") }
