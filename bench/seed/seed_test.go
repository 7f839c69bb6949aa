package seed

import (
	"fmt"
	"testing"
	"time"

	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// The seed knows the schema by heart; this fails when the schema moves on without it.
func TestSeed_FillsTheSchemaOfBothEngines(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			db := storetest.Connect(t, url)
			_, err := db.Exec(t.Context(), `INSERT INTO client (id, name, kind, status, managed_by, metadata, created_at, updated_at)
				VALUES ('c', 'bench', 'web', 'active', 'admin', '{}', 0, 0)`)
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Accounts: 25, Client: "c", Password: "long enough for anyone", MemoryKiB: 64, Time: 1, Parallelism: 1,
				Now: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)}
			if e == store.Postgres {
				err = Postgres(t.Context(), url, o)
			} else {
				err = SQLite(t.Context(), url, o)
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err := tables(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range list {
				var n int64
				if err := db.QueryRow(t.Context(), `SELECT count(*) FROM `+table.name).Scan(&n); err != nil || n != 25 {
					t.Errorf("%s has %d rows (%v), want 25", table.name, n, err)
				}
			}
			var name string
			err = db.QueryRow(t.Context(), `SELECT a.username FROM account a JOIN email_address e ON e.account_id = a.id WHERE e.address_key = $1`,
				fmt.Sprintf(Pattern, 7)).Scan(&name)
			if err != nil || name != "user0000007" {
				t.Errorf("account 7 is %q (%v)", name, err)
			}
		})
	}
}

func TestSeed_RefusesIncompleteOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Accounts: 0, Client: "c", Password: "p"}, {Accounts: 1, Password: "p"}, {Accounts: 1, Client: "c"}} {
		if _, err := tables(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
