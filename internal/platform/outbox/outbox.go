// Package outbox carries what must leave the process although it may crash: mail today, other
// notifications later. It owns the outbox table. A message is put there in the transaction of the
// act that causes it, so neither exists without the other; a worker of any instance delivers it
// afterwards, at least once. The package does not know what a message says (its payload is sealed)
// nor how it travels: the package of each kind registers a handler. Callers are platform/mail and
// whoever else has something to send; internal/app runs the worker.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
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
}

// Handler delivers. An error means another attempt later, unless it is Permanent.
type Handler func(ctx context.Context, d Delivery) error

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that another attempt would not change.
func Permanent(err error) error { return permanent{err} }

// State is where a message stands.
type State string

// The states.
const (
	Pending State = "pending" // waits for an attempt, or is under way
	Done    State = "done"
	Dead    State = "dead" // refused for good, expired, or tried too often
)

// Item is a message as operators see it, without what it says.
type Item struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject,omitempty"`
	Recipient string    `json:"recipient"`
	State     State     `json:"state"`
	Attempts  int       `json:"attempts"`
	Due       time.Time `json:"due_at"`
	LastError string    `json:"last_error,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at"`
	DoneAt    time.Time `json:"done_at"`
}

// Filter selects items; zero fields select everything.
type Filter struct {
	Kind  string
	State State
	Limit int // newest first; 0 means 100
}

// Depth says how much waits.
type Depth struct {
	Pending, Dead int
	Oldest        time.Time // when the oldest pending message was put; zero if none
}

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

// Service keeps and delivers messages.
type Service struct {
	d    Deps
	wake chan struct{}

	mu    sync.RWMutex
	kinds map[string]kind
}

type kind struct {
	handler Handler
	keep    bool
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Seal == nil || d.Audit == nil || d.Log == nil {
		return nil, errors.New("outbox: DB, Clock, Seal, Audit and Log are required")
	}
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	return &Service{d: d, wake: make(chan struct{}, 1), kinds: map[string]kind{}}, nil
}

// Register names the handler of a kind. Register before Run.
func (s *Service) Register(name string, h Handler) { s.register(name, h, false) }

// RegisterKept is Register for a kind whose payload stays readable (Kept) after delivery.
func (s *Service) RegisterKept(name string, h Handler) { s.register(name, h, true) }

func (s *Service) register(name string, h Handler, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[name] = kind{h, keep}
}

// Put keeps a message in the transaction that ctx carries; it panics outside of one.
func (s *Service) Put(ctx context.Context, m Message) (string, error) {
	store.MustTx(ctx)
	return "", errors.New("outbox: not wired")
}

// Deliver attempts what is due, once each, and returns how many messages it took.
func (s *Service) Deliver(ctx context.Context) (int, error) { return 0, nil }

// Run delivers until ctx ends.
func (s *Service) Run(ctx context.Context) { <-ctx.Done() }

// List returns the messages that match f, newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Item, error) { return nil, nil }

// Retry makes a pending or dead message due at once.
func (s *Service) Retry(ctx context.Context, id string) error { return nil }

// Drop deletes a message that was not delivered.
func (s *Service) Drop(ctx context.Context, id string) error { return nil }

// Depth counts what waits.
func (s *Service) Depth(ctx context.Context) (Depth, error) { return Depth{}, nil }

// DeleteDone removes at most limit messages that ended before t and returns how many went.
func (s *Service) DeleteDone(ctx context.Context, t time.Time, limit int) (int64, error) {
	return 0, nil
}
