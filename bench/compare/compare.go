// Package compare runs Signet beside the limits of the machine and says how much of what
// they allow it reaches. It starts `signet serve` over throw-away databases, drives it with
// package load, measures package limit in between, and checks what is not a rate: the time
// to start, memory, size of the binary, lost tokens, and whether a large store is slower than
// a small one. Nothing but configuration and the seed is particular to Signet.
package compare

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"signet/bench/limit"
	"signet/bench/load"
)

// Options of a run.
type Options struct {
	Signet   string // the binary
	Bench    string // this program, to serve the bare handler
	Postgres string // URL of a superuser connection to a throw-away server
	Dir      string // for configuration, SQLite files and logs
	Small    int    // accounts in the small store
	Size     int    // accounts in the large store
	Rounds   int
	Round    time.Duration // of one measurement
	Workers  int
	Parts    []string // of Parts; empty means all
	Flows    []string // limits the parts ratios and flat to these; empty means all
	Log      io.Writer
}

// Parts lists what Options.Parts may name.
var Parts = []string{"binary", "start", "ratios", "concurrency", "flat"}

func (o Options) part(name string) bool { return len(o.Parts) == 0 || slices.Contains(o.Parts, name) }

func (o Options) flow(name string) bool { return len(o.Flows) == 0 || slices.Contains(o.Flows, name) }

// argon2id is the cost that Signet uses unless it is configured otherwise.
var argon2id = limit.Argon2{MemoryKiB: 19456, Time: 2, Parallelism: 1}

type run struct {
	Options
	report  Report
	targets map[string]*instance // by engine, the small stores
}

// Run measures everything. The report is filled as far as the run came.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &run{Options: o, targets: map[string]*instance{}}
	r.report.Machine = fmt.Sprintf("%s, %d cores, %s/%s", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	defer func() {
		for _, i := range r.targets {
			i.stop()
		}
	}()
	if r.part("binary") {
		if err := r.binary(); err != nil {
			return &r.report, err
		}
	}
	for _, engine := range []string{postgres, sqlite} {
		if engine == postgres && o.Postgres == "" {
			r.say("no Postgres given: SQLite only")
			continue
		}
		if err := r.over(ctx, engine); err != nil {
			return &r.report, fmt.Errorf("%s: %w", engine, err)
		}
	}
	return &r.report, nil
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Log, format+"\n", args...) }

// binary checks the size of the stripped, static program.
func (r *run) binary() error {
	info, err := os.Stat(r.Signet)
	if err != nil {
		return err
	}
	r.report.add(Row{Name: "size of the binary", Value: float64(info.Size()) / 1e6, Unit: "MB", Aim: 30, AtMost: true})
	return nil
}

// over measures all parts over one engine.
func (r *run) over(ctx context.Context, engine string) error {
	r.say("%s: preparing a store with %d accounts", engine, r.Small)
	small, err := newInstance(ctx, r.Options, engine, "small", r.Small)
	if err != nil {
		return err
	}
	r.targets[engine] = small
	if r.part("start") {
		if err := r.start(ctx, small); err != nil {
			return err
		}
	}
	if err := small.start(ctx); err != nil {
		return err
	}
	if err := small.open(ctx); err != nil {
		return err
	}
	defer small.stop()
	if r.part("ratios") {
		if err := r.ratios(ctx, small); err != nil {
			return err
		}
	}
	if r.part("concurrency") {
		if err := r.concurrency(ctx, small); err != nil {
			return err
		}
	}
	if r.part("flat") {
		if err := r.flat(ctx, small); err != nil {
			return err
		}
	}
	if n, first := small.loggedErrors(); n > 0 {
		r.report.add(Row{Name: "errors in the log", Engine: engine, Value: float64(n), Aim: 0, AtMost: true, Note: first})
	}
	return nil
}

// start measures from the start of the process to the first positive answer of /readyz, on a
// database that is migrated, and the memory after some idle seconds.
func (r *run) start(ctx context.Context, i *instance) error {
	var times []float64
	for range 7 {
		begin := time.Now() // monotonic: only the difference is used
		if err := i.start(ctx); err != nil {
			return err
		}
		times = append(times, float64(time.Since(begin))/float64(time.Millisecond))
		i.stop()
	}
	r.report.add(Row{Name: "start to ready", Engine: i.engine, Value: median(times), Unit: "ms", Aim: 150, AtMost: true,
		Note: fmt.Sprintf("median of %d", len(times))})
	if err := i.start(ctx); err != nil {
		return err
	}
	defer i.stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Second):
	}
	rss, err := i.resident()
	if err != nil {
		return err
	}
	r.report.add(Row{Name: "resident when idle", Engine: i.engine, Value: rss / 1e6, Unit: "MB", Aim: 40, AtMost: true})
	return nil
}

// concurrency counts what goes wrong when 64 clients refresh at once, and when 64 requests
// present the same refresh token at once.
func (r *run) concurrency(ctx context.Context, i *instance) error {
	const workers = 64
	for _, name := range []string{"refresh", "refresh-burst"} {
		f, err := load.Find(name)
		if err != nil {
			return err
		}
		r.say("%s: %d concurrent, %s", i.engine, workers, name)
		ops, err := f.Prepare(ctx, &i.web, workers, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		res := load.Run(ctx, ops, load.Bounds{Duration: 10 * time.Second})
		r.report.failures(i.engine+" "+name, res)
		done := res.Done
		if name == "refresh-burst" {
			done *= workers
		}
		r.report.add(Row{Name: fmt.Sprintf("failed, 64 × %s", name), Engine: i.engine, Value: float64(res.Failed), Aim: 0, AtMost: true,
			Note: fmt.Sprintf("of %d refreshes", done)})
		r.report.add(Row{Name: fmt.Sprintf("lost tokens, 64 × %s", name), Engine: i.engine, Value: float64(res.Lost), Aim: 0, AtMost: true})
	}
	return nil
}
