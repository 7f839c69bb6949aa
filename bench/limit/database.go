package limit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"signet/bench/load"
)

// Database measures one engine. The rows are about as large as those of a provider.
type Database struct {
	Commit load.Op // inserts one row, durably, in a transaction of its own
	Select load.Op // reads one row by key
	close  func()
}

// Close removes the tables and lets go of the connections.
func (d *Database) Close() { d.close() }

const (
	rows   = 10_000
	create = `CREATE TABLE bench_limit (key TEXT PRIMARY KEY, owner TEXT NOT NULL, value TEXT NOT NULL, at BIGINT NOT NULL)`
	insert = `INSERT INTO bench_limit (key, owner, value, at) VALUES ($1, $2, $3, $4)`
	byKey  = `SELECT owner, value, at FROM bench_limit WHERE key = $1`
)

var value = func() string {
	var b [120]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}()

func newKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func known(n int64) string { return fmt.Sprintf("known-%039d", n%rows) }

// Postgres opens a pool of as many connections as the provider's pool may have.
func Postgres(ctx context.Context, dsn string, conns int) (*Database, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, s := range []string{`DROP TABLE IF EXISTS bench_limit`, create} {
		if _, err := pool.Exec(ctx, s); err != nil {
			pool.Close()
			return nil, err
		}
	}
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"bench_limit"}, []string{"key", "owner", "value", "at"},
		pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{known(int64(i)), "owner", value, int64(i)}, nil }))
	if err == nil {
		_, err = pool.Exec(ctx, `ANALYZE bench_limit`)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	var n atomic.Int64
	return &Database{
		Commit: func(ctx context.Context) error {
			_, err := pool.Exec(ctx, insert, newKey(), "owner", value, n.Add(1))
			return err
		},
		Select: func(ctx context.Context) error {
			var owner, v string
			var at int64
			return pool.QueryRow(ctx, byKey, known(n.Add(7919))).Scan(&owner, &v, &at)
		},
		close: func() {
			_, _ = pool.Exec(context.WithoutCancel(ctx), `DROP TABLE bench_limit`)
			pool.Close()
		},
	}, nil
}

// SQLite opens a file in dir with a write-ahead log, full durability, one writer and a few
// readers.
func SQLite(ctx context.Context, dir string) (*Database, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	dsn := "file:" + (&url.URL{Path: filepath.Join(dir, "limit.db")}).EscapedPath() + "?" + q.Encode()
	w, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	r.SetMaxOpenConns(max(4, 2*runtime.NumCPU()))
	r.SetMaxIdleConns(max(4, 2*runtime.NumCPU()))
	d := &Database{close: func() { _ = r.Close(); _ = w.Close() }}
	if err := fill(ctx, w); err != nil {
		d.Close()
		return nil, err
	}
	put, err := w.PrepareContext(ctx, insert)
	if err != nil {
		d.Close()
		return nil, err
	}
	get, err := r.PrepareContext(ctx, byKey)
	if err != nil {
		d.Close()
		return nil, err
	}
	var n atomic.Int64
	d.Commit = func(ctx context.Context) error {
		_, err := put.ExecContext(ctx, newKey(), "owner", value, n.Add(1))
		return err
	}
	d.Select = func(ctx context.Context) error {
		var owner, v string
		var at int64
		return get.QueryRowContext(ctx, known(n.Add(7919))).Scan(&owner, &v, &at)
	}
	return d, nil
}

func fill(ctx context.Context, w *sql.DB) error {
	tx, err := w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if _, err := tx.ExecContext(ctx, create); err != nil {
		return err
	}
	for i := range int64(rows) {
		if _, err := tx.ExecContext(ctx, insert, known(i), "owner", value, i); err != nil {
			return err
		}
	}
	return tx.Commit()
}
