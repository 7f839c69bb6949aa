package outbox

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

// Item is a message as operators see it, without what it says.
type Item struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject,omitempty"`
	Recipient string    `json:"recipient"`
	State     State     `json:"state"`
	Attempts  int       `json:"attempts"`
	UnderWay  bool      `json:"under_way"` // an attempt is being made
	Due       time.Time `json:"due_at,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Filter selects items; zero fields select everything.
type Filter struct {
	Kind      string
	State     State
	Recipient string
	Limit     int // newest first; 0 means 100
}

// List returns the messages that match f, newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Item, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	now := s.d.Clock.Now()
	return store.All(ctx, s.d.DB.Q(ctx), func(r store.Row) (Item, error) { return scanItem(r, now) },
		sqlList, f.Kind, string(f.State), f.Recipient, f.Limit)
}

// Find returns one message.
func (s *Service) Find(ctx context.Context, id string) (Item, error) {
	item, err := scanItem(s.d.DB.Q(ctx).QueryRow(ctx, sqlByID, id), s.d.Clock.Now())
	if errors.Is(err, store.ErrNoRows) {
		err = ErrUnknown
	}
	return item, err
}

// Tally is where the messages of a kind stand that go to one recipient.
type Tally struct {
	Recipient           string
	Pending, Dead, Done int       // done ones count while their rows are kept
	Oldest              time.Time // when the oldest pending one was put; zero if none waits
	Delivered           time.Time // when the last one was delivered; zero if none was
}

// Tallies counts the messages of a kind by recipient, in the order of their names.
func (s *Service) Tallies(ctx context.Context, kind string) ([]Tally, error) {
	return store.All(ctx, s.d.DB.Q(ctx), func(r store.Row) (t Tally, err error) {
		var pending, dead, done, oldest, delivered int64
		err = r.Scan(&t.Recipient, &pending, &dead, &done, &oldest, &delivered)
		t.Pending, t.Dead, t.Done, t.Oldest, t.Delivered = int(pending), int(dead), int(done), store.Time(oldest), store.Time(delivered)
		return t, err
	}, sqlTallies, kind)
}

func scanItem(r store.Row, now time.Time) (i Item, err error) {
	var state string
	var attempts, due, created, expires, done int64
	var claimed bool
	err = r.Scan(&i.ID, &i.Kind, &i.Subject, &i.Recipient, &state, &attempts, &claimed, &due, &i.LastError, &created, &expires, &done)
	i.State, i.Attempts, i.UnderWay = State(state), int(attempts), claimed && due > store.Micros(now)
	i.CreatedAt, i.Expires = store.Time(created), store.Time(expires)
	if i.State == Pending {
		i.Due = store.Time(due)
	} else {
		i.EndedAt = store.Time(done)
	}
	return i, err
}

// Kept returns delivered messages of a kind that keeps them (Options), newest first.
func (s *Service) Kept(ctx context.Context, kind string, limit int) ([]Delivery, error) {
	rows, err := store.All(ctx, s.d.DB.Q(ctx), scanClaim, sqlKept, kind, []byte{}, limit)
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, c := range rows {
		if c.Payload, err = s.d.Seal.Open(table, column, c.ID, c.sealed); err != nil {
			return nil, err
		}
		out = append(out, c.Delivery)
	}
	return out, nil
}

// Retry makes a message that waits or is dead due at once, with all its attempts before it.
func (s *Service) Retry(ctx context.Context, id string) error {
	return s.change(ctx, id, "outbox.retry", sqlRetry)
}

// Drop deletes a message that was not delivered.
func (s *Service) Drop(ctx context.Context, id string) error {
	return s.change(ctx, id, "outbox.drop", sqlDrop)
}

// The reasons of a refusal.
var (
	ErrDelivered = errs.New(errs.Conflict, "", errors.New("it was delivered already"))
	ErrUnderWay  = errs.New(errs.Conflict, "", errors.New("an attempt is under way: wait for its end"))
	ErrExpired   = errs.New(errs.Conflict, "", errors.New("it has expired: nobody can use it any more"))
	ErrUnknown   = errs.New(errs.NotFound, "", errors.New("there is no such message"))
)

// change runs one conditional statement of an operator and records it.
func (s *Service) change(ctx context.Context, id, action, sql string) error {
	return s.d.DB.InTx(ctx, func(ctx context.Context) error {
		q := s.d.DB.Q(ctx)
		now := s.d.Clock.Now()
		var kind string
		err := q.QueryRow(ctx, sql, id, store.Micros(now)).Scan(&kind)
		if err == nil {
			return s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Target: id, Detail: map[string]string{"kind": kind}})
		}
		if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		item, err := s.Find(ctx, id)
		switch {
		case err != nil:
			return err
		case item.State == Done:
			return ErrDelivered
		case item.UnderWay:
			return ErrUnderWay
		}
		return ErrExpired
	})
}

// Depth says how much waits.
type Depth struct {
	Pending, Dead int
	Oldest        time.Time // when the oldest pending message was put; zero if none
}

// Depth counts what waits and what is dead.
func (s *Service) Depth(ctx context.Context) (d Depth, err error) {
	var pending, dead, oldest int64
	err = s.d.DB.Q(ctx).QueryRow(ctx, sqlDepth).Scan(&pending, &dead, &oldest)
	return Depth{int(pending), int(dead), store.Time(oldest)}, err
}

// DeleteDone removes at most limit messages that ended before t and returns how many went. It
// also empties dead ones that have expired: a retry is no use then.
func (s *Service) DeleteDone(ctx context.Context, t time.Time, limit int) (int64, error) {
	q := s.d.DB.Q(ctx)
	if _, err := q.Exec(ctx, sqlEmpty, store.Micros(s.d.Clock.Now()), []byte{}); err != nil {
		return 0, err
	}
	return q.Exec(ctx, sqlDeleteDone, store.Micros(t), limit)
}
