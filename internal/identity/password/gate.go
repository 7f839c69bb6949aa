package password

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"signet/internal/platform/errs"
)

// gate bounds how much hashing happens at once. Who does not get in within the timeout is shed,
// and who could not get in, judged by those already waiting, is shed at once: under a flood it is
// better to answer most visitors in time than all of them too late.
type gate struct {
	sem     *semaphore.Weighted // fair: first come, first served
	slots   int64
	timeout time.Duration

	inUse  atomic.Int64 // slots
	queued atomic.Int64 // waiters
	shed   atomic.Uint64
	mean   atomic.Int64 // running mean of nanoseconds that a slot is held
}

type enterFunc func(ctx context.Context, weight int64) (leave func(), err error)

func newGate(slots int, timeout time.Duration) *gate {
	return &gate{sem: semaphore.NewWeighted(int64(slots)), slots: int64(slots), timeout: timeout}
}

// enter takes weight slots (all, if there are fewer) or returns errs.Busy after the timeout.
func (g *gate) enter(ctx context.Context, weight int64) (func(), error) {
	weight = max(1, min(weight, g.slots))
	if g.sem.TryAcquire(weight) {
		return g.entered(weight), nil
	}
	expected := g.expected()
	if expected > g.timeout {
		return nil, g.refuse(expected)
	}
	g.queued.Add(1)
	defer g.queued.Add(-1)
	wctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if err := g.sem.Acquire(wctx, weight); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err() // the visitor left
		}
		return nil, g.refuse(expected)
	}
	return g.entered(weight), nil
}

// admit refuses who would be refused by enter at once, without taking anything.
func (g *gate) admit() error {
	if expected := g.expected(); expected > g.timeout {
		return g.refuse(expected)
	}
	return nil
}

// expected is how long the next one in line has to wait.
func (g *gate) expected() time.Duration {
	return time.Duration(g.queued.Load() * g.mean.Load() / g.slots)
}

// enterPatiently takes weight slots as soon as it can, for work that nobody waits for.
func (g *gate) enterPatiently(ctx context.Context, weight int64) (func(), error) {
	weight = max(1, min(weight, g.slots))
	if err := g.sem.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return g.entered(weight), nil
}

func (g *gate) entered(weight int64) (leave func()) {
	g.inUse.Add(weight)
	began := time.Now() // a monotonic duration, not the time of day
	return func() {
		took := int64(time.Since(began))
		if old := g.mean.Load(); old > 0 {
			took = (7*old + took) / 8 // a lost update among many is of no matter
		}
		g.mean.Store(took)
		g.inUse.Add(-weight)
		g.sem.Release(weight)
	}
}

func (g *gate) refuse(expected time.Duration) error {
	g.shed.Add(1)
	wait := max(time.Second, expected.Truncate(time.Second)+time.Second)
	return errs.Retry(errs.Busy, "busy", min(wait, 30*time.Second))
}

func (g *gate) stats() (inUse, queued int, shed uint64) {
	return int(g.inUse.Load()), int(g.queued.Load()), g.shed.Load()
}
