package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Run serves until a signal arrives, then drains. A second signal ends it at once.
func (a *App) Run(signals <-chan os.Signal) error {
	// What starting up needed (migrations, the first keys) is of no more use.
	debug.FreeOSMemory()
	select {
	case err := <-a.failed:
		a.Close()
		return err
	case s := <-signals:
		a.Log.Info("stopping", "signal", s.String(), "delay", a.cfg.Shutdown.Delay, "timeout", a.cfg.Shutdown.Timeout)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-signals:
			a.Log.Warn("second signal: requests in flight are cut off")
			cancel()
		case <-ctx.Done():
		}
	}()
	err := a.Drain(ctx)
	a.Close()
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Drain stops this instance without losing a request: it is not ready from now on but keeps
// accepting for shutdown.delay, so that balancers notice; then the ports close and requests in
// flight have shutdown.timeout to finish. When ctx ends, it stops waiting.
func (a *App) Drain(ctx context.Context) error {
	a.draining.Store(true)
	a.public.Drain()
	if a.mutual != nil {
		a.mutual.Drain()
	}
	sleep(ctx, a.cfg.Shutdown.Delay)
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Shutdown.Timeout)
	defer cancel()
	var err error
	for _, l := range a.listeners {
		err = errors.Join(err, l.http.Shutdown(ctx))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests were still running after %s", a.cfg.Shutdown.Timeout)
	}
	return err
}

// Close ends everything at once: it cuts connections, stops workers and closes the store.
func (a *App) Close() {
	a.draining.Store(true)
	for _, l := range a.listeners {
		_ = l.http.Close()
		_ = l.Close() // a port that never served
	}
	done := make(chan struct{})
	go func() {
		a.workers.close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second): // a worker that hangs in a dead store must not keep us
		a.Log.Warn("a worker did not stop in time")
	}
	a.Services.Close()
}
