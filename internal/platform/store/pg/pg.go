// Package pg is the Postgres engine: native pgx with a bounded pool and prepared
// statements. It is the only importer of pgx.
package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"signet/internal/platform/store"
)

// Options tunes Open. The zero value is right for serving.
type Options struct {
	// MaxConns bounds the pool; 0 means 16. Instances × MaxConns must stay below the
	// server's max_connections.
	MaxConns int
}

// Session settings: no statement, lock or idle transaction may hold others up for long, and
// a committed answer must be durable. A value in the URL wins.
var sessionDefaults = map[string]string{
	"statement_timeout":                   "5000",
	"lock_timeout":                        "4000",
	"idle_in_transaction_session_timeout": "10000",
	"synchronous_commit":                  "on",
	"application_name":                    "signet",
}

// Open connects to the database at url (a postgres:// URL or a key=value string) and checks
// that it accepts writes and commits durably.
func Open(ctx context.Context, url string, o Options) (*store.DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database.url is not a valid Postgres URL") // the cause may print the password
	}
	for k, v := range sessionDefaults {
		if _, set := cfg.ConnConfig.RuntimeParams[k]; !set {
			cfg.ConnConfig.RuntimeParams[k] = v
		}
	}
	if cfg.ConnConfig.ValidateConnect == nil {
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 3 * time.Second
	}
	cfg.MaxConns = 16
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(min(o.MaxConns, 1000))
	}
	cfg.MinIdleConns = 1
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 10 * time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	d := &db{pool: pool}
	var durable string
	if err := d.QueryRow(ctx, `SELECT current_setting('synchronous_commit')`).Scan(&durable); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open store %s: %w", Where(cfg.ConnConfig), err)
	}
	if durable == "off" {
		pool.Close()
		return nil, errors.New("open store: synchronous_commit is off: acknowledged writes could be lost")
	}
	return store.NewDB(d), nil
}

// Where describes a connection for people: user, host and database, never the password.
func Where(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%s@%s/%s", c.User, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database)
}

type db struct{ pool *pgxpool.Pool }

func (d *db) Engine() store.Engine { return store.Postgres }
func (d *db) Close()               { d.pool.Close() }

func (d *db) Ping(ctx context.Context) error { return mapErr(d.pool.Ping(ctx)) }

func (d *db) Now(ctx context.Context) (time.Time, error) {
	var micros int64
	err := d.QueryRow(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&micros)
	return store.Time(micros), err
}

func (d *db) Size(ctx context.Context) (n int64, err error) {
	err = d.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&n)
	return n, err
}

func (d *db) Exec(ctx context.Context, q string, args ...any) (int64, error) {
	return querier{d.pool}.Exec(ctx, q, args...)
}

func (d *db) Query(ctx context.Context, q string, args ...any) (store.Rows, error) {
	return querier{d.pool}.Query(ctx, q, args...)
}

func (d *db) QueryRow(ctx context.Context, q string, args ...any) store.Row {
	return querier{d.pool}.QueryRow(ctx, q, args...)
}

func (d *db) Begin(ctx context.Context, fn func(store.Querier) error) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return fn(querier{tx}) })
	return mapErr(err)
}

// migrationLock is an arbitrary constant that all Signet processes of a database share.
const migrationLock = 0x5167_6e65_74

func (d *db) Exclusive(ctx context.Context, fn func(store.Querier, func(string) error) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return mapErr(err)
	}
	defer conn.Release()
	// Waiting for a sibling's migration, and a migration itself, may take long.
	if _, err := conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = 0`); err != nil {
		return mapErr(err)
	}
	defer func() {
		// A connection with session state must not return to the pool.
		_ = conn.Conn().Close(context.WithoutCancel(ctx))
	}()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return mapErr(err)
	}
	return fn(querier{conn}, func(script string) error {
		_, err := conn.Exec(ctx, script)
		return mapErr(err)
	})
}

// pgxQuerier is what a pool, a connection and a transaction share.
type pgxQuerier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type querier struct{ q pgxQuerier }

func (q querier) Exec(ctx context.Context, s string, args ...any) (int64, error) {
	tag, err := q.q.Exec(ctx, s, args...)
	return tag.RowsAffected(), mapErr(err)
}

func (q querier) Query(ctx context.Context, s string, args ...any) (store.Rows, error) {
	r, err := q.q.Query(ctx, s, args...)
	if err != nil {
		return nil, mapErr(err)
	}
	return rows{r}, nil
}

func (q querier) QueryRow(ctx context.Context, s string, args ...any) store.Row {
	return row{q.q.QueryRow(ctx, s, args...)}
}

type row struct{ r pgx.Row }

func (r row) Scan(dest ...any) error { return mapErr(r.r.Scan(dest...)) }

type rows struct{ pgx.Rows }

func (r rows) Scan(dest ...any) error { return mapErr(r.Rows.Scan(dest...)) }
func (r rows) Err() error             { return mapErr(r.Rows.Err()) }

// mapErr turns driver errors into the store's. Errors that fn returned through Begin are not
// the driver's and pass as they are.
func mapErr(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNoRows
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		// The server's detail and hint can quote values; keep code and constraint only.
		brief := fmt.Errorf("postgres %s %s: %s", e.Code, e.ConstraintName, e.Message)
		switch {
		case e.Code == "23505":
			return fmt.Errorf("%w: %w", store.ErrUnique, brief)
		case e.Code == "23503":
			return fmt.Errorf("%w: %w", store.ErrForeignKey, brief)
		case e.Code == "40001", e.Code == "40P01": // serialization failure, deadlock
			return fmt.Errorf("%w: %w", store.ErrRetry, store.Fault(true, brief))
		}
		// 08 connection, 25 read-only or bad transaction state, 28 authorization, 3D no such
		// database, 53 resources, 55 lock not available, 57 operator intervention, 58 system.
		for _, class := range []string{"08", "25", "28", "3D", "53", "55", "57", "58"} {
			if strings.HasPrefix(e.Code, class) {
				return store.Fault(true, brief)
			}
		}
		return store.Fault(false, brief)
	}
	var net net.Error
	var conn *pgconn.ConnectError
	if errors.As(err, &conn) || errors.As(err, &net) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || isClosed(err) {
		return store.Fault(true, err)
	}
	return err
}

func isClosed(err error) bool {
	s := err.Error()
	return strings.Contains(s, "conn closed") || strings.Contains(s, "closed pool") || strings.Contains(s, "unexpected EOF")
}
