package app

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/internal/platform/telemetry"
)

// skewed is a database whose clock is off.
type skewed struct {
	store.Driver
	by atomic.Int64
}

func (s *skewed) Now(context.Context) (time.Time, error) {
	return time.Now().Add(time.Duration(s.by.Load())), nil
}

// TestClock_FollowsTheDatabase: expiry is judged by the database's clock, and an offset over
// 30 s is an alarm, once.
func TestClock_FollowsTheDatabase(t *testing.T) {
	t.Parallel()
	d := &skewed{Driver: storetest.Open(t, store.SQLite).Driver}
	var log bytes.Buffer
	c := clock.NewSystem()
	a := &App{Services: &Services{DB: store.NewDB(d), Clock: c, Log: telemetry.NewLogger(&log, telemetry.LogOptions{Format: "text"})}}
	alarmed := false
	for _, step := range []struct {
		by     time.Duration
		alarms int
	}{{0, 0}, {20 * time.Second, 0}, {5 * time.Minute, 1}, {5 * time.Minute, 1}, {-5 * time.Minute, 1}, {0, 1}, {time.Hour, 2}} {
		d.by.Store(int64(step.by))
		alarmed = a.measureClock(t.Context(), c, alarmed)
		if off := time.Until(c.Now()) - step.by; off.Abs() > time.Second {
			t.Errorf("%s: the clock is %s away from the database's", step.by, off)
		}
		if got := strings.Count(log.String(), "clock is wrong"); got != step.alarms {
			t.Errorf("%s: %d alarms, want %d", step.by, got, step.alarms)
		}
	}
	if got := time.Duration(a.offset.Load()); got < 59*time.Minute {
		t.Errorf("the metric says %s", got)
	}
	if !strings.Contains(log.String(), "right again") {
		t.Error("nobody hears that the clock is right again")
	}
}
