package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/oauth/consent"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/logout"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const (
	testIssuer   = "https://id.test"
	testRedirect = "https://rp.test/cb"
	testAPI      = "https://api.test"
	otherAPI     = "https://other.test"
	// testVerifier is the example of RFC 7636, appendix B, with its challenge.
	testVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	testChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// rig is an engine over a database of its own, with a user who is signed in.
type rig struct {
	*Engine
	t       testing.TB
	db      *store.DB
	clock   *clock.Fake
	clients *client.Service
	keys    *keys.Service
	secrets map[id.Client]string
	user    id.User
	session id.Session
	people  *people
	outbox  *outbox.Service
}

// signOut ends the session as far as the engine is concerned.
func (r *rig) signOut(t testing.TB) {
	t.Helper()
	_, err := r.RevokeSession(t.Context(), r.session)
	check(t, err)
}

// people is Subjects over the table that the views read, so that there is one truth.
type people struct {
	db *store.DB

	mu   sync.Mutex
	told []Asking
}

func (p *people) Subject(ctx context.Context, user id.User) (Subject, error) {
	var status string
	err := p.db.Q(ctx).QueryRow(ctx, `SELECT status FROM account WHERE id = $1`, string(user)).Scan(&status)
	if errors.Is(err, store.ErrNoRows) {
		return Subject{ID: user}, nil
	}
	return Subject{ID: user, Active: status == "active", Claims: map[string]any{
		"name": "Kim Min-ji", "email": "kim@rp.test", "email_verified": true, "phone_number": "+82 2 123",
		"phone_number_verified": false, "address": map[string]any{"country": "KR"}, "locale": "ko", "updated_at": int64(1),
	}}, err
}

// each runs fn on both engines.
func each(t *testing.T, fn func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(newRig(t, db)) })
}

// sqliteRig is for what the store has no part in.
func sqliteRig(t testing.TB) *rig {
	t.Helper()
	return newRig(t, storetest.Open(t, store.SQLite))
}

func newRig(t testing.TB, db *store.DB) *rig {
	t.Helper()
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	r := join(t, db, db, now)
	for _, a := range []client.API{
		{Audience: testAPI, Name: "API", Scopes: map[string]string{"read": "r", "write": "w"}},
		{Audience: otherAPI, Name: "Other", Scopes: map[string]string{"other": "o"}},
	} {
		must(r.clients.CreateAPI(t.Context(), a))
	}
	r.user = r.newUser()
	r.session = r.newSession(r.user)
	return r
}

// join returns another instance over the same database; engineDB may be a faulty view of it.
func join(t testing.TB, db, engineDB *store.DB, now *clock.Fake) *rig {
	t.Helper()
	sealer, err := seal.New(slices.Repeat([]byte{7}, 32))
	check(t, err)
	log := must(audit.New(audit.Deps{DB: db, Clock: now}))
	changes := store.NewChanges(db, time.Hour)
	clients := must(client.New(client.Deps{DB: db, Clock: now, Changes: changes, Audit: log, Fetch: fetch.New(fetch.Options{}), Seal: sealer}))
	ks := must(keys.New(keys.Deps{DB: db, Clock: now, Changes: changes, Seal: sealer, Audit: log, Policy: keys.Policy{Retention: 24 * time.Hour}}))
	plantKeys(t, db, sealer)
	check(t, ks.Load(t.Context()))
	check(t, changes.Poll(t.Context()))
	consents := must(consent.New(consent.Deps{DB: engineDB, Clock: now, Audit: log}))
	p := &people{db: engineDB}
	box := must(outbox.New(outbox.Deps{DB: engineDB, Clock: now, Seal: sealer, Audit: log, Log: slog.New(slog.DiscardHandler)}))
	told := must(logout.New(logout.Deps{
		DB: engineDB, Clock: now, Clients: clients, Outbox: box, Kept: 90 * 24 * time.Hour,
		Fetch: fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true}),
	}))
	e := must(New(Deps{
		DB: engineDB, Clock: now, Issuer: testIssuer, Keys: ks, Clients: clients, Consents: consents, Subjects: p, Audit: log, Logout: told,
		Seal: sealer, Log: slog.New(slog.DiscardHandler), Limits: must(ratelimit.New(ratelimit.Deps{DB: engineDB, Clock: now, Key: sealer.Subkey("ratelimit")})),
		Directory: p, Outbox: box, Ping: fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true}),
		Trust: testTrust(t), Resolver: p, Policy: Policy{DetailTypes: map[string]string{"payment": "Make a payment", "files": "Use files"}},
	}))
	return &rig{Engine: e, t: t, db: db, clock: now, clients: clients, keys: ks, secrets: map[id.Client]string{}, people: p, outbox: box}
}

// again returns another instance that knows what r knows.
func (r *rig) again(db, engineDB *store.DB) *rig {
	r.t.Helper()
	out := join(r.t, db, engineDB, r.clock)
	out.secrets, out.user, out.session = r.secrets, r.user, r.session
	return out
}

// planted holds signing keys that are made once: RSA keys take long to find.
var planted struct {
	sync.Mutex
	rows [][]any
}

const sqlKeyColumns = `id, alg, public_jwk, private_sealed, created_at, activate_at, retire_at, remove_at`

func plantKeys(t testing.TB, db *store.DB, sealer *seal.Sealer) {
	t.Helper()
	ctx := t.Context()
	planted.Lock()
	defer planted.Unlock()
	if planted.rows == nil {
		fresh := storetest.Open(t, store.SQLite)
		now := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		log := must(audit.New(audit.Deps{DB: fresh, Clock: now}))
		ks := must(keys.New(keys.Deps{DB: fresh, Clock: now, Changes: store.NewChanges(fresh, time.Hour), Seal: sealer, Audit: log, Policy: keys.Policy{Retention: 24 * time.Hour}}))
		check(t, ks.Bootstrap(ctx))
		check(t, ks.EnsureAlg(ctx, keys.EdDSA))
		rows, err := store.All(ctx, fresh.Q(ctx), func(row store.Row) ([]any, error) {
			var kid, alg, pub string
			var priv []byte
			var a, b, c, d int64
			err := row.Scan(&kid, &alg, &pub, &priv, &a, &b, &c, &d)
			return []any{kid, alg, pub, priv, a, b, c, d}, err
		}, `SELECT `+sqlKeyColumns+` FROM signing_key`)
		check(t, err)
		planted.rows = rows
	}
	for _, row := range planted.rows {
		_, err := db.Q(ctx).Exec(ctx, `INSERT INTO signing_key (`+sqlKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`, row...)
		check(t, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must unwraps a result that cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	_, err := r.db.Q(r.t.Context()).Exec(r.t.Context(), sql, args...)
	check(r.t, err)
}

func (r *rig) count(sql string, args ...any) (n int64) {
	r.t.Helper()
	check(r.t, r.db.Q(r.t.Context()).QueryRow(r.t.Context(), sql, args...).Scan(&n))
	return n
}

func (r *rig) newUser() id.User {
	r.t.Helper()
	u := id.New()
	r.exec(`INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 0, 0)`, u)
	return id.User(u)
}

func (r *rig) newSession(u id.User) id.Session {
	r.t.Helper()
	s := id.New()
	now := r.clock.Now()
	r.exec(`INSERT INTO session (id, token_hash, account_id, events, user_agent, source_ip, created_at, last_seen_at, expires_at)
		VALUES ($1, $1, $2, '[]', '', '', $3, $3, $4)`, s, string(u), store.Micros(now), store.Micros(now.Add(30*24*time.Hour)))
	return id.Session(s)
}

// newClient registers a client; edit changes the defaults of its kind.
func (r *rig) newClient(kind client.Kind, edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	m := client.Defaults(kind)
	m.FirstParty = kind != client.Machine
	if kind != client.Machine {
		m.RedirectURIs = []string{testRedirect, testRedirect + "/2"}
		m.PostLogoutRedirectURIs = []string{"https://rp.test/bye"}
		m.Scopes = append(m.Scopes, "phone", "address", "read", "write", "other")
	} else {
		m.Scopes = []string{"read", "write"}
	}
	if edit != nil {
		edit(&m)
	}
	c, secret, err := r.clients.Create(r.t.Context(), client.NewClient{Name: "App " + id.New(), Kind: kind, Metadata: m})
	check(r.t, err)
	r.secrets[c.ID] = secret.Reveal()
	return c.ID
}

func (r *rig) edit(c id.Client, edit func(*client.Metadata)) {
	r.t.Helper()
	_, err := r.clients.Update(r.t.Context(), c, func(d *client.Draft) error { edit(&d.Metadata); return nil })
	check(r.t, err)
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// ask is a sound authorization request; pairs replace or (with "") remove parameters.
func ask(c id.Client, pairs ...string) url.Values {
	v := values("client_id", string(c), "redirect_uri", testRedirect, "response_type", "code", "scope", "openid profile offline_access read",
		"state", "st", "nonce", "n-1", "code_challenge", testChallenge, "code_challenge_method", "S256")
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func (r *rig) login() Login {
	return Login{User: r.user, Session: r.session, AuthTime: r.clock.Now().Add(-time.Minute), ACR: "urn:signet:acr:1fa", AMR: []string{"pwd"}}
}

// code walks the authorize side.
func (r *rig) code(form url.Values) string {
	r.t.Helper()
	code, err := r.tryCode(form)
	check(r.t, err)
	return code
}

func (r *rig) tryCode(form url.Values) (string, error) {
	req, err := r.ParseAuthorize(r.t.Context(), form)
	if err != nil {
		return "", err
	}
	resp, err := r.Issue(r.t.Context(), req, r.login())
	if err != nil {
		return "", err
	}
	return resp.Params.Get("code"), nil
}

func basic(user, pass string) http.Header {
	raw := url.QueryEscape(user) + ":" + url.QueryEscape(pass)
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(raw))}}
}

// as authenticates as the client does: Basic, or by client_id alone.
func (r *rig) as(c id.Client, form url.Values) (http.Header, url.Values) {
	if secret := r.secrets[c]; secret != "" {
		return basic(string(c), secret), form
	}
	form.Set("client_id", string(c))
	return http.Header{}, form
}

func (r *rig) post(c id.Client, form url.Values) (*Tokens, error) {
	h, form := r.as(c, form)
	return r.Token(context.Background(), post(h, form))
}

func exchangeForm(code string) url.Values {
	return values("grant_type", "authorization_code", "code", code, "redirect_uri", testRedirect, "code_verifier", testVerifier)
}

func (r *rig) exchange(c id.Client, code string) (*Tokens, error) {
	return r.post(c, exchangeForm(code))
}

// tokens walks the whole code flow.
func (r *rig) tokens(c id.Client, pairs ...string) *Tokens {
	r.t.Helper()
	t, err := r.exchange(c, r.code(ask(c, pairs...)))
	check(r.t, err)
	return t
}

func (r *rig) refresh(c id.Client, token string, pairs ...string) (*Tokens, error) {
	return r.post(c, values(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...))
}

// wantCode checks that err is the protocol error code (or nil for "").
func wantCode(t testing.TB, err error, code string) *Error {
	t.Helper()
	if err == nil {
		if code != "" {
			t.Errorf("no error, want %s", code)
		}
		return nil
	}
	e := AsError(err)
	if e.Code != code {
		t.Errorf("got %v, want %q", err, code)
	}
	return e
}

// active asks introspection as the client that the token was issued to.
func (r *rig) active(c id.Client, token string) bool {
	r.t.Helper()
	a, err := r.inspect(r.t.Context(), token)
	check(r.t, err)
	return a != nil && a.Client == c
}

// claimsOf decodes a JWT without checking it.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	check(t, err)
	var m map[string]any
	check(t, json.Unmarshal(raw, &m))
	return m
}

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// audited counts audit events of an action.
func (r *rig) audited(action string) int64 {
	r.t.Helper()
	return r.count(`SELECT COUNT(*) FROM audit_event WHERE action = $1`, action)
}

// post is a call to an endpoint that takes a form.
func post(h http.Header, form url.Values) Call {
	return Call{Method: http.MethodPost, Path: "/oauth2/token", Header: h, Form: form, Reply: http.Header{}}
}
