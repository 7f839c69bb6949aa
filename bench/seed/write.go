package seed

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Postgres fills a database by COPY.
func Postgres(ctx context.Context, dsn string, o Options) error {
	list, err := tables(o)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, t := range list {
		n := 0
		_, err := conn.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
			if n == o.Accounts {
				return nil, nil
			}
			n++
			return t.row(n - 1), nil
		}))
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	// Statistics and visibility as a database has them that did not come into being just now.
	if _, err := conn.Exec(ctx, `VACUUM (ANALYZE)`); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CHECKPOINT`)
	return err
}

// SQLite fills a file, in batches of one transaction each.
func SQLite(ctx context.Context, path string, o Options) error {
	list, err := tables(o)
	if err != nil {
		return err
	}
	// Without mode=rw a missing file would be made, with no schema in it. Keys are random, so a
	// large cache and no syncing save most of the time; nobody else has the file open.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?mode=rw&_txlock=immediate&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=synchronous(0)&_pragma=cache_size(-1000000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // one cache
	const batch = 10_000
	for _, t := range list {
		for from := 0; from < o.Accounts; from += batch {
			if err := insert(ctx, db, t, from, min(from+batch, o.Accounts)); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	for _, q := range []string{`ANALYZE`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func insert(ctx context.Context, db *sql.DB, t table, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	marks := strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",")
	put, err := tx.PrepareContext(ctx, fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`, t.name, strings.Join(t.columns, ","), marks))
	if err != nil {
		return err
	}
	for n := from; n < to; n++ {
		if _, err := put.ExecContext(ctx, t.row(n)...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
