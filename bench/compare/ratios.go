package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
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
	{flow: "exchange", aim: 0.33, commits: 1, signs: true, count: 1500},
	{flow: "refresh", aim: 0.33, commits: 1, signs: true},
	{flow: "login", aim: 0.85, hash: true, workers: 8},
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
	m := &meter{run: r, instance: i, bare: bare.url, db: db, sign: sign, bounds: load.Bounds{Duration: r.Round}}
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
	bare   string
	db     *limit.Database
	sign   load.Op
	bounds load.Bounds
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
	var ops []load.Op
	var ratios, rates, allowed []float64
	for round := range m.Rounds + 1 {
		if ops == nil || s.count > 0 {
			if ops, err = f.Prepare(ctx, t, workers, s.count); err != nil {
				return Row{}, err
			}
		}
		res := load.Run(ctx, ops, m.bounds)
		m.report.failures(m.engine+" "+s.flow, res)
		limits := m.limits(ctx, s, workers, signatures, bareOps)
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		if round == 0 {
			continue // warms up caches, pools and the processor's clock
		}
		a := limit.Allowed(limits...)
		rates, allowed, ratios = append(rates, res.Rate), append(allowed, a), append(ratios, res.Rate/a)
	}
	row := Row{Name: s.flow, Engine: m.engine, Rate: median(rates), Allowed: median(allowed), Value: median(ratios), Ratio: true,
		Aim: s.aim, Note: fmt.Sprintf("rounds %.2f to %.2f", slices.Min(ratios), slices.Max(ratios))}
	if m.engine == sqlite && !slices.Contains(sqliteAims, s.flow) {
		row.Aim = 0
	}
	return row, nil
}

// limits measures each limit of the flow once.
func (m *meter) limits(ctx context.Context, s spec, workers, signatures int, bare []load.Op) []float64 {
	if s.hash {
		return []float64{limit.PerCore(ctx, limit.Argon2id(argon2id), m.bounds).Rate}
	}
	limits := []float64{load.Run(ctx, bare, m.bounds).Rate}
	half := load.Bounds{Duration: m.bounds.Duration / 2}
	repeat := func(n int, rate func() float64) {
		if n == 0 {
			return
		}
		measured := rate()
		for range n {
			limits = append(limits, measured)
		}
	}
	repeat(s.commits, func() float64 { return load.Run(ctx, limit.Same(m.db.Commit, workers), half).Rate })
	repeat(s.selects, func() float64 { return load.Run(ctx, limit.Same(m.db.Select, workers), half).Rate })
	if s.signs {
		repeat(signatures, func() float64 { return limit.PerCore(ctx, m.sign, half).Rate })
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
