package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/migrations"
)

func TestStore_MapsErrors(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		const ins = `INSERT INTO change_counter (topic, value) VALUES ($1, $2)`
		if _, err := db.Q(ctx).Exec(ctx, ins, "a", 1); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Q(ctx).Exec(ctx, ins, "a", 1); !errors.Is(err, store.ErrUnique) {
			t.Errorf("duplicate: %v", err)
		}
		_, err := db.Q(ctx).Exec(ctx, `INSERT INTO client_secret (id, client_id, hash, created_at, expires_at) VALUES ('s', 'nobody', 'h', 0, 0)`)
		if !errors.Is(err, store.ErrForeignKey) {
			t.Errorf("dangling reference: %v", err)
		}
		var n int64
		if err := db.Q(ctx).QueryRow(ctx, `SELECT value FROM change_counter WHERE topic = $1`, "b").Scan(&n); !errors.Is(err, store.ErrNoRows) {
			t.Errorf("no rows: %v", err)
		}
		db.Close()
		if err := db.Q(ctx).QueryRow(ctx, `SELECT value FROM change_counter WHERE topic = $1`, "a").Scan(&n); !errs.Is(err, errs.Unavailable) {
			t.Errorf("closed store is %v (%v), want unavailable", errs.KindOf(err), err)
		}
	})
}

func TestStore_TransactionRollsBackAndNests(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		boom := errors.New("boom")
		err := db.InTx(ctx, func(ctx context.Context) error {
			return db.InTx(ctx, func(ctx context.Context) error {
				if _, err := db.Q(ctx).Exec(ctx, `INSERT INTO change_counter (topic, value) VALUES ('x', 1)`); err != nil {
					return err
				}
				return boom
			})
		})
		if !errors.Is(err, boom) {
			t.Fatalf("got %v", err)
		}
		var n int64
		if err := db.Q(ctx).QueryRow(ctx, `SELECT count(*) FROM change_counter`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows after rollback (%v)", n, err)
		}
	})
}

func TestStore_ConditionalConsumeHasOneWinner(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if _, err := db.Q(ctx).Exec(ctx, `INSERT INTO job (name, next_at, finished_at) VALUES ('once', 0, 0)`); err != nil {
			t.Fatal(err)
		}
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				err := db.InTx(ctx, func(ctx context.Context) error {
					var name string
					return db.Q(ctx).QueryRow(ctx, `UPDATE job SET next_at = 1 WHERE name = 'once' AND next_at = 0 RETURNING name`).Scan(&name)
				})
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, store.ErrNoRows):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 63 {
			t.Errorf("%d winners, %d losers", won.Load(), lost.Load())
		}
	})
}

func TestMigrate_ManyAtOnceThenOldNewAndChanged(t *testing.T) {
	t.Parallel()
	for _, e := range Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := NewURL(t, e)
			steps := Steps(t, e)
			extra := append(steps[:len(steps):len(steps)], store.Migration{
				Version: len(steps) + 1, Name: "9999_more", Checksum: "c",
				SQL: `CREATE TABLE more (id TEXT PRIMARY KEY); INSERT INTO more (id) VALUES ('one');`,
			})
			ctx := context.Background()
			if err := store.CheckSchema(ctx, Connect(t, url), extra); !errors.Is(err, store.ErrSchemaOld) {
				t.Errorf("old schema: %v", err)
			}
			var ran atomic.Int64
			var wg sync.WaitGroup
			for range 6 {
				db := Connect(t, url)
				wg.Go(func() {
					done, err := store.Migrate(ctx, db, extra, time.Now())
					if err != nil {
						t.Error(err)
					}
					ran.Add(int64(len(done)))
				})
			}
			wg.Wait()
			if ran.Load() != 1 {
				t.Errorf("the step ran %d times", ran.Load())
			}
			db := Connect(t, url)
			if err := store.CheckSchema(ctx, db, extra); err != nil {
				t.Errorf("current schema: %v", err)
			}
			if err := store.CheckSchema(ctx, db, steps); !errors.Is(err, store.ErrSchemaNew) {
				t.Errorf("newer schema: %v", err)
			}
			if _, err := store.Migrate(ctx, db, steps, time.Now()); !errors.Is(err, store.ErrSchemaNew) {
				t.Errorf("migrating a newer schema: %v", err)
			}
			changed := append([]store.Migration(nil), extra...)
			changed[0].Checksum = "other"
			if err := store.CheckSchema(ctx, db, changed); !errors.Is(err, store.ErrSchemaChanged) {
				t.Errorf("changed step: %v", err)
			}
		})
	}
}

func TestMigrate_FailedStepLeavesNothing(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		steps := Steps(t, db.Engine())
		bad := append(steps[:len(steps):len(steps)], store.Migration{
			Version: len(steps) + 1, Name: "9999_bad", Checksum: "c",
			SQL: `CREATE TABLE half (id TEXT PRIMARY KEY); INSERT INTO nowhere VALUES (1);`,
		})
		if _, err := store.Migrate(ctx, db, bad, time.Now()); err == nil {
			t.Fatal("a failing step succeeded")
		}
		if err := store.CheckSchema(ctx, db, steps); err != nil {
			t.Errorf("schema after the failed step: %v", err)
		}
		tables, err := db.Tables(ctx)
		if err != nil || strings.Contains(strings.Join(tables, " "), "half") {
			t.Errorf("half a step is left: %v %v", tables, err)
		}
	})
}

func TestMigrations_OverridePerEngine(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"0001_a.sql":        {Data: []byte("common")},
		"0002_b.sql":        {Data: []byte("common b")},
		"0002_b.sqlite.sql": {Data: []byte("sqlite b")},
	}
	for engine, want := range map[store.Engine]string{store.SQLite: "sqlite b", store.Postgres: "common b"} {
		list, err := store.Migrations(files, engine)
		if err != nil || len(list) != 2 || list[1].SQL != want {
			t.Errorf("%s: %v %v", engine, list, err)
		}
	}
	files["0004_gap.sql"] = &fstest.MapFile{Data: []byte("x")}
	if _, err := store.Migrations(files, store.SQLite); err == nil {
		t.Error("a gap in the numbers was accepted")
	}
	if _, err := store.Migrations(migrations.Files, store.Postgres); err != nil {
		t.Error(err)
	}
}

func TestChanges_SeenByAnotherInstance(t *testing.T) {
	t.Parallel()
	for _, e := range Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := NewURL(t, e)
			db := Connect(t, url)
			a, b := store.NewChanges(db, time.Hour), store.NewChanges(Connect(t, url), time.Hour)
			var hits atomic.Int64
			b.OnChange("client", func() { hits.Add(1) })
			ctx := t.Context()
			if b.Fresh() {
				t.Error("fresh before the first poll")
			}
			if err := b.Poll(ctx); err != nil {
				t.Fatal(err)
			}
			before := hits.Load()
			if err := db.InTx(ctx, func(ctx context.Context) error { return a.Bump(ctx, "client") }); err != nil {
				t.Fatal(err)
			}
			_ = db.InTx(ctx, func(ctx context.Context) error { _ = a.Bump(ctx, "client"); return errors.New("rolled back") })
			for range 3 {
				if err := b.Poll(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if got := hits.Load() - before; got != 1 {
				t.Errorf("hook ran %d times for one change", got)
			}
			if !b.Fresh() {
				t.Error("not fresh after a poll")
			}
		})
	}
}
