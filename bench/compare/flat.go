package compare

import (
	"context"
	"fmt"
	"runtime"

	"signet/bench/load"
)

// flat compares the latency of the same flows over a small and a large store, in turn. Only
// as many workers as cores are at work: with more, latency would say how long the queue is.
func (r *run) flat(ctx context.Context, small *instance) error {
	r.say("%s: preparing a store with %d accounts", small.engine, r.Size)
	large, err := newInstance(ctx, r.Options, small.engine, "large", r.Size)
	if err != nil {
		return err
	}
	if err := large.start(ctx); err != nil {
		return err
	}
	defer large.stop()
	if err := large.open(ctx); err != nil {
		return err
	}
	workers := runtime.NumCPU()
	for _, name := range []string{"login", "code", "refresh"} {
		if !r.flow(name) {
			continue
		}
		f, err := load.Find(name)
		if err != nil {
			return err
		}
		var ops [2][]load.Op
		for i, in := range []*instance{small, large} {
			if ops[i], err = f.Prepare(ctx, &in.web, workers, 0); err != nil {
				return fmt.Errorf("%s, %s: %w", name, in.name, err)
			}
		}
		// Short rounds, and many: latency suffers from neighbours more than a rate does.
		rounds, length := 2*r.Rounds, r.Round
		if name == "login" {
			rounds, length = r.Rounds, 6*r.Round
		}
		var ratios, tails []float64
		for round := range rounds + 1 {
			var res [2]load.Result
			// Whoever goes second finds the processor warmer: take turns.
			for _, i := range [][]int{{0, 1}, {1, 0}}[round%2] {
				res[i] = load.Run(ctx, ops[i], load.Bounds{Duration: length})
				r.report.failures(fmt.Sprintf("%s %s, %s store", small.engine, name, []string{"small", "large"}[i]), res[i])
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if round > 0 && res[0].P50 > 0 {
				ratios = append(ratios, float64(res[1].P50)/float64(res[0].P50))
				tails = append(tails, float64(res[1].P99)/float64(res[0].P99))
			}
		}
		row := Row{Name: fmt.Sprintf("latency of %s, %d to %d accounts", name, r.Small, r.Size), Engine: small.engine,
			Value: median(ratios), Ratio: true, Aim: 1.15, AtMost: true, Note: fmt.Sprintf("p99 %.2f", median(tails))}
		r.say("%s: %s", small.engine, row)
		r.report.add(row)
	}
	return nil
}
