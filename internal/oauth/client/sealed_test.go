package client

import (
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// sealing is instance with a master key.
func sealing(t testing.TB, db *store.DB, c clock.Clock, master byte) *Service {
	t.Helper()
	sealer, err := seal.New(slices.Repeat([]byte{master}, 32))
	must(t, err)
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	must(t, err)
	s, err := New(Deps{DB: db, Clock: c, Changes: store.NewChanges(db, time.Minute), Audit: log, Fetch: fetch.New(fetch.Options{}), Seal: sealer})
	must(t, err)
	return s
}

func keysOf(t testing.TB, s *Service, cid string, now time.Time) (out []string) {
	t.Helper()
	keys, err := s.MACKeys(get(t, s, id.Client(cid)), now)
	must(t, err)
	for _, k := range keys {
		out = append(out, string(k))
	}
	return out
}

// TestSealed_DeclaredClients: the configuration's secrets are kept as the method needs them, and
// follow it when it changes.
func TestSealed_DeclaredClients(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		s := sealing(t, db, c, 7)
		clients, apis := declared()
		rows := func() (n int64) {
			must(t, db.Q(t.Context()).QueryRow(t.Context(), `SELECT COUNT(*) FROM client_secret WHERE sealed <> ''`).Scan(&n))
			return n
		}
		sync1(t, s, clients, apis)
		if rows() != 0 || keysOf(t, s, "shop", c.Now()) != nil {
			t.Error("a secret is kept that nobody needs")
		}
		clients[0].Metadata.AuthMethod = SecretJWT // the same secret
		sync1(t, s, clients, apis)
		if got := keysOf(t, s, "shop", c.Now()); !slices.Equal(got, []string{strong}) || rows() != 1 {
			t.Errorf("%q, %d sealed", got, rows())
		}
		if again := sync1(t, s, clients, apis); again.Changed() {
			t.Errorf("written again: %+v", again)
		}
		clients[0].Secrets = []FileSecret{plain(strong), plain(strong2)}
		sync1(t, s, clients, apis)
		if got := keysOf(t, s, "shop", c.Now()); !slices.Equal(got, []string{strong, strong2}) {
			t.Errorf("%q", got)
		}
		clients[0].Metadata.AuthMethod = SecretPost
		sync1(t, s, clients, apis)
		if rows() != 0 || !get(t, s, "shop").VerifySecret(strong2, c.Now()) {
			t.Error("sealed copies stay, or the secrets went")
		}
		clients[0].Metadata.AuthMethod = SecretJWT
		clients[0].Secrets = []FileSecret{{SHA256: strings.Repeat("0", 64)}}
		if _, err := s.SyncFile(t.Context(), clients, apis); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "secret_file") {
			t.Errorf("a hash is enough for a MAC: %v", err)
		}
	})
}

// TestSealed_WrongMasterKey: nothing opens, and nothing is taken for a secret.
func TestSealed_WrongMasterKey(t *testing.T) {
	t.Parallel()
	db, c := storetest.Open(t, store.SQLite), clock.NewFake(start)
	s := sealing(t, db, c, 7)
	clients, apis := declared()
	clients[0].Metadata.AuthMethod = SecretJWT
	sync1(t, s, clients, apis)
	other := sealing(t, db, c, 8)
	if keys, err := other.MACKeys(get(t, other, "shop"), c.Now()); err == nil || keys != nil {
		t.Errorf("%q %v", keys, err)
	}
	if keys, err := instance(t, db, c, nil).MACKeys(get(t, s, "shop"), c.Now()); err == nil || keys != nil {
		t.Errorf("without a master key: %q %v", keys, err)
	}
}
