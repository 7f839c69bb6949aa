package logout

import (
	"context"
	"errors"
	"sync"
	"time"

	"signet/internal/platform/id"
)

// gates hold an application that does not answer away from the others: at most perClient posts to one
// at once, and after a failure none for a while, then a single one that looks. What is turned away at
// a gate rests in the outbox like what failed. Gates are this instance's own: losing them costs a few
// requests.
type gates struct {
	mu  sync.Mutex
	all map[id.Client]*gate
}

// gate is closed until an instant of the monotonic clock, which the house clock does not give.
type gate struct {
	running  int
	failures int
	until    time.Time
}

const (
	firstClosed = 2 * time.Second
	longClosed  = 2 * time.Minute
	turn        = 20 * time.Millisecond // how often a full gate is looked at again
	maxTurns    = 100                   // 2 s: then others of the batch should go on
)

// The reasons of a gate.
var (
	errClosed = errors.New("not tried: the application did not answer a moment ago")
	errFull   = errors.New("not tried: many notices are on their way to the application")
)

// enter waits a moment for a place. Without an error leave must be called once, with whether the
// application failed to answer.
func (g *gates) enter(ctx context.Context, c id.Client) (leave func(failed bool), err error) {
	for range maxTurns {
		if leave, err = g.try(c, time.Now()); !errors.Is(err, errFull) {
			return leave, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(turn):
		}
	}
	return nil, errFull
}

func (g *gates) try(c id.Client, now time.Time) (leave func(failed bool), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[id.Client]*gate{}
	}
	one := g.all[c]
	if one == nil {
		one = &gate{}
		g.all[c] = one
	}
	switch {
	case now.Before(one.until), one.failures > 0 && one.running > 0: // closed, or somebody looks
		return nil, errClosed
	case one.running >= perClient:
		return nil, errFull
	}
	one.running++
	return func(failed bool) { g.leave(c, one, failed, time.Now()) }, nil
}

func (g *gates) leave(c id.Client, one *gate, failed bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	one.running--
	switch {
	case failed && !now.Before(one.until): // those that began together fail once
		one.failures++
		one.until = now.Add(min(firstClosed<<min(one.failures-1, 10), longClosed))
	case !failed:
		one.failures, one.until = 0, time.Time{}
		if one.running == 0 {
			delete(g.all, c)
		}
	}
}
