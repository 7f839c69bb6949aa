// Package load drives an OpenID provider from outside and measures it: a closed loop of
// workers, each doing one operation after the other, bounded in time and number. It knows
// the provider by its issuer URL and a client's credentials only, and imports nothing of
// Signet, so that any provider can stand under it.
//
// A flow (flows.go) prepares one operation per worker; Run executes the operations and
// counts. The commands in bench/ and the comparison in bench/suite call it.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Op is one timed operation of one worker. It is never called concurrently with itself.
type Op func(context.Context) error

// ErrDone says that an operation has used up what was prepared for it; the worker ends.
var ErrDone = errors.New("nothing left to do")

// Failure is an operation that did not succeed.
type Failure struct {
	Kind string // groups failures in the report: "http 503", "invalid_grant", "network", …
	// Lost marks a token that died although its client behaved: worse than a failed request,
	// since the user has to sign in again.
	Lost bool
	Err  error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Kind, f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

func failure(kind, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Bounds end a run; both always apply.
type Bounds struct {
	Duration time.Duration // no operation starts after it
	Count    int           // operations in all; 0 means 1,000,000
}

const (
	defaultCount = 1_000_000
	maxDuration  = time.Hour
)

// Result is what a run measured. Latencies are of successful operations.
type Result struct {
	Flow     string         `json:"flow,omitempty"`
	Workers  int            `json:"workers"`
	Done     int            `json:"succeeded"`
	Failed   int            `json:"failed"`
	Lost     int            `json:"lost_tokens"`
	Failures map[string]int `json:"failures,omitempty"` // by kind
	Example  string         `json:"example,omitempty"`  // text of one failure
	Elapsed  time.Duration  `json:"elapsed_ns"`
	Rate     float64        `json:"per_second"`
	Mean     time.Duration  `json:"mean_ns"`
	P50      time.Duration  `json:"p50_ns"`
	P90      time.Duration  `json:"p90_ns"`
	P99      time.Duration  `json:"p99_ns"`
	Max      time.Duration  `json:"max_ns"`
}

// Run lets each operation loop in a worker of its own until a bound is reached. Operations
// under way at the end are finished, not cut off: an answer that nobody read would make a
// one-time token look lost.
func Run(ctx context.Context, ops []Op, b Bounds) Result {
	if b.Count <= 0 {
		b.Count = defaultCount
	}
	if b.Duration <= 0 || b.Duration > maxDuration {
		b.Duration = maxDuration
	}
	var (
		left    atomic.Int64
		wg      sync.WaitGroup
		workers = make([]worker, len(ops))
	)
	left.Store(int64(b.Count))
	start := time.Now() // monotonic: only differences are used
	deadline := start.Add(b.Duration)
	for i := range ops {
		wg.Go(func() { workers[i].loop(ctx, ops[i], deadline, &left) })
	}
	wg.Wait()
	return summarize(workers, time.Since(start))
}

type worker struct {
	times    histogram
	failed   int
	lost     int
	failures map[string]int
	example  string
}

func (w *worker) loop(ctx context.Context, op Op, deadline time.Time, left *atomic.Int64) {
	for ctx.Err() == nil {
		begin := time.Now()
		if begin.After(deadline) || left.Add(-1) < 0 {
			return
		}
		err := op(context.WithoutCancel(ctx))
		if errors.Is(err, ErrDone) {
			return
		}
		if err != nil {
			w.fail(err)
			continue
		}
		w.times.add(time.Since(begin))
	}
}

func (w *worker) fail(err error) {
	w.failed++
	kind := "other"
	if f, ok := errors.AsType[*Failure](err); ok {
		kind = f.Kind
		if f.Lost {
			w.lost++
		}
	}
	if w.failures == nil {
		w.failures = map[string]int{}
		w.example = err.Error()
	}
	w.failures[kind]++
}

func summarize(workers []worker, elapsed time.Duration) Result {
	r := Result{Workers: len(workers), Elapsed: elapsed, Failures: map[string]int{}}
	var all histogram
	for i := range workers {
		w := &workers[i]
		all.merge(&w.times)
		r.Failed += w.failed
		r.Lost += w.lost
		for k, n := range w.failures {
			r.Failures[k] += n
		}
		if r.Example == "" {
			r.Example = w.example
		}
	}
	r.Done = int(all.count)
	if elapsed > 0 {
		r.Rate = float64(r.Done) / elapsed.Seconds()
	}
	r.Mean, r.Max = all.mean(), all.max
	r.P50, r.P90, r.P99 = all.quantile(0.50), all.quantile(0.90), all.quantile(0.99)
	return r
}
