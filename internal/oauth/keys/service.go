package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
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
	// Generate makes a private key for an algorithm; the function of that name if nil. Tests have
	// RSA keys ready.
	Generate func(alg string) (crypto.Signer, error)
	Policy
}

// ErrNoKey means that no key signs with the algorithm: EnsureAlg makes one.
var ErrNoKey = errors.New("no signing key for this algorithm")

// Service signs and verifies. It is safe for concurrent use; Sign, Verify and JWKS touch no
// database.
type Service struct {
	d       Deps
	current atomic.Pointer[snapshot]
	loading sync.Mutex // one Load at a time, so that an older one cannot replace a newer
	changed chan struct{}
}

// New returns a Service that has no keys yet: call Bootstrap or Load.
func New(d Deps) (*Service, error) {
	switch {
	case d.DB == nil || d.Clock == nil || d.Changes == nil || d.Seal == nil || d.Audit == nil:
		return nil, errors.New("keys: DB, Clock, Changes, Seal and Audit are required")
	case d.RotateEvery < 0 || d.PublishBefore < 0 || d.Retention <= 0:
		return nil, errors.New("keys: RotateEvery and PublishBefore must not be negative, Retention must be positive")
	case d.RotateEvery > 0 && d.RotateEvery <= d.PublishBefore:
		return nil, errors.New("keys: RotateEvery must be longer than PublishBefore")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Generate == nil {
		d.Generate = Generate
	}
	s := &Service{d: d, changed: make(chan struct{}, 1)}
	empty, err := newSnapshot(nil, d.Clock.Now())
	if err != nil {
		return nil, err
	}
	s.current.Store(empty)
	d.Changes.OnChange(Topic, s.reload)
	return s, nil
}

// loadTimeout bounds a reload that nobody waits for.
const loadTimeout = 5 * time.Second

// reload loads in the background. While one is under way, at most one more waits to follow it.
func (s *Service) reload() {
	select {
	case s.changed <- struct{}{}:
	default:
		return
	}
	go func() {
		s.loading.Lock()
		<-s.changed // from here on a further change starts a further reload
		s.loading.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
		defer cancel()
		if err := s.Load(ctx); err != nil {
			s.d.Log.ErrorContext(ctx, "signing keys could not be loaded; the previous ones stay in use", "error", err.Error())
		}
	}()
}

// Load reads the keys into a new snapshot. If one cannot be opened, the previous snapshot stays
// in use and the error says which and why.
func (s *Service) Load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	rows, err := s.rows(ctx)
	if err != nil {
		return errs.Wrap("load signing keys", err)
	}
	now, prev := s.d.Clock.Now(), s.current.Load()
	var signers []*signer
	for _, r := range rows {
		if r.State(now) == Removed {
			continue
		}
		// A key never changes, only its times do: what is open stays open.
		if old := prev.byKid[string(r.ID)]; old != nil && old.Alg == r.Alg {
			k := *old
			k.Key = r.Key
			signers = append(signers, &k)
			continue
		}
		k, err := s.open(r)
		if err != nil {
			return err
		}
		signers = append(signers, k)
	}
	next, err := newSnapshot(signers, now)
	if err != nil {
		return err
	}
	s.current.Store(next)
	if !next.same(prev) {
		s.d.Log.InfoContext(ctx, "signing keys loaded", "keys", len(next.byKid))
	}
	return nil
}

// JWKS returns the public key set (RFC 7517 §5) and its entity tag, rendered when the keys were
// loaded. Do not change the bytes.
func (s *Service) JWKS() (body []byte, etag string) {
	c := s.current.Load()
	return c.jwks, c.etag
}

// Algs returns the algorithms that can sign now, the default first.
func (s *Service) Algs() []string {
	c, now := s.current.Load(), s.d.Clock.Now()
	var out []string
	for _, a := range c.algs {
		if c.signer(a.name, now) != nil {
			out = append(out, a.name)
		}
	}
	return out
}

// Bootstrap makes the first keys, active at once, if there are none, and loads all. Any number
// of instances may call it at once: all end up with the same keys.
func (s *Service) Bootstrap(ctx context.Context) error {
	if err := s.ensure(ctx, always...); err != nil {
		return err
	}
	return s.Load(ctx)
}

// EnsureAlg makes a key for the algorithm, active at once, unless there is one, and loads.
func (s *Service) EnsureAlg(ctx context.Context, alg string) error {
	if !Known(alg) {
		return unknownAlg(alg)
	}
	if s.current.Load().signer(alg, s.d.Clock.Now()) != nil {
		return nil
	}
	if err := s.ensure(ctx, alg); err != nil {
		return err
	}
	return s.Load(ctx)
}

func unknownAlg(alg string) error {
	return errs.New(errs.Invalid, "", fmt.Errorf("unknown signing algorithm %.20q, must be one of %s", alg, strings.Join(Algorithms(), ", ")))
}

// ensure inserts a key for each of algs that has none that is alive.
func (s *Service) ensure(ctx context.Context, algs ...string) error {
	missing, err := s.missing(ctx, algs)
	if err != nil || len(missing) == 0 {
		return err
	}
	made, err := s.prepare(ctx, missing...)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context) error {
		still, err := s.missing(ctx, missing)
		if err != nil {
			return err
		}
		if len(still) == 0 {
			return errNothing
		}
		now := s.d.Clock.Now()
		for _, r := range made {
			if !slices.Contains(still, r.Alg) {
				continue
			}
			k, err := s.insert(ctx, r, now, now)
			if err != nil {
				return err
			}
			if err := s.record(ctx, "key.create", k, "first of its algorithm"); err != nil {
				return err
			}
		}
		return nil
	})
}

// prepare makes keys before the transaction opens: an RSA key takes long. Of several instances,
// the losers throw theirs away. The keys that exist are opened first: a process with another
// master key must not add keys that nobody else can open.
func (s *Service) prepare(ctx context.Context, algs ...string) ([]row, error) {
	if err := s.Load(ctx); err != nil {
		return nil, err
	}
	made := make([]row, len(algs))
	for i, alg := range algs {
		var err error
		if made[i], err = s.fresh(alg); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (s *Service) missing(ctx context.Context, algs []string) ([]string, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, errs.Wrap("read signing keys", err)
	}
	groups, now := byAlg(keysOf(rows)), s.d.Clock.Now()
	var out []string
	for _, alg := range algs {
		if signerAt(groups[alg], now) < 0 {
			out = append(out, alg)
		}
	}
	return out, nil
}

// errNothing rolls back a change that another instance has made already.
var errNothing = errors.New("nothing to change")

// change runs fn in the transaction of one change to the keys. The counter's row is written
// first: it serializes changes among all instances, on both engines, so that fn may read the
// keys and then write.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context) error) error {
	err := s.d.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.d.Changes.Bump(ctx, Topic); err != nil {
			return err
		}
		return fn(ctx)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

func (s *Service) record(ctx context.Context, action string, k Key, reason string) error {
	return s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Target: string(k.ID),
		Detail: map[string]string{"alg": k.Alg, "reason": reason}})
}
