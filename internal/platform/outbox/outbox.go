// Package outbox carries what must leave the process although it may crash: mail, and word to
// applications that a session has ended. It owns the outbox table. A message is put there in the transaction of the
// act that causes it, so neither exists without the other; a worker of any instance delivers it
// afterwards, at least once. The package does not know what a message says (its payload is sealed)
// nor how it travels: the package of each kind registers a handler. Callers are platform/mail and
// oauth/logout; internal/app runs the worker.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Message is something to deliver.
type Message struct {
	Kind      string    // which handler delivers it
	Subject   string    // the account it is about, or ""
	Recipient string    // an address, shown to operators
	Payload   []byte    // sealed at rest
	Expires   time.Time // worthless afterwards
	// Discard makes a row that is never delivered: the same work for an answer that must not
	// tell whether there was anybody to write to.
	Discard bool
}

// Delivery is one attempt at a message.
type Delivery struct {
	ID        string // the same in every attempt: receivers can tell a repetition by it
	Recipient string
	Payload   []byte
	Attempt   int // 1 is the first
	CreatedAt time.Time
	Expires   time.Time
	// Answered is when the recipient last refused an attempt (Refused), zero if it never did. Attempts
	// that nobody knows the end of, because there was no answer or the instance died before it noted it,
	// leave it: whoever repeats those can say the same.
	Answered time.Time
}

// Handler delivers. It must end when ctx does. An error means another attempt later, unless it is
// Permanent.
type Handler func(ctx context.Context, d Delivery) error

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that another attempt would not change.
func Permanent(err error) error { return permanent{err} }

type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// Refused marks an error that is the recipient's own answer.
func Refused(err error) error { return refused{err} }

// State is where a message stands.
type State string

// The states.
const (
	Pending State = "pending" // waits for an attempt, or is under way
	Done    State = "done"
	Dead    State = "dead" // refused for good, expired, or tried too often
)

// Deps is what a Service needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Seal  *seal.Sealer
	Audit *audit.Log
	Log   *slog.Logger
	// Observe, if set, is told of each attempt, for metrics.
	Observe func(kind, result string)
}

// Service keeps and delivers messages. It is safe for concurrent use.
type Service struct {
	d      Deps
	beat   time.Duration // how often an attempt renews its claim
	answer time.Duration // and how long it waits for that

	mu    sync.RWMutex
	kinds map[string]*kind
}

// kind is what is known of one kind of message.
type kind struct {
	name    string
	handler Handler
	Options
	wake chan struct{} // a message was put on this instance
}

// Options of a kind. The zero value is for messages that all go to one server.
type Options struct {
	// Keep keeps the payload readable (Kept) after delivery.
	Keep bool
	// Loops is how many batches are under way at once on one instance; 0 means one. A kind whose
	// messages go to many servers takes more, so that a slow one does not hold up the others.
	Loops int
	// Patience is what an attempt may take; 0 means 2 min.
	Patience time.Duration
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Seal == nil || d.Audit == nil || d.Log == nil {
		return nil, errors.New("outbox: DB, Clock, Seal, Audit and Log are required")
	}
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	return &Service{d: d, beat: beat, answer: answer, kinds: map[string]*kind{}}, nil
}

// Register names the handler of a kind. Register before Put and Run.
func (s *Service) Register(name string, h Handler, o Options) {
	o.Loops = max(o.Loops, 1)
	if o.Patience == 0 {
		o.Patience = patience
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[name] = &kind{name: name, handler: h, Options: o, wake: make(chan struct{}, o.Loops)}
}

func (s *Service) registered() []*kind {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*kind
	for _, k := range s.kinds {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *kind) int { return strings.Compare(a.name, b.name) })
	return out
}

// Bounds of a message: a payload is a mail or a token, not an archive.
const (
	maxPayload   = 256 << 10
	maxRecipient = 2048
)

// Put keeps a message in the transaction that ctx carries and returns its id; it panics outside of
// a transaction. The message is delivered after the commit.
func (s *Service) Put(ctx context.Context, m Message) (string, error) {
	store.MustTx(ctx)
	s.mu.RLock()
	k := s.kinds[m.Kind]
	s.mu.RUnlock()
	if k == nil {
		return "", fmt.Errorf("outbox: nobody delivers %q", m.Kind)
	}
	now := s.d.Clock.Now()
	if len(m.Payload) == 0 || len(m.Payload) > maxPayload || len(m.Recipient) > maxRecipient || !m.Expires.After(now) {
		return "", fmt.Errorf("outbox: a message of kind %q without payload, too large, or expired already", m.Kind)
	}
	row := id.New()
	state, recipient, done := Pending, m.Recipient, time.Time{}
	if m.Discard {
		state, recipient, done = Done, "", now
	}
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlPut, row, m.Kind, m.Subject, recipient,
		s.d.Seal.Seal(table, column, row, m.Payload), string(state), store.Micros(now), store.Micros(m.Expires), store.Micros(done))
	if err != nil {
		return "", err
	}
	select {
	case k.wake <- struct{}{}:
	default: // woken already
	}
	return row, nil
}

// The place of sealed payloads.
const table, column = "outbox", "payload"
