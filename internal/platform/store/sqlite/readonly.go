package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Table is a table of somebody else's SQLite file, read row by row. It never writes to the file.
type Table struct {
	columns []string
	db      *sql.DB
	rows    *sql.Rows
}

// OpenTable opens a table of the database file at path for reading. Values longer than limit
// characters come cut to limit + 1, so that a caller can tell.
func OpenTable(ctx context.Context, path, table string, limit int) (_ *Table, err error) {
	if _, err := os.Stat(path); err != nil { // SQLite would speak of its own code numbers
		return nil, err
	}
	// Nothing of a foreign file is trusted: no writes, no functions in its schema.
	q := url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "trusted_schema(0)", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	t := &Table{db: db}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if err := t.find(ctx, path, table); err != nil {
		return nil, err
	}
	// Names cannot be parameters; these were found in the schema and are quoted.
	list := make([]string, len(t.columns))
	for i, c := range t.columns {
		list[i] = "substr(" + quote(c) + ", 1, " + strconv.Itoa(limit+1) + ")"
	}
	t.rows, err = db.QueryContext(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+quote(table))
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	return t, nil
}

// find checks that the table exists and learns its columns.
func (t *Table) find(ctx context.Context, path, table string) error {
	names, err := t.strings(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	found := false
	for _, n := range names {
		found = found || n == table
	}
	if !found {
		return fmt.Errorf("%s has no table %q; it has %s", path, table, strings.Join(names, ", "))
	}
	t.columns, err = t.strings(ctx, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
	if err != nil {
		return fmt.Errorf("columns of %s: %w", table, err)
	}
	if len(t.columns) == 0 {
		return fmt.Errorf("table %s has no columns", table)
	}
	return nil
}

func (t *Table) strings(ctx context.Context, q string, args ...any) ([]string, error) {
	rows, err := t.db.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Columns lists the columns as the table has them.
func (t *Table) Columns() []string { return t.columns }

// Next returns the values of the next row as text, "" for NULL, or io.EOF.
func (t *Table) Next() ([]string, error) {
	if !t.rows.Next() {
		if err := t.rows.Err(); err != nil { // the file ended early, not the table
			return nil, mapErr(err)
		}
		return nil, io.EOF
	}
	values := make([]sql.NullString, len(t.columns))
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	if err := t.rows.Scan(dest...); err != nil {
		return nil, err
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String
	}
	return out, nil
}

// Close releases the file.
func (t *Table) Close() {
	if t.rows != nil {
		_ = t.rows.Close()
	}
	_ = t.db.Close()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
