package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/internal/platform/telemetry"
)

// instances returns n applications that have nothing but jobs, over one database.
func instances(t *testing.T, e store.Engine, n int, c clock.Clock, fn func(ctx context.Context) error) []*App {
	t.Helper()
	url := storetest.NewURL(t, e)
	var out []*App
	for range n {
		a := &App{
			Services: &Services{DB: storetest.Connect(t, url), Clock: c, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics()},
			jobs:     []job{{"sweep", 5 * time.Minute, fn}},
		}
		if err := a.addJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

func each(t *testing.T, fn func(t *testing.T, e store.Engine)) {
	t.Helper()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			fn(t, e)
		})
	}
}

// TestJob_OncePerPeriod: three instances that look at the same moment run a job once.
func TestJob_OncePerPeriod(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e store.Engine) {
		c := clock.NewFake(time.Now())
		var runs atomic.Int32
		apps := instances(t, e, 3, c, func(context.Context) error {
			runs.Add(1)
			return nil
		})
		for period := range 4 {
			for range 3 { // looks within the period
				var wg sync.WaitGroup
				for _, a := range apps {
					wg.Go(func() {
						if err := a.RunJobs(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				c.Advance(time.Minute)
			}
			if got := runs.Load(); int(got) != period+1 {
				t.Fatalf("after %d periods the job ran %d times", period+1, got)
			}
			c.Advance(3 * time.Minute)
		}
	})
}

// TestJob_FailedOneIsTriedAgainSoon: by whoever looks next, not only after a whole period.
func TestJob_FailedOneIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e store.Engine) {
		c := clock.NewFake(time.Now())
		runs := 0
		apps := instances(t, e, 2, c, func(context.Context) error {
			if runs++; runs == 1 {
				panic("no luck")
			} else if runs == 2 {
				return errors.New("still no luck")
			}
			return nil
		})
		if err := apps[0].RunJobs(t.Context()); err == nil {
			t.Error("a panic is no error")
		}
		_ = apps[1].RunJobs(t.Context())
		if runs != 1 {
			t.Fatalf("%d runs at once", runs)
		}
		for range 2 {
			c.Advance(jobLook)
			_ = apps[1].RunJobs(t.Context())
		}
		if runs != 3 {
			t.Errorf("%d runs after two more looks, want 3", runs)
		}
	})
}

// TestJob_InstanceDiesHalfway: the claim of a dead instance costs one period, not the job.
func TestJob_InstanceDiesHalfway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e store.Engine) {
		c := clock.NewFake(time.Now())
		dies := true
		runs := 0
		apps := instances(t, e, 2, c, func(context.Context) error {
			runs++
			return nil
		})
		apps[0].jobs[0].fn = func(context.Context) error {
			if dies {
				select {} // kill -9: nothing after the claim happens
			}
			return nil
		}
		go func() { _ = apps[0].RunJobs(context.Background()) }()
		deadline := time.Now().Add(5 * time.Second)
		for { // until the claim is in the database
			var next int64
			if err := apps[1].DB.QueryRow(t.Context(), `SELECT next_at FROM job WHERE name = 'sweep'`).Scan(&next); err != nil {
				t.Fatal(err)
			}
			if next > store.Micros(c.Now()) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("never claimed")
			}
			time.Sleep(time.Millisecond)
		}
		c.Advance(5 * time.Minute)
		if err := apps[1].RunJobs(t.Context()); err != nil || runs != 1 {
			t.Errorf("the other instance: %d runs, %v", runs, err)
		}
	})
}

func TestWorker_PanicIsNotTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorkers(slog.New(slog.DiscardHandler))
	calls := make(chan int, 8)
	n := 0
	w.run("clumsy", func(ctx context.Context) {
		n++
		calls <- n
		if n == 1 {
			panic("oops")
		}
		<-ctx.Done()
	})
	for want := 1; want <= 2; want++ {
		select {
		case got := <-calls:
			if got != want {
				t.Fatalf("call %d, want %d", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the worker did not start again")
		}
	}
	w.close()
}

func TestWorker_CloseWaitsForAll(t *testing.T) {
	t.Parallel()
	w := newWorkers(slog.New(slog.DiscardHandler))
	var ended atomic.Bool
	began := make(chan struct{})
	w.every("busy", time.Millisecond, func(ctx context.Context) error {
		select {
		case <-began:
		default:
			close(began)
		}
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond)
		ended.Store(true)
		return ctx.Err()
	})
	<-began
	w.close()
	if !ended.Load() {
		t.Error("close returned before the worker had")
	}
}
