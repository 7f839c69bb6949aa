package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"signet/bench/limit"
	"signet/bench/load"
)

// spec says what a flow is compared with.
type spec struct {
	flow    string
	machine bool    // as the machine client
	workers int     // 0 means Options.Workers
	aim     float64 // share of what the limits allow; 0 means that it is shown only
	commits int
	selects int
	signs   bool // as many signatures as the answer has JWTs
	hash    bool // the hash alone is the limit
	long    int  // rounds so many times longer, for operations that take long
	count   int  // operations prepared per round, for flows that use something up
	only    string
}

// specs are the aims. A flow of several requests has no bare handler of its own size; it is
// compared where its aim says so.
var specs = []spec{
	{flow: "discovery", aim: 0.80, only: postgres},
	{flow: "jwks", aim: 0.80, only: postgres},
	{flow: "client_credentials", machine: true, aim: 0.50, signs: true},
	{flow: "introspect", aim: 0.50, selects: 1},
	{flow: "exchange", aim: 0.33, commits: 1, signs: true, count: 1200},
	{flow: "refresh", aim: 0.33, commits: 1, signs: true},
	{flow: "login", aim: 0.85, hash: true, workers: 8, long: 6},
}

// sqliteAims are the flows whose aim holds on SQLite too; the others are shown only: one
// writer with a disk of its own has other limits.
var sqliteAims = []string{"login"}

// ratios measures flow and limits in turn, several short rounds, so that whatever else the
// machine does hits both, and takes the median of the rounds' ratios.
func (r *run) ratios(ctx context.Context, i *instance) error {
	bare, err := startHandler(ctx, r.Options)
	if err != nil {
		return err
	}
	defer bare.stop()
	var db *limit.Database
	if i.engine == postgres {
		db, err = limit.Postgres(ctx, i.dsn, 16)
	} else {
		db, err = limit.SQLite(ctx, filepath.Join(r.Dir, "small"))
	}
	if err != nil {
		return err
	}
	defer db.Close()
	sign, err := limit.ES256()
	if err != nil {
		return err
	}
	m := &meter{run: r, instance: i, bare: bare.url, db: db, sign: sign, cpu: newCPU(i.process, bare, i.postmaster)}
	for _, s := range specs {
		if s.only != "" && s.only != i.engine || !r.flow(s.flow) {
			continue
		}
		row, err := m.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.flow, err)
		}
		r.say("%s: %s", i.engine, row)
		r.report.add(row)
	}
	return nil
}

type meter struct {
	*run
	*instance
	bare string
	db   *limit.Database
	sign load.Op
	cpu  *cpu
}

// cost is what one operation was measured to take: wall time of the whole machine, and
// processor time of all programs that took part.
type cost struct{ rate, cpu float64 }

func (m *meter) cost(ctx context.Context, flow string, ops []load.Op, d time.Duration) cost {
	before := m.cpu.seconds()
	res := load.Run(ctx, ops, load.Bounds{Duration: d})
	used := m.cpu.seconds() - before
	m.report.failures(m.engine+" "+flow, res)
	return cost{res.Rate, used / float64(max(res.Done, 1))}
}

func (m *meter) measure(ctx context.Context, s spec) (Row, error) {
	f, err := load.Find(s.flow)
	if err != nil {
		return Row{}, err
	}
	t := &m.web
	if s.machine {
		t = &m.machine
	}
	workers := m.Workers
	if s.workers > 0 {
		workers = s.workers
	}
	signatures, bareOps, err := m.sample(ctx, f, t, s, workers)
	if err != nil {
		return Row{}, err
	}
	rounds, length := m.Rounds, m.Round
	if s.long > 0 {
		rounds, length = (m.Rounds+1)/2, m.Round*time.Duration(s.long)
	}
	var ops []load.Op
	var ratios, cpus, rates, allowed []float64
	for round := range rounds + 1 {
		if ops == nil || s.count > 0 {
			if ops, err = f.Prepare(ctx, t, workers, s.count); err != nil {
				return Row{}, err
			}
		}
		flow := m.cost(ctx, s.flow, ops, length)
		limits := m.limits(ctx, s, workers, signatures, bareOps, length)
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		if round == 0 {
			continue // warms up caches, pools and the processor's clock
		}
		var each []float64
		var least float64
		for _, l := range limits {
			each, least = append(each, l.rate), least+l.cpu
		}
		a := limit.Allowed(each...)
		rates, allowed, ratios = append(rates, flow.rate), append(allowed, a), append(ratios, flow.rate/a)
		cpus = append(cpus, least/flow.cpu)
	}
	row := Row{Name: s.flow, Engine: m.engine, Rate: median(rates), Allowed: median(allowed), Value: median(ratios), Ratio: true,
		CPU: median(cpus), Aim: s.aim, Note: fmt.Sprintf("rounds %.2f to %.2f", slices.Min(ratios), slices.Max(ratios))}
	if m.engine == sqlite && !slices.Contains(sqliteAims, s.flow) {
		row.Aim = 0
	}
	return row, nil
}

// limits measures each limit of the flow once.
func (m *meter) limits(ctx context.Context, s spec, workers, signatures int, bare []load.Op, d time.Duration) []cost {
	perCore := runtime.GOMAXPROCS(0)
	if s.hash {
		return []cost{m.cost(ctx, "hash", limit.Same(limit.Argon2id(argon2id), perCore), d)}
	}
	limits := []cost{m.cost(ctx, "bare handler", bare, d)}
	for _, l := range []struct {
		name    string
		n       int
		op      load.Op
		workers int
	}{
		{"commit", s.commits, m.db.Commit, workers},
		{"select", s.selects, m.db.Select, workers},
		{"signature", signatures, m.sign, perCore},
	} {
		if l.n > 0 {
			limits = append(limits, slices.Repeat([]cost{m.cost(ctx, l.name, limit.Same(l.op, l.workers), d/2)}, l.n)...)
		}
	}
	return limits
}

// sample performs the flow once, counts the signatures in its answer, and gives the answer
// to the bare handler, so that it sends the very same body.
func (m *meter) sample(ctx context.Context, f load.Flow, t *load.Target, s spec, workers int) (signatures int, bare []load.Op, err error) {
	if f.Bare == nil {
		return 0, nil, nil
	}
	ops, err := f.Prepare(ctx, t, 1, 1)
	if err != nil {
		return 0, nil, err
	}
	var body []byte
	t.Observe = func(_ string, b []byte) { body = b }
	res := load.Run(ctx, ops, load.Bounds{Count: 1})
	t.Observe = nil
	if res.Done != 1 {
		return 0, nil, fmt.Errorf("first request failed: %s", res.Example)
	}
	if s.signs {
		var tokens load.Tokens
		if err := json.Unmarshal(body, &tokens); err != nil {
			return 0, nil, err
		}
		signatures = tokens.Signatures()
	}
	endpoint := m.bare + "/" + s.flow
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoint, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil, err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	_ = resp.Body.Close()
	bare = make([]load.Op, workers)
	for i := range bare {
		bare[i] = f.Bare(t, endpoint)
	}
	return signatures, bare, nil
}
