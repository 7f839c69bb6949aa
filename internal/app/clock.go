package app

import (
	"context"
	"time"

	"signet/internal/platform/clock"
)

const (
	clockPeriod = 15 * time.Second // how often the offset is measured
	clockLook   = time.Second      // how often a step of the machine's clock is looked for
	clockAlarm  = 30 * time.Second // an offset beyond it is an operator's business
)

// watchClock keeps the clock at the database's. Between measurements it looks for steps: a
// wall clock that has moved against the monotonic one was set by somebody, and codes and
// sessions must not live or die by that.
func (a *App) watchClock(ctx context.Context, c *clock.System) {
	mark, measured, alarmed := time.Now(), time.Time{}, false
	for ctx.Err() == nil {
		now := time.Now()
		stepped := now.Round(0).Sub(mark.Round(0)) - now.Sub(mark)
		mark = now
		if stepped.Abs() > time.Second || now.Sub(measured) >= clockPeriod {
			measured = now
			alarmed = a.measureClock(ctx, c, alarmed)
		}
		sleep(ctx, clockLook)
	}
}

func (a *App) measureClock(ctx context.Context, c *clock.System, alarmed bool) bool {
	tctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	off, err := discipline(tctx, a.DB, c)
	if err != nil {
		return alarmed // the database is down; readiness says so
	}
	a.offset.Store(int64(off))
	wrong := off.Abs() > clockAlarm
	if wrong && !alarmed {
		a.Log.ErrorContext(ctx, "this machine's clock is wrong; the database's is used, keep NTP running", "offset", off.Round(time.Millisecond))
	}
	if !wrong && alarmed {
		a.Log.InfoContext(ctx, "this machine's clock is right again", "offset", off.Round(time.Millisecond))
	}
	return wrong
}
