package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A Migration is one numbered step of the schema's only timeline.
type Migration struct {
	Version  int
	Name     string
	SQL      string
	Checksum string
}

// Errors of CheckSchema and Migrate.
var (
	ErrSchemaOld     = errors.New("the database schema is older than this binary: run `signet migrate`")
	ErrSchemaNew     = errors.New("the database schema is newer than this binary: run the newer binary; nothing was touched")
	ErrSchemaChanged = errors.New("an applied migration differs from the one in this binary; nothing was touched")
)

// Migrations reads the timeline for an engine from files named NNNN_what.sql. A file
// NNNN_what.sqlite.sql (or .postgres.sql) takes its place on that engine.
func Migrations(files fs.FS, engine Engine) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	byVersion := map[int]Migration{}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".sql")
		base, only, special := strings.Cut(base, ".")
		if special && only != string(engine) {
			continue
		}
		number, _, ok := strings.Cut(base, "_")
		v, err := strconv.Atoi(number)
		if !ok || err != nil || v < 1 {
			return nil, fmt.Errorf("migration %s: name is not NNNN_what.sql", name)
		}
		if prev, dup := byVersion[v]; dup && prev.Name != base {
			return nil, fmt.Errorf("migrations %s and %s have the same number", prev.Name, base)
		} else if dup && !special {
			continue // the engine's own file was read first
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		byVersion[v] = Migration{Version: v, Name: base, SQL: string(text), Checksum: hex.EncodeToString(sum[:])}
	}
	list := make([]Migration, len(byVersion))
	for v, m := range byVersion {
		if v > len(list) {
			return nil, fmt.Errorf("migration %s: numbers must have no gap", m.Name)
		}
		list[v-1] = m
	}
	return list, nil
}

const sqlCreateMigrationTable = `CREATE TABLE IF NOT EXISTS schema_migration (
	version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`

// Migrate brings the schema up to date and returns the steps it applied. Each step and its
// record are one transaction, so a crash leaves whole steps. Any number of processes may call
// it at once: one works, the others wait and find nothing to do.
func Migrate(ctx context.Context, db *DB, steps []Migration, now time.Time) (applied []Migration, err error) {
	err = db.Exclusive(ctx, func(q Querier, script func(string) error) error {
		if _, err := q.Exec(ctx, sqlCreateMigrationTable); err != nil {
			return err
		}
		done, err := verify(ctx, q, steps)
		if err != nil && !errors.Is(err, ErrSchemaOld) {
			return err
		}
		for _, m := range steps[done:] {
			// The record is part of the script, so that both engines commit them together.
			record := fmt.Sprintf("INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (%d, '%s', '%s', %d);",
				m.Version, m.Name, m.Checksum, Micros(now))
			if err := script("BEGIN;\n" + m.SQL + "\n;" + record + "\nCOMMIT;"); err != nil {
				_ = script("ROLLBACK;")
				return fmt.Errorf("migration %s: %w", m.Name, err)
			}
			applied = append(applied, m)
		}
		return nil
	})
	return applied, err
}

// CheckSchema reports whether the schema is exactly the one this binary knows: nil,
// ErrSchemaOld, ErrSchemaNew or ErrSchemaChanged. It changes nothing.
func CheckSchema(ctx context.Context, db *DB, steps []Migration) error {
	exists, err := db.hasTable(ctx, "schema_migration")
	if err != nil {
		return err
	}
	if !exists {
		return ErrSchemaOld
	}
	_, err = verify(ctx, db.Driver, steps)
	return err
}

func verify(ctx context.Context, q Querier, steps []Migration) (done int, err error) {
	type record struct {
		version        int
		name, checksum string
	}
	have, err := All(ctx, q, func(r Row) (rec record, err error) {
		err = r.Scan(&rec.version, &rec.name, &rec.checksum)
		return rec, err
	}, `SELECT version, name, checksum FROM schema_migration ORDER BY version`)
	if err != nil {
		return 0, err
	}
	for i, rec := range have {
		switch {
		case i >= len(steps):
			return 0, fmt.Errorf("%w (it has step %d, %s)", ErrSchemaNew, rec.version, rec.name)
		case rec.version != steps[i].Version || rec.checksum != steps[i].Checksum:
			return 0, fmt.Errorf("%w (step %d, %s)", ErrSchemaChanged, rec.version, rec.name)
		}
	}
	if len(have) < len(steps) {
		return len(have), fmt.Errorf("%w (%d of %d steps applied)", ErrSchemaOld, len(have), len(steps))
	}
	return len(have), nil
}
