package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"signet/internal/platform/store"
)

// Mode says how a statement breaks.
type Mode int

// The two ways a remote step fails: before it had an effect, or after, with the answer lost.
const (
	Before Mode = iota
	After
)

// ErrInjected is the cause of every injected failure. It has kind errs.Unavailable.
var ErrInjected = errors.New("injected fault")

// FailAt returns a view of db whose n-th statement (1 is the first) fails in the given way,
// and a counter of the statements seen. With n = 0 nothing fails; use that to count.
func FailAt(db *store.DB, n int64, mode Mode) (*store.DB, *atomic.Int64) {
	count := new(atomic.Int64)
	return db.Wrapped(func(q store.Querier) store.Querier { return &faulty{q, n, mode, count} }), count
}

type faulty struct {
	q     store.Querier
	n     int64
	mode  Mode
	count *atomic.Int64
}

func (f *faulty) hit() bool { return f.count.Add(1) == f.n }

func fault() error { return store.Fault(true, ErrInjected) }

func (f *faulty) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	hit := f.hit()
	if hit && f.mode == Before {
		return 0, fault()
	}
	n, err := f.q.Exec(ctx, sql, args...)
	if hit {
		return 0, fault()
	}
	return n, err
}

func (f *faulty) Query(ctx context.Context, sql string, args ...any) (store.Rows, error) {
	if f.hit() {
		return nil, fault()
	}
	return f.q.Query(ctx, sql, args...)
}

func (f *faulty) QueryRow(ctx context.Context, sql string, args ...any) store.Row {
	hit := f.hit()
	if hit && f.mode == Before {
		return failedRow{}
	}
	row := f.q.QueryRow(ctx, sql, args...)
	if hit {
		return failedRow{row}
	}
	return row
}

type failedRow struct{ row store.Row }

func (r failedRow) Scan(dest ...any) error {
	if r.row != nil {
		_ = r.row.Scan(dest...) // the statement runs to its end; only the answer is lost
	}
	return fault()
}
