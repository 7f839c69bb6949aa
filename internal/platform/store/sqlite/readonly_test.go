package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func foreignFile(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users file.db")
	db, err := sql.Open("sqlite", "file:"+strings.ReplaceAll(path, " ", "%20"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenTable_ReadsValuesAsText(t *testing.T) {
	t.Parallel()
	path := foreignFile(t, `CREATE TABLE "my ""users" (id INTEGER PRIMARY KEY, username TEXT, "pass word" BLOB, score REAL, at DATETIME);
		INSERT INTO "my ""users" VALUES (7, 'bob', x'68756e746572', 1.5, '2024-01-02 03:04:05'), (8, NULL, NULL, NULL, NULL), (9, 'abcdefgh', '', 0, '');`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table, err := OpenTable(context.Background(), path, `my "users`, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if diff := cmp.Diff([]string{"id", "username", "pass word", "score", "at"}, table.Columns()); diff != "" {
		t.Errorf("columns: %s", diff)
	}
	var got [][]string
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	want := [][]string{{"7", "bob", "hunter", "1.5", "2024-0"}, {"8", "", "", "", ""}, {"9", "abcdef", "", "0.0", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows: %s", diff)
	}
	after, _ := os.ReadFile(path)
	if string(before) != string(after) {
		t.Error("the file was changed")
	}
}

// Table and column names go into the statement, so only ones that the schema has may.
func TestOpenTable_RefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	path := foreignFile(t, `CREATE TABLE users (id INTEGER); CREATE TABLE "x"" (id) -- " (id INTEGER); CREATE VIEW v AS SELECT 1;`)
	for _, name := range []string{"", "missing", "USERS", "users; DROP TABLE users", `users" --`, "v", "sqlite_schema", "pragma_table_info"} {
		if table, err := OpenTable(context.Background(), path, name, 10); err == nil {
			table.Close()
			t.Errorf("opened %q", name)
		}
	}
	if _, err := OpenTable(context.Background(), filepath.Join(t.TempDir(), "none.db"), "users", 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTable(context.Background(), text, "users", 10); err == nil {
		t.Error("opened a text file")
	}
}
