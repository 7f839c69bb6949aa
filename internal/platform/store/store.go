// Package store is the door to the database: one small Querier seam over native pgx and
// over SQLite, transactions that ride in the context, error mapping, the migration runner.
// It knows no table but its own (schema_migration, change_counter). Every statement of the
// house is written once, in the SQL subset of migrations/README.md, and runs on both engines.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"signet/internal/platform/errs"
)

// Engine names a database engine.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	SQLite   Engine = "sqlite"
)

// The outcomes a caller may act on; test with errors.Is. Everything else is a fault, with
// kind errs.Unavailable where the database could not answer and errs.Internal otherwise.
var (
	ErrNoRows     = errors.New("no rows")
	ErrUnique     = errors.New("unique constraint")
	ErrForeignKey = errors.New("foreign key constraint")
)

// Row is one row to be scanned. Scan returns ErrNoRows when there was none.
type Row interface{ Scan(dest ...any) error }

// Rows is a result set; Close may be called more than once.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close()
}

// Querier runs statements. Parameters are $1, $2, …; Exec returns the rows affected.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) Row
}

// Driver is what an engine's adapter (pg, sqlite) provides.
type Driver interface {
	Querier
	Engine() Engine
	// Begin runs fn in one transaction: commit if it returns nil, else rollback. On SQLite
	// the transaction takes the write lock at once.
	Begin(ctx context.Context, fn func(Querier) error) error
	// Exclusive runs fn on one connection while no other process of this database is in
	// Exclusive. script runs several statements at once.
	Exclusive(ctx context.Context, fn func(q Querier, script func(string) error) error) error
	// Now reads the database's clock.
	Now(ctx context.Context) (time.Time, error)
	// Size returns the bytes the database takes.
	Size(ctx context.Context) (int64, error)
	Ping(ctx context.Context) error
	Close()
}

// DB is a database. It is safe for concurrent use.
type DB struct {
	Driver
	wrap func(Querier) Querier // fault injection in tests; nil otherwise
}

// NewDB wraps an engine's adapter.
func NewDB(d Driver) *DB { return &DB{Driver: d} }

// Wrapped returns a view of db whose statements go through wrap. Fault tests use it to make
// the n-th statement fail; nothing else should.
func (db *DB) Wrapped(wrap func(Querier) Querier) *DB { return &DB{Driver: db.Driver, wrap: wrap} }

type txKey struct{}

// Q returns the transaction that ctx carries, or the database itself.
func (db *DB) Q(ctx context.Context) Querier {
	if q, ok := ctx.Value(txKey{}).(Querier); ok {
		return q
	}
	return db.wrapped(db.Driver)
}

func (db *DB) wrapped(q Querier) Querier {
	if db.wrap != nil {
		return db.wrap(q)
	}
	return q
}

// InTx runs fn in a transaction, which its ctx carries; a nested call joins the outer one.
// fn may run again when the database asks for a retry (serialization failure, deadlock), so
// it must have no effect outside the database. Answer the client only after InTx returned nil.
func (db *DB) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := ctx.Value(txKey{}).(Querier); ok {
		return fn(ctx)
	}
	const tries = 4
	var err error
	for try := range tries {
		err = db.Begin(ctx, func(q Querier) error {
			return fn(context.WithValue(ctx, txKey{}, db.wrapped(q)))
		})
		if !errors.Is(err, ErrRetry) {
			return err
		}
		pause := time.Duration(1<<try)*5*time.Millisecond + rand.N(5*time.Millisecond)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return err
}

// ErrRetry marks a transaction that the database aborted in favour of another.
var ErrRetry = errors.New("transaction aborted, retry")

// MustTx panics unless ctx carries a transaction. Methods that must not run alone (audit
// records, consuming a one-time row) call it first.
func MustTx(ctx context.Context) {
	if _, ok := ctx.Value(txKey{}).(Querier); !ok {
		panic("store: called outside a transaction")
	}
}

// Fault turns a driver's error into one with a kind: the adapters call it for everything
// that is not one of the sentinels.
func Fault(unavailable bool, err error) error {
	if unavailable || errors.Is(err, context.DeadlineExceeded) {
		return errs.New(errs.Unavailable, "", fmt.Errorf("store: %w", err))
	}
	return fmt.Errorf("store: %w", err)
}

// Micros turns an instant into the store's unit, microseconds since 1970 UTC. The zero time
// becomes 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the reverse of Micros: 0 becomes the zero time.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// All reads every row of a query through scan.
func All[T any](ctx context.Context, q Querier, scan func(Row) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
