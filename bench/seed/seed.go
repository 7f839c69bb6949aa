// Package seed fills a migrated store with accounts, sessions, consents and grants by plain
// SQL, a million in minutes, so that the benchmarks can compare a small store with a large
// one. It knows the schema of migrations/ and is for throw-away databases only: what it
// writes never went through the rules of the packages that own the tables.
package seed

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/argon2"
)

// Options say how much to write.
type Options struct {
	Accounts int
	Client   string // id of an existing client that all consents and grants belong to
	Password string // of every account
	// Cost of the password hash; the provider upgrades hashes of another cost at login, so
	// it must be the provider's own.
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
	Now         time.Time
}

// Pattern makes the e-mail address of an account from its number.
const Pattern = "user%07d@bench.example"

// table is one table to fill: row returns the values of the columns for account n.
type table struct {
	name    string
	columns []string
	row     func(n int) []any
}

const (
	scopes = `["openid","profile","email","offline_access"]`
	day    = 24 * time.Hour
)

// tables lists what belongs to an account, parents first.
func tables(o Options) ([]table, error) {
	if o.Accounts < 1 || o.Client == "" || o.Password == "" {
		return nil, errors.New("accounts, client and password must be given")
	}
	ids := make([]string, o.Accounts)
	grants := make([]string, o.Accounts)
	sessions := make([]string, o.Accounts)
	for n := range ids {
		ids[n], grants[n], sessions[n] = newID(), newID(), newID()
	}
	hash := phc(o)
	// Everything happened within the last month, and nothing expires during a run.
	born := func(n int) time.Time { return o.Now.Add(-time.Duration(n%(28*24)+1) * time.Hour) }
	at := func(t time.Time) int64 { return t.UnixMicro() }
	return []table{
		{"account", []string{"id", "status", "username", "username_key", "profile", "source", "created_at", "updated_at"},
			func(n int) []any {
				name := fmt.Sprintf("user%07d", n)
				profile := fmt.Sprintf(`{"name":"User %d","given_name":"User","family_name":"Number %d","locale":"en"}`, n, n)
				return []any{ids[n], "active", name, name, profile, "import:bench", at(born(n)), at(born(n))}
			}},
		{"email_address", []string{"address_key", "account_id", "address", "is_primary", "verified_at", "created_at"},
			func(n int) []any {
				address := fmt.Sprintf(Pattern, n)
				return []any{address, ids[n], address, true, at(born(n)), at(born(n))}
			}},
		{"password_credential", []string{"account_id", "hash", "changed_at"},
			func(n int) []any { return []any{ids[n], hash, at(born(n))} }},
		{"session", []string{"id", "token_hash", "account_id", "events", "user_agent", "source_ip", "created_at", "last_seen_at", "expires_at"},
			func(n int) []any {
				seen := o.Now.Add(-time.Duration(n%600) * time.Second)
				return []any{sessions[n], newHash(), ids[n], fmt.Sprintf(`[{"m":"pwd","t":%d}]`, at(seen)),
					"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "192.0.2.1",
					at(seen), at(seen), at(o.Now.Add(20 * day))}
			}},
		{"consent", []string{"account_id", "client_id", "scopes", "resources", "created_at", "updated_at"},
			func(n int) []any { return []any{ids[n], o.Client, scopes, `[]`, at(born(n)), at(born(n))} }},
		{"oauth_grant", []string{"id", "client_id", "account_id", "session_id", "scopes", "resources", "auth_time", "acr", "amr", "nonce",
			"code_hash", "code_challenge", "code_expires_at", "redirect_uri", "created_at", "expires_at", "revoked_at"},
			func(n int) []any {
				return []any{grants[n], o.Client, ids[n], sessions[n], scopes, `[]`, at(born(n)), "urn:signet:acr:1fa", `["pwd"]`, newHash(),
					newHash(), newHash(), at(born(n).Add(time.Minute)), "http://127.0.0.1:9/callback",
					at(born(n)), at(born(n).Add(90 * day)), int64(0)}
			}},
		{"refresh_token", []string{"token_hash", "predecessor_hash", "grant_id", "sealed", "created_at", "expires_at"},
			func(n int) []any {
				return []any{newHash(), newHash(), grants[n], "", at(born(n)), at(born(n).Add(30 * day))}
			}},
	}, nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newHash is what the store keeps of a token of full entropy.
func newHash() string {
	var b [sha256.Size]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// phc is one password hash for all accounts: a million would take half a day.
func phc(o Options) string {
	salt := []byte("signet-bench-000")
	sum := argon2.IDKey([]byte(o.Password), salt, o.Time, o.MemoryKiB, o.Parallelism, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", o.MemoryKiB, o.Time, o.Parallelism, b64(salt), b64(sum))
}
