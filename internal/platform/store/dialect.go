package store

import (
	"context"
	"errors"
)

// The engine-specific statements of the house: only these, plus what the adapters need to
// connect and lock. A new one needs a decision record.

var sqlHasTable = map[Engine]string{
	Postgres: `SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1`,
	SQLite:   `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1`,
}

func (db *DB) hasTable(ctx context.Context, name string) (bool, error) {
	var one int64
	err := db.QueryRow(ctx, sqlHasTable[db.Engine()], name).Scan(&one)
	if errors.Is(err, ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

var sqlTables = map[Engine]string{
	Postgres: `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1`,
	SQLite:   `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1`,
}

// Tables lists the tables, for tests that compare or scan a whole database.
func (db *DB) Tables(ctx context.Context) ([]string, error) {
	return All(ctx, db.Driver, func(r Row) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	}, sqlTables[db.Engine()])
}
