// Package storetest gives tests a migrated, empty database on each engine, and the tools to
// break it: FailAt makes the n-th statement fail.
//
// SQLite always runs. Postgres runs where SIGNET_TEST_POSTGRES holds the URL of a superuser
// connection (`make test` starts one); with SIGNET_TEST_REQUIRE_POSTGRES=1 its absence fails
// the test instead of leaving Postgres out. SIGNET_TEST_ENGINE names the only engine to run on, for
// the race detector: it looks at our goroutines, and sees most of them on the engine with many
// connections.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"signet/internal/platform/store"
	"signet/internal/platform/store/pg"
	"signet/internal/platform/store/sqlite"
	"signet/migrations"
)

// Each runs fn as a subtest per engine, each with a fresh migrated database.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, e := range Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			fn(t, Open(t, e))
		})
	}
}

// Engines lists the engines this run tests.
func Engines(t testing.TB) []store.Engine {
	t.Helper()
	if os.Getenv("SIGNET_TEST_POSTGRES") != "" {
		all := []store.Engine{store.SQLite, store.Postgres}
		if only := store.Engine(os.Getenv("SIGNET_TEST_ENGINE")); only != "" {
			all = slices.DeleteFunc(all, func(e store.Engine) bool { return e != only })
		}
		if len(all) == 0 {
			t.Fatal("SIGNET_TEST_ENGINE names no engine")
		}
		return all
	}
	if os.Getenv("SIGNET_TEST_REQUIRE_POSTGRES") == "1" {
		t.Fatal("SIGNET_TEST_REQUIRE_POSTGRES=1 but SIGNET_TEST_POSTGRES is not set")
	}
	return []store.Engine{store.SQLite}
}

// Open returns a fresh migrated database of the engine, closed when the test ends.
func Open(t testing.TB, e store.Engine) *store.DB {
	t.Helper()
	return Connect(t, NewURL(t, e))
}

// NewURL makes a fresh migrated database and returns where it is: a postgres:// URL, or the
// path of an SQLite file. Several Connects to one URL act as several instances.
func NewURL(t testing.TB, e store.Engine) string {
	t.Helper()
	if e == store.Postgres {
		return newPostgres(t)
	}
	path := filepath.Join(t.TempDir(), "signet.db")
	if err := os.WriteFile(path, migratedSQLite(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Connect opens the database at url (see NewURL) without migrating it.
func Connect(t testing.TB, url string) *store.DB {
	t.Helper()
	ctx := context.Background()
	var db *store.DB
	var err error
	if strings.HasPrefix(url, "postgres://") {
		db, err = pg.Open(ctx, url, pg.Options{MaxConns: 8})
	} else {
		db, err = sqlite.Open(ctx, url, sqlite.Options{NoSync: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Steps returns the embedded timeline for an engine.
func Steps(t testing.TB, e store.Engine) []store.Migration {
	t.Helper()
	steps, err := store.Migrations(migrations.Files, e)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func migrate(t testing.TB, db *store.DB) {
	t.Helper()
	if _, err := store.Migrate(context.Background(), db, Steps(t, db.Engine()), time.Now()); err != nil {
		t.Fatal(err)
	}
}

var file struct {
	sync.Mutex
	bytes []byte
}

// migratedSQLite is the file of a migrated, empty database. It is made once per process: to write
// the file takes under a millisecond, to migrate it fifty, and five times that under the race detector.
func migratedSQLite(t testing.TB) []byte {
	t.Helper()
	file.Lock()
	defer file.Unlock()
	if file.bytes == nil {
		path := filepath.Join(t.TempDir(), "template.db")
		db := Connect(t, path)
		migrate(t, db)
		db.Close() // writes the log into the file
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(path + "-*"); err != nil || len(left) > 0 {
			t.Fatalf("the database is not in one file: %v %v", left, err)
		}
		file.bytes = b
	}
	return file.bytes
}

// template is the migrated database that is cloned, and the connections that do it, which last as
// long as the process: to connect costs the server a quarter of a clone.
var template struct {
	sync.Mutex
	admin *store.DB
	name  string
}

// newPostgres clones a template database that is migrated once per schema version: a clone
// takes about 40 ms, a migration several times that.
func newPostgres(t testing.TB) string {
	t.Helper()
	base := os.Getenv("SIGNET_TEST_POSTGRES")
	template.Lock()
	defer template.Unlock()
	if template.admin == nil {
		db, err := pg.Open(context.Background(), base, pg.Options{MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		template.admin = db
	}
	admin := template.admin
	if template.name == "" {
		sum := sha256.New()
		for _, s := range Steps(t, store.Postgres) {
			sum.Write([]byte(s.Checksum))
		}
		name := "signet_template_" + hex.EncodeToString(sum.Sum(nil))[:12]
		makeTemplate(t, admin, base, name)
		template.name = name
	}
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	exec(t, admin, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy`, name, template.name))
	t.Cleanup(func() {
		_, _ = admin.Exec(context.Background(), fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, name))
	})
	return withDatabase(t, base, name)
}

// makeTemplate is safe against other test processes doing the same at the same time.
func makeTemplate(t testing.TB, admin *store.DB, base, name string) {
	t.Helper()
	err := admin.Exclusive(context.Background(), func(q store.Querier, _ func(string) error) error {
		var n int64
		if err := q.QueryRow(context.Background(), `SELECT count(*) FROM pg_database WHERE datname = $1`, name).Scan(&n); err != nil || n > 0 {
			return err
		}
		work := name + "_new"
		if _, err := q.Exec(context.Background(), `DROP DATABASE IF EXISTS `+work+` WITH (FORCE)`); err != nil {
			return err
		}
		if _, err := q.Exec(context.Background(), `CREATE DATABASE `+work); err != nil {
			return err
		}
		db, err := pg.Open(context.Background(), withDatabase(t, base, work), pg.Options{MaxConns: 2})
		if err != nil {
			return err
		}
		migrate(t, db)
		db.Close()
		_, err = q.Exec(context.Background(), `ALTER DATABASE `+work+` RENAME TO `+name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func withDatabase(t testing.TB, base, name string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func exec(t testing.TB, db *store.DB, sql string) {
	t.Helper()
	if _, err := db.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}
