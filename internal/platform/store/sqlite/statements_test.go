package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/store"
)

func open(t testing.TB) (*store.DB, *db) {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), Options{BusyTimeout: 200 * time.Millisecond, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Exec(t.Context(), `CREATE TABLE kv (k TEXT PRIMARY KEY, v BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	d, ok := s.Driver.(*db)
	if !ok {
		t.Fatalf("driver is %T", s.Driver)
	}
	return s, d
}

const (
	put  = `INSERT INTO kv (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v`
	read = `SELECT v FROM kv WHERE k = $1`
)

func TestStatements_LearnedInATransactionAndUsedInTheNext(t *testing.T) {
	t.Parallel()
	s, d := open(t)
	for i := range int64(3) {
		err := s.InTx(t.Context(), func(ctx context.Context) error {
			if _, err := s.Q(ctx).Exec(ctx, put, "a", i); err != nil {
				return err
			}
			var v int64
			if err := s.Q(ctx).QueryRow(ctx, read, "a").Scan(&v); err != nil || v != i {
				return fmt.Errorf("read %d, %w", v, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.write.known(put) == nil || d.write.known(read) == nil {
			t.Fatal("the writer did not keep the statements of a transaction")
		}
	}
	// Rolled back means rolled back, prepared or not.
	stop := errors.New("stop")
	err := s.InTx(t.Context(), func(ctx context.Context) error {
		if _, err := s.Q(ctx).Exec(ctx, put, "a", int64(99)); err != nil {
			return err
		}
		return stop
	})
	var v int64
	if scan := s.QueryRow(t.Context(), read, "a").Scan(&v); !errors.Is(err, stop) || scan != nil || v != 2 {
		t.Errorf("after rollback: %v, read %d (%v), want 2", err, v, scan)
	}
}

func TestStatements_SurviveASchemaChange(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for _, change := range []string{
		`ALTER TABLE kv ADD COLUMN w BIGINT NOT NULL DEFAULT 0`,
		`CREATE INDEX kv_v ON kv (v)`,
		`DROP INDEX kv_v`,
	} {
		if _, err := s.Exec(t.Context(), put, "a", int64(7)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		var v int64
		if err := s.QueryRow(t.Context(), read, "a").Scan(&v); err != nil || v != 7 {
			t.Errorf("after %s: read %d (%v)", change, v, err)
		}
	}
}

func TestStatements_BadOnesReportTheirOwnError(t *testing.T) {
	t.Parallel()
	s, d := open(t)
	const bad = `SELECT nothing FROM nowhere`
	if err := s.QueryRow(t.Context(), bad).Scan(new(int)); err == nil || errors.Is(err, store.ErrNoRows) {
		t.Errorf("error %v", err)
	}
	if d.read.known(bad) != nil {
		t.Error("a statement that cannot be prepared was kept")
	}
	if _, err := s.Exec(t.Context(), `INSERT INTO kv (k, v) VALUES ($1, $2)`, "a", int64(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Exec(t.Context(), `INSERT INTO kv (k, v) VALUES ($1, $2)`, "a", int64(1)); !errors.Is(err, store.ErrUnique) {
		t.Errorf("error %v, want ErrUnique", err)
	}
}

func TestStatements_AreBounded(t *testing.T) {
	t.Parallel()
	s, d := open(t)
	for i := range maxStatements + 20 {
		var v int
		if err := s.QueryRow(t.Context(), fmt.Sprintf(`SELECT %d`, i)).Scan(&v); err != nil || v != i {
			t.Fatalf("read %d (%v), want %d", v, err, i)
		}
	}
	if n := len(d.read.statements); n > maxStatements {
		t.Errorf("%d statements are kept", n)
	}
}

// A transaction holds the only writing connection; whoever prepares a new statement for it
// meanwhile must not hold up the transaction.
func TestStatements_NewOnesDoNotBlockATransaction(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				q := fmt.Sprintf(`UPDATE kv SET v = v + 1 WHERE k = '%d-%d'`, i, j)
				if j%2 == 0 {
					if _, err := s.Exec(ctx, q); err != nil {
						t.Error(err)
					}
					continue
				}
				err := s.InTx(ctx, func(ctx context.Context) error {
					if _, err := s.Q(ctx).Exec(ctx, q); err != nil {
						return err
					}
					_, err := s.Q(ctx).Exec(ctx, put, "x", int64(j))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkStatements_SelectByKey(b *testing.B) {
	s, _ := open(b)
	if _, err := s.Exec(b.Context(), put, "a", int64(1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var v int64
		if err := s.QueryRow(b.Context(), read, "a").Scan(&v); err != nil {
			b.Fatal(err)
		}
	}
}
