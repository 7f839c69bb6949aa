package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"

	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/telemetry"
)

const (
	// batch messages are taken at once; servers that take mail dislike many connections from one
	// source.
	batch = 4
	// patience is what an attempt may take, where a kind does not say otherwise.
	patience = 2 * time.Minute
	// margin is how much longer than an attempt may take a claim is held: time to note the result.
	margin = 30 * time.Second
	// lease is how long a claim is an instance's that says no more: it died. One that lives says so
	// every beat, so that an attempt is over, or its process dead, before another one begins.
	lease = 20 * time.Second
	beat  = lease / 4
	// answer is how long a renewal waits for the store, and grace what an attempt has to finish when it is
	// to end. Both and a beat fit in a lease, so that one renewal may fail.
	answer = 3 * time.Second
	grace  = 3 * time.Second

	firstPause  = 5 * time.Second
	longest     = 15 * time.Minute // also the most that mail is late after an outage
	maxAttempts = 400              // three days at the longest pause, and some
)

// Deliver attempts what is due, once each, and returns how many messages it took. Several
// instances, and several calls, share the work.
func (s *Service) Deliver(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for _, k := range s.registered() {
		for ctx.Err() == nil {
			n, err := s.deliver(ctx, k)
			total += n
			failed = errors.Join(failed, err)
			if n == 0 || err != nil {
				break
			}
		}
	}
	return total, failed
}

// claim is a message that this instance holds until the instant.
type claim struct {
	Delivery
	until  int64
	sealed []byte
}

// deliver takes one batch of a kind.
func (s *Service) deliver(ctx context.Context, k *kind) (int, error) {
	claims, err := s.claim(ctx, k)
	if err != nil {
		return 0, err
	}
	results := make([]error, len(claims))
	var wg sync.WaitGroup
	for i, c := range claims {
		wg.Go(func() { results[i] = s.attempt(ctx, k, c) })
	}
	wg.Wait()
	return len(claims), errors.Join(results...)
}

// claim takes due rows by one conditional update and ends those that have expired.
func (s *Service) claim(ctx context.Context, k *kind) ([]claim, error) {
	q := s.d.DB.Q(ctx)
	now := s.d.Clock.Now()
	var due string
	switch err := q.QueryRow(ctx, sqlAnyDue, store.Micros(now), k.name).Scan(&due); {
	case errors.Is(err, store.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, errs.Wrap("look into the outbox", err)
	}
	buried, err := store.All(ctx, q, scanID, sqlBury, store.Micros(now), k.name, maxAttempts, []byte{})
	if err != nil {
		return nil, errs.Wrap("end expired messages", err)
	}
	for _, row := range buried {
		s.d.Observe(k.name, "dead")
		s.d.Log.WarnContext(ctx, "a message was not delivered in time", "outbox", k.name, "id", row)
	}
	until := store.Micros(now.Add(lease))
	claims, err := store.All(ctx, q, scanClaim, sqlClaim, store.Micros(now), k.name, until, batch)
	if err != nil {
		return nil, errs.Wrap("claim messages", err)
	}
	for i := range claims {
		claims[i].until = until
	}
	return claims, nil
}

func scanID(r store.Row) (row string, err error) {
	err = r.Scan(&row)
	return row, err
}

func scanClaim(r store.Row) (c claim, err error) {
	var attempts, created, expires, answered int64
	err = r.Scan(&c.ID, &c.Recipient, &c.sealed, &attempts, &created, &expires, &answered)
	c.Attempt, c.CreatedAt, c.Expires, c.Answered = int(attempts), store.Time(created), store.Time(expires), store.Time(answered)
	return c, err
}

// attempt delivers one message and notes the result. What it returns is a fault of the store; a
// failed delivery is not an error here but the row's next attempt.
func (s *Service) attempt(ctx context.Context, k *kind, c claim) error {
	hctx, release := s.hold(ctx, k, &c)
	err := s.handle(hctx, k, c)
	release()
	now := s.d.Clock.Now()
	// The result is noted even when the process is stopping: what was delivered must not go again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	var p permanent
	switch {
	case err == nil:
		s.d.Observe(k.name, "ok")
		return s.note(ctx, func(q store.Querier) error {
			if k.Keep {
				_, err := q.Exec(ctx, sqlDoneKept, c.ID, store.Micros(now))
				return err
			}
			_, err := q.Exec(ctx, sqlDone, c.ID, store.Micros(now), []byte{})
			return err
		})
	case errors.As(err, &p):
		text := reason(err, c.Recipient)
		s.d.Observe(k.name, "dead")
		s.d.Log.ErrorContext(ctx, "a message was refused for good", "outbox", k.name, "id", c.ID, "attempt", c.Attempt, "error", text)
		return s.note(ctx, func(q store.Querier) error {
			_, err := q.Exec(ctx, sqlDead, c.ID, c.until, store.Micros(now), text)
			return err
		})
	}
	text := reason(err, c.Recipient)
	due, answered := now.Add(pause(c.Attempt, c.Expires.Sub(now))), c.Answered
	if errors.As(err, new(refused)) {
		answered = now
	}
	s.d.Observe(k.name, "failed")
	s.d.Log.WarnContext(ctx, "a message was not delivered, it is tried again", "outbox", k.name, "id", c.ID,
		"attempt", c.Attempt, "next", due.Sub(now).Round(time.Second).String(), "error", text)
	return s.note(ctx, func(q store.Querier) error {
		_, err := q.Exec(ctx, sqlLater, c.ID, c.until, store.Micros(due), text, store.Micros(answered))
		return err
	})
}

// hold renews a claim for as long as its attempt may take, and ends the attempt if the claim is another
// instance's by now, or will be before it can be renewed: a store that says nothing is asked for so long
// only as leaves the attempt its moment to finish (handle). Once release has returned, c.until stays as it is.
func (s *Service) hold(ctx context.Context, k *kind, c *claim) (hctx context.Context, release func()) {
	hctx, cancel := context.WithCancel(ctx)
	alive, stop := context.WithTimeout(context.WithoutCancel(ctx), k.Patience+margin)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(s.beat)
		defer t.Stop()
		for {
			select {
			case <-alive.Done():
				return
			case <-t.C:
			}
			err := s.renew(context.WithoutCancel(ctx), c)
			left := time.Duration(c.until-store.Micros(s.d.Clock.Now())) * time.Microsecond
			if errors.Is(err, store.ErrNoRows) || err != nil && left <= beat+answer+grace {
				cancel()
				return
			}
		}
	})
	return hctx, func() { stop(); wg.Wait(); cancel() }
}

// renew moves the end of a claim. It ends by itself, and never with the attempt: whether the row was
// written must be known to whoever notes the result.
func (s *Service) renew(ctx context.Context, c *claim) error {
	ctx, cancel := context.WithTimeout(ctx, s.answer)
	defer cancel()
	until := store.Micros(s.d.Clock.Now().Add(lease))
	err := s.d.DB.Q(ctx).QueryRow(ctx, sqlHold, c.ID, c.until, until).Scan(new(string))
	if err == nil {
		c.until = until
	}
	return err
}

// handle opens the payload and calls the handler. When ctx ends, the attempt has a moment to
// finish: one that is cut off in the middle goes out twice.
func (s *Service) handle(ctx context.Context, k *kind, c claim) (err error) {
	payload, err := s.d.Seal.Open(table, column, c.ID, c.sealed)
	if err != nil {
		return Permanent(err)
	}
	c.Payload = payload
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			s.d.Log.Error("a delivery panicked", "outbox", k.name, "id", c.ID, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	hctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.Patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-hctx.Done():
		}
	})()
	return k.handler(hctx, c.Delivery)
}

// note writes a result, and tries hard: a delivery that is not noted happens again.
func (s *Service) note(ctx context.Context, fn func(store.Querier) error) error {
	var err error
	for try := range 5 {
		if err = fn(s.d.DB.Q(ctx)); err == nil {
			return nil
		}
		if !sleep(ctx, time.Duration(1<<try)*50*time.Millisecond) {
			break
		}
	}
	return errs.Wrap("note a delivery", err)
}

// pause is how long a message rests after its n-th failed attempt: longer each time, but never so
// long that one of a short life gets no further chance. Chance spreads what failed together.
func pause(n int, left time.Duration) time.Duration {
	d := longest
	if n < 10 { // 5 s · 2⁹ is beyond longest
		d = min(firstPause<<(n-1), longest)
	}
	d = max(min(d, left/8), firstPause)
	return d - d/5 + rand.N(2*d/5) //nolint:gosec // spreading, not a secret
}

// reason is an error as it may be kept and logged: one line, bounded, without the person's address.
func reason(err error, recipient string) string {
	s := telemetry.Redact(err.Error())
	if recipient != "" {
		s = strings.ReplaceAll(s, recipient, "[recipient]")
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.ToValidUTF8(s, "")
}

// look is how often an instance looks for messages of other instances, and for those that rest.
const look = time.Second

// soon is when to look after a message was put: its transaction ends a little later.
var soon = []time.Duration{5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}

// Run delivers until ctx ends. Each kind has its own loops: a server that is slow for one does not
// hold up another.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, k := range s.registered() {
		for range k.Loops {
			wg.Go(func() { s.run(ctx, k) })
		}
	}
	wg.Wait()
}

func (s *Service) run(ctx context.Context, k *kind) {
	t := time.NewTicker(look)
	defer t.Stop()
	failing := false
	for ctx.Err() == nil {
		n, err := s.deliver(ctx, k)
		if err != nil && !failing && ctx.Err() == nil {
			s.d.Log.ErrorContext(ctx, "the outbox is out of order, it tries again", "outbox", k.name, "error", err.Error())
		}
		failing = err != nil
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-k.wake:
			for _, d := range soon {
				if !sleep(ctx, d) {
					return
				}
				if n, err := s.deliver(ctx, k); n > 0 || err != nil {
					break
				}
			}
		}
	}
}

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
