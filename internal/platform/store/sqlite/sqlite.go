// Package sqlite is the embedded engine: modernc SQLite through database/sql, in WAL mode
// with full durability, one writer connection and a few readers. It is the only importer
// of the SQLite driver.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	sqlitedrv "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"signet/internal/platform/store"
)

// Options tunes Open. The zero value is right for serving.
type Options struct {
	// BusyTimeout is how long a write waits for another process's lock; 0 means 5 s.
	BusyTimeout time.Duration
	// NoSync gives up durability for speed; for tests only.
	NoSync bool
}

// Open opens or creates the database file at path (mode 0600).
func Open(ctx context.Context, path string, o Options) (*store.DB, error) {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	// SQLite would create the file with the umask's mode; it holds password hashes.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	sync := "FULL"
	if o.NoSync {
		sync = "OFF"
	}
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{
		fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)", "trusted_schema(0)",
	} {
		q.Add("_pragma", p)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	w, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	w.SetMaxOpenConns(1) // SQLite has one writer; queueing in Go beats busy loops
	r, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	r.SetMaxOpenConns(max(4, 2*runtime.NumCPU()))
	r.SetMaxIdleConns(max(4, 2*runtime.NumCPU()))
	d := &db{write: newPool(w), read: newPool(r)}
	if err := d.Ping(ctx); err != nil {
		d.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return store.NewDB(d), nil
}

type db struct{ write, read *pool }

func (d *db) Engine() store.Engine { return store.SQLite }

func (d *db) Close() {
	_ = d.read.Close()
	_ = d.write.Close()
}

// Ping checks both pools and that the file can be read.
func (d *db) Ping(ctx context.Context) error {
	var n int64
	if err := d.write.QueryRowContext(ctx, `PRAGMA schema_version`).Scan(&n); err != nil {
		return mapErr(err)
	}
	return mapErr(d.read.QueryRowContext(ctx, `PRAGMA schema_version`).Scan(&n))
}

// Now is the machine's clock: an embedded database has no other.
func (d *db) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (d *db) Size(ctx context.Context) (int64, error) {
	var pages, size int64
	if err := d.read.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		return 0, mapErr(err)
	}
	err := d.read.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&size)
	return pages * size, mapErr(err)
}

// pool sends reads to the readers; anything that may write goes to the one writer.
func (d *db) pool(q string) *pool {
	if strings.HasPrefix(q, "SELECT") {
		return d.read
	}
	return d.write
}

func (d *db) Exec(ctx context.Context, q string, args ...any) (int64, error) {
	return querier{d.write}.Exec(ctx, q, args...)
}

func (d *db) Query(ctx context.Context, q string, args ...any) (store.Rows, error) {
	return querier{d.pool(q)}.Query(ctx, q, args...)
}

func (d *db) QueryRow(ctx context.Context, q string, args ...any) store.Row {
	return querier{d.pool(q)}.QueryRow(ctx, q, args...)
}

func (d *db) Begin(ctx context.Context, fn func(store.Querier) error) (err error) {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return mapErr(err)
	}
	t := &transaction{Tx: tx, pool: d.write}
	defer t.learn(ctx)
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := fn(querier{t}); err != nil {
		return err
	}
	return mapErr(tx.Commit())
}

// Exclusive relies on SQLite's write lock: each script takes it with BEGIN IMMEDIATE.
func (d *db) Exclusive(ctx context.Context, fn func(store.Querier, func(string) error) error) error {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return mapErr(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return mapErr(err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }()
	err = fn(querier{conn}, func(script string) error {
		// The whole run is one transaction here; inner brackets become savepoints.
		script = strings.Replace(script, "BEGIN;", "SAVEPOINT step;", 1)
		script = strings.Replace(script, "\nCOMMIT;", "\nRELEASE step;", 1)
		script = strings.Replace(script, "ROLLBACK;", "ROLLBACK TO step; RELEASE step;", 1)
		_, err := conn.ExecContext(ctx, script)
		return mapErr(err)
	})
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `COMMIT`)
	return mapErr(err)
}

// sqlQuerier is what pool, transaction and *sql.Conn share.
type sqlQuerier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type querier struct{ q sqlQuerier }

func (q querier) Exec(ctx context.Context, s string, args ...any) (int64, error) {
	res, err := q.q.ExecContext(ctx, s, args...)
	if err != nil {
		return 0, mapErr(err)
	}
	n, err := res.RowsAffected()
	return n, mapErr(err)
}

func (q querier) Query(ctx context.Context, s string, args ...any) (store.Rows, error) {
	r, err := q.q.QueryContext(ctx, s, args...)
	if err != nil {
		return nil, mapErr(err)
	}
	return rows{r}, nil
}

func (q querier) QueryRow(ctx context.Context, s string, args ...any) store.Row {
	return row{q.q.QueryRowContext(ctx, s, args...)}
}

type row struct{ r *sql.Row }

func (r row) Scan(dest ...any) error { return mapErr(r.r.Scan(dest...)) }

type rows struct{ r *sql.Rows }

func (r rows) Next() bool             { return r.r.Next() }
func (r rows) Scan(dest ...any) error { return mapErr(r.r.Scan(dest...)) }
func (r rows) Err() error             { return mapErr(r.r.Err()) }
func (r rows) Close()                 { _ = r.r.Close() }

func mapErr(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNoRows
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return store.Fault(false, err)
	}
	var e *sqlitedrv.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%w: %w", store.ErrUnique, err)
		case sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY:
			return fmt.Errorf("%w: %w", store.ErrForeignKey, err)
		}
		switch e.Code() & 0xff {
		case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_IOERR,
			sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB,
			sqlitelib.SQLITE_INTERRUPT, sqlitelib.SQLITE_NOMEM:
			return store.Fault(true, err)
		}
	}
	unavailable := errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		strings.Contains(err.Error(), "database is closed")
	return store.Fault(unavailable, err)
}
