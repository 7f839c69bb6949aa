// Package clock is the only place that reads the time. Everything else is given a Clock,
// so that tests can move it and so that several instances agree: the serving process
// disciplines its clock by the database's (the expiry of shared rows is
// judged by one clock).
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock tells the time.
type Clock interface {
	// Now returns the present instant, UTC, to the microsecond (the store's unit).
	Now() time.Time
}

// System is the machine's clock plus an offset that Discipline sets.
type System struct{ offset atomic.Int64 }

// NewSystem returns the machine's clock with no offset.
func NewSystem() *System { return &System{} }

// Now returns the machine's time corrected by the last measured offset.
func (s *System) Now() time.Time {
	return time.Now().Add(time.Duration(s.offset.Load())).UTC().Truncate(time.Microsecond)
}

// Discipline makes Now follow reference, a reading of the shared clock taken between
// before and after (both machine time), and returns how far the machine's clock was off.
func (s *System) Discipline(reference, before, after time.Time) time.Duration {
	middle := before.Add(after.Sub(before) / 2)
	off := reference.Sub(middle)
	// Below the round trip the measurement says nothing.
	if off.Abs() <= after.Sub(before) {
		off = 0
	}
	s.offset.Store(int64(off))
	return off
}

// Fake is a clock for tests. The zero value is not useful; use NewFake.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake returns a clock that stands still at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC().Truncate(time.Microsecond)} }

// Now returns the instant the fake stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Advance moves the fake by d.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}
