package app

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// workers are the goroutines that live as long as the application.
type workers struct {
	log  *slog.Logger
	wg   sync.WaitGroup
	stop context.CancelFunc
	ctx  context.Context //nolint:containedctx // the lifetime of the workers themselves
}

func newWorkers(log *slog.Logger) *workers {
	w := &workers{log: log}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

// run keeps fn running until the application stops: after a panic it starts again, with a
// growing pause. One broken worker must not take the process with it, nor spin.
func (w *workers) run(name string, fn func(ctx context.Context)) {
	w.wg.Go(func() {
		pause := time.Second
		for w.ctx.Err() == nil {
			began := time.Now() // monotonic
			w.guard(name, fn)
			if time.Since(began) > time.Minute {
				pause = time.Second
			}
			sleep(w.ctx, pause)
			pause = min(2*pause, time.Minute)
		}
	})
}

func (w *workers) guard(name string, fn func(ctx context.Context)) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("worker panicked, it starts again", "worker", name, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	fn(w.ctx)
}

// every calls fn at once and then every period, until the application stops. A failing call
// is logged once per streak and tried again at the next period.
func (w *workers) every(name string, period time.Duration, fn func(ctx context.Context) error) {
	w.run(name, func(ctx context.Context) {
		failing := false
		for ctx.Err() == nil {
			err := fn(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				w.log.Error("worker failed, it tries again", "worker", name, "error", err.Error())
			}
			if err == nil && failing {
				w.log.Info("worker recovered", "worker", name)
			}
			failing = err != nil
			sleep(ctx, period)
		}
	})
}

// close stops the workers and waits for them.
func (w *workers) close() {
	w.stop()
	w.wg.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
