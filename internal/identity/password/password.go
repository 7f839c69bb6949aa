// Package password hashes and verifies passwords and says which ones are acceptable. New hashes
// are argon2id in PHC form; hashes of other systems are verified in their own notation until
// their owner's next login replaces them. Hashing runs behind a gate that bounds memory and CPU:
// it queues within a deadline and then sheds with errs.Busy. It keeps nothing in the store and
// knows no accounts; account calls it, and account decides what a wrong password means.
//
// # Normalisation
//
// A password is one Unicode string however it was typed: before hashing it is brought into
// Normalization Form C (NIST SP 800-63B-4 §3.1.1.2 asks for a normalisation; NFC leaves every
// code point that a keyboard makes as it is, where NFKC would merge different ones). Nothing is trimmed, folded
// or cut. Other systems hashed what they were sent, so a hash is tried with the password as
// typed too.
package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"signet/internal/platform/seal"
)

// Params is the cost of a new hash.
type Params struct {
	MemoryKiB   uint32
	Time        uint32 // passes over the memory
	Parallelism uint8
}

// DefaultParams is the first choice of OWASP's password storage guide for argon2id: 19 MiB,
// two passes, one lane.
func DefaultParams() Params { return Params{MemoryKiB: 19456, Time: 2, Parallelism: 1} }

// The bounds of what a person may choose.
const (
	// DefaultMinLength is for a password that is the only factor, FloorMinLength for one with a
	// second factor beside it (NIST SP 800-63B-4 §3.1.1.2). Both count code points.
	DefaultMinLength = 15
	FloorMinLength   = 8
	// MaxLength is counted in code points; nothing is cut off beyond it, it is refused.
	MaxLength = 256

	// maxBytes is what MaxLength code points take at most; more is refused unread.
	maxBytes = MaxLength * utf8.UTFMax
)

const (
	saltBytes = 16
	keyBytes  = 32
)

// Deps is what a Service needs. Zero values get the defaults.
type Deps struct {
	// Params is the cost of new hashes. A password whose hash is cheaper is rehashed at login.
	Params Params
	// Slots is how many hashes of that cost run at once; 0 means one per CPU. It bounds memory
	// to Slots × MemoryKiB.
	Slots int
	// QueueTimeout is how long a hash may wait for a slot; 0 means 2 s.
	QueueTimeout time.Duration
	// MinLength is in code points; 0 means DefaultMinLength.
	MinLength int
	// ServiceNames are words that name this service; a password must not rest on them.
	ServiceNames []string
	// Breaches are lists of leaked passwords that a new one must not stand in.
	Breaches []Breaches
	// Observe, if set, is told what looking into them came to, for metrics.
	Observe func(kind, result string)
	Log     *slog.Logger
}

// Service hashes and verifies. It is safe for concurrent use.
type Service struct {
	params    Params
	gate      *gate
	minLength int
	service   []string
	decoy     hash
	breaches  []Breaches
	observe   func(kind, result string)
	log       *slog.Logger
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.Params == (Params{}) {
		d.Params = DefaultParams()
	}
	if d.Slots == 0 {
		d.Slots = runtime.GOMAXPROCS(0)
	}
	if d.QueueTimeout == 0 {
		d.QueueTimeout = 2 * time.Second
	}
	if d.MinLength == 0 {
		d.MinLength = DefaultMinLength
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	if d.MinLength < FloorMinLength || d.MinLength > MaxLength {
		return nil, fmt.Errorf("password: minimum length %d is not between %d and %d", d.MinLength, FloorMinLength, MaxLength)
	}
	if d.Slots < 1 || d.QueueTimeout < 0 {
		return nil, errors.New("password: Slots and QueueTimeout must be positive")
	}
	// The decoy has a random key, so that no password opens it, and costs what a new hash does.
	var salt [saltBytes]byte
	var key [keyBytes]byte
	_, _ = rand.Read(salt[:])
	_, _ = rand.Read(key[:])
	decoy, err := parse(encode(d.Params, salt[:], key[:]))
	if err != nil {
		return nil, fmt.Errorf("password: cost out of bounds: %w", err)
	}
	return &Service{
		params: d.Params, gate: newGate(d.Slots, d.QueueTimeout), minLength: d.MinLength,
		service: words(d.ServiceNames...), decoy: decoy,
		breaches: d.Breaches, observe: d.Observe, log: d.Log,
	}, nil
}

// Hash returns the PHC string of a password that somebody has just chosen. Whatever way leads to a new
// password, this is its end: so here it is looked up in the lists of leaked ones, and refused like
// by Check, with KeyBreached. It returns errs.Busy when no slot came free in time.
func (s *Service) Hash(ctx context.Context, pw seal.Secret) (string, error) {
	if err := wellFormed(pw.Reveal()); err != nil {
		return "", err
	}
	if err := s.leaked(ctx, pw); err != nil { // before a slot is taken
		return "", err
	}
	return s.hash(ctx, pw, s.gate.enter)
}

// Rehash is Hash for a password that is in use already.
func (s *Service) Rehash(ctx context.Context, pw seal.Secret) (string, error) {
	return s.hash(ctx, pw, s.gate.enter)
}

// HashPatiently is Rehash for bulk work: it waits for a slot as long as ctx lives.
func (s *Service) HashPatiently(ctx context.Context, pw seal.Secret) (string, error) {
	return s.hash(ctx, pw, s.gate.enterPatiently)
}

func (s *Service) hash(ctx context.Context, pw seal.Secret, enter enterFunc) (string, error) {
	if err := wellFormed(pw.Reveal()); err != nil {
		return "", err
	}
	leave, err := enter(ctx, 1)
	if err != nil {
		return "", err
	}
	defer leave()
	var salt [saltBytes]byte
	_, _ = rand.Read(salt[:])
	p := s.params
	key := argon2.IDKey(norm.NFC.Bytes([]byte(pw.Reveal())), salt[:], p.Time, p.MemoryKiB, p.Parallelism, keyBytes)
	return encode(p, salt[:], key), nil
}

// Admit returns the errs.Busy that Verify would return at once. Asked before anything is read or
// counted, it makes turning visitors away cost next to nothing: under a flood that is most of them.
func (s *Service) Admit() error { return s.gate.admit() }

// Result is what Verify found.
type Result struct {
	OK bool
	// Upgrade says that the stored hash should be replaced by a new one of this password.
	Upgrade bool
}

// Verify checks pw against a stored hash. It always does the work: with stored "" (no such
// account, or one without a password) or a string that it cannot read, on a decoy of the present
// cost, and answers no. It returns errs.Busy when no slot came free in time; then nothing was
// checked.
//
// BUG: a hash that was imported and not yet upgraded takes the time of its own notation, so
// until its owner's first login an observer with a quiet line can tell it from an unknown name.
// Importing such hashes wrapped in argon2id would close this.
func (s *Service) Verify(ctx context.Context, stored string, pw seal.Secret) (Result, error) {
	h, known := s.decoy, false
	if stored != "" {
		parsed, err := parse(stored)
		if err != nil {
			// One impossible row fails closed; the others live.
			s.log.ErrorContext(ctx, "stored password hash refused", "reason", err)
		} else {
			h, known = parsed, true
		}
	}
	typed := pw.Reveal()
	if wellFormed(typed) != nil {
		typed, known = "", false
	}
	leave, err := s.gate.enter(ctx, s.weight(h))
	if err != nil {
		return Result{}, err
	}
	defer leave()
	forms := []string{norm.NFC.String(typed)}
	if forms[0] != typed {
		forms = append(forms, typed)
	}
	ok, asTyped := false, false
	for i, form := range forms { // all of them always: the work depends on what was typed alone
		if h.verify([]byte(form)) && known {
			ok, asTyped = true, asTyped || i > 0
		}
	}
	return Result{OK: ok, Upgrade: ok && (asTyped || s.outdated(h))}, nil
}

// outdated reports whether h is of another notation, or cheaper than a new hash would be.
func (s *Service) outdated(h hash) bool {
	p := h.params
	return h.scheme != Argon2id || h.foreign || p.MemoryKiB < s.params.MemoryKiB || p.Time < s.params.Time
}

// weight is how many slots a hash takes: as many as its memory does.
func (s *Service) weight(h hash) int64 {
	return int64((h.memoryKiB + s.params.MemoryKiB - 1) / s.params.MemoryKiB)
}

// Stats returns the slots in use, the hashes waiting, and how many were shed since the start.
func (s *Service) Stats() (inUse, queued int, shed uint64) { return s.gate.stats() }

// encode renders the PHC string format's argon2id form.
func encode(p Params, salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Parallelism,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}
