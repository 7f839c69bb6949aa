package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/trust"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const issuer = "https://id.test"

// rig is a service over a database of its own.
type rig struct {
	*Service
	t       *testing.T
	db      *store.DB
	clock   *clock.Fake
	clients *client.Service

	mu   sync.Mutex
	algs []string // that a key was asked for
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T, db *store.DB, p Policy, issuers ...trust.Issuer) *rig {
	t.Helper()
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	log := must(audit.New(audit.Deps{DB: db, Clock: now}))
	r := &rig{t: t, db: db, clock: now}
	r.clients = must(client.New(client.Deps{
		DB: db, Clock: now, Changes: store.NewChanges(db, time.Hour), Audit: log, UnusedFor: 7 * 24 * time.Hour,
		Fetch: fetch.New(fetch.Options{Timeout: 100 * time.Millisecond}),
	}))
	limits := must(ratelimit.New(ratelimit.Deps{DB: db, Clock: now, Key: slices.Repeat([]byte{7}, 32)}))
	p.Terms.RequirePKCE = true
	r.Service = must(New(Deps{
		DB: db, Clock: now, Clients: r.clients, Limits: limits, Audit: log, Trust: must(trust.New(r.clients, issuers)), Issuer: issuer, Policy: p,
		EnsureAlg: func(_ context.Context, alg string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.algs = append(r.algs, alg)
			return nil
		},
	}))
	return r
}

func each(t *testing.T, p Policy, fn func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(newRig(t, db, p)) })
}

const body = `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"]}`

func (r *rig) register(token, body string) (*Answer, error) {
	return r.Register(r.t.Context(), Request{Token: token, Body: []byte(body), Source: "192.0.2.7"})
}

// code is the error code of an answer, with its status.
func code(err error) string {
	var e *oauth.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%d %s", e.Status, e.Code)
}

// RFC 7591 §3: who may register under which policy.
func TestRegister_Modes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[Mode][3]string{ // without a token, with a wrong one, with a right one
		Open:  {"<nil>", "401 invalid_token", "<nil>"},
		Token: {"401 invalid_token", "401 invalid_token", "<nil>"},
	} {
		each(t, Policy{Mode: mode}, func(r *rig) {
			_, token, err := r.Create(r.t.Context(), NewInitial{Uses: -1})
			check(r.t, err)
			for i, given := range []string{"", id.NewToken(id.InitialToken), token.Reveal()} {
				a, err := r.register(given, body)
				if code(err) != want[i] {
					r.t.Errorf("%s, %d: %v", mode, i, err)
				}
				if err != nil {
					continue
				}
				c := must(r.clients.Get(r.t.Context(), a.ClientID))
				if c.Metadata.Quarantined != (given == "") {
					r.t.Errorf("%s, %d: quarantined %v", mode, i, c.Metadata.Quarantined)
				}
			}
		})
	}
	if !(&Service{d: Deps{Policy: Policy{Mode: Open}}}).Enabled() || (&Service{d: Deps{Policy: Policy{Mode: Off}}}).Enabled() || (*Service)(nil).Enabled() {
		t.Error("enabled")
	}
}

// Open registration is bounded per network. A mistake that cost nothing is not counted.
func TestRegister_Limits(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Open, PerNetwork: 3, MaxClients: 100}, func(r *rig) {
		for range 10 {
			if _, err := r.register("", `{"redirect_uris":["nowhere"]}`); code(err) != "400 invalid_redirect_uri" {
				r.t.Fatal(err)
			}
		}
		for range 3 {
			_, err := r.register("", body)
			check(r.t, err)
		}
		_, err := r.register("", body)
		if !errs.Is(err, errs.Limited) || oauth.AsError(err).Status != http.StatusTooManyRequests || oauth.AsError(err).RetryAfter <= 0 {
			r.t.Errorf("one too many: %v", err)
		}
		if _, err := r.Register(r.t.Context(), Request{Body: []byte(body), Source: "198.51.100.1"}); err != nil {
			r.t.Errorf("another network: %v", err)
		}
		r.clock.Advance(time.Hour)
		if _, err := r.register("", body); err != nil {
			r.t.Errorf("an hour later: %v", err)
		}
	})
	// A sector that cannot be read makes us wait: those attempts count.
	each(t, Policy{Mode: Open, PerNetwork: 2, MaxClients: 100}, func(r *rig) {
		for range 2 {
			if _, err := r.register("", `{"redirect_uris":["https://owl.test/cb"],"sector_identifier_uri":"https://127.0.0.1:1/s"}`); code(err) != "400 invalid_client_metadata" {
				r.t.Fatal(err)
			}
		}
		if _, err := r.register("", body); !errs.Is(err, errs.Limited) {
			r.t.Errorf("after two requests that went out: %v", err)
		}
	})
}

// Security case RG-11: an IPv6 /48 counts as one that floods, however many networks it is divided in.
func TestRegister_FloodOfASite(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Open, PerNetwork: 20, MaxClients: 10}, func(r *rig) {
		from := func(source string) *Answer {
			r.t.Helper()
			return must(r.Register(r.t.Context(), Request{Body: []byte(body), Source: source}))
		}
		honest := from("192.0.2.1")
		first := from("2001:db8:1::1")
		for i := range 30 {
			from(fmt.Sprintf("2001:db8:1:%x::1", i+1))
		}
		if _, err := r.clients.Get(r.t.Context(), honest.ClientID); err != nil {
			r.t.Errorf("pushed out: %v", err)
		}
		if _, err := r.clients.Get(r.t.Context(), first.ClientID); !errs.Is(err, errs.NotFound) {
			r.t.Errorf("its own stays: %v", err)
		}
		from("198.51.100.1")
	})
}

// Security case RG-14: an initial access token for any number of uses that got about lets nobody fill the store.
func TestRegister_TokenLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), Policy{Mode: Token})
	_, token, err := r.Create(t.Context(), NewInitial{Uses: -1})
	check(t, err)
	_, other, err := r.Create(t.Context(), NewInitial{Uses: -1})
	check(t, err)
	for range perTokenHour {
		if _, err := r.register(token.Reveal(), `{"redirect_uris":["nowhere"]}`); code(err) != "400 invalid_redirect_uri" {
			t.Fatal(err)
		}
	}
	if _, err := r.register(token.Reveal(), body); !errs.Is(err, errs.Limited) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := r.register(other.Reveal(), body); err != nil {
		t.Errorf("another token: %v", err)
	}
	r.clock.Advance(time.Hour)
	if _, err := r.register(token.Reveal(), body); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// RFC 7592 §2.2: an update names its client, sets nothing that is the server's, and replaces
// everything.
func TestUpdate_Rules(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Open}, func(r *rig) {
		ctx := r.t.Context()
		a, err := r.register("", `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"],"contacts":["a@owl.test"]}`)
		check(r.t, err)
		update := func(token, more string) (*Answer, error) {
			text := `{"client_id":"` + string(a.ClientID) + `","redirect_uris":["https://owl.test/cb"]` + more + `}`
			return r.Update(ctx, a.ClientID, Request{Token: token, Body: []byte(text)})
		}
		for name, more := range map[string]string{
			"its token":        `,"registration_access_token":"` + a.Token + `"`,
			"its address":      `,"registration_client_uri":"` + a.URI + `"`,
			"its age":          `,"client_id_issued_at":1`,
			"its expiry":       `,"client_secret_expires_at":0`,
			"a secret of mine": `,"client_secret":"chosen"`,
			"a bad address":    `,"policy_uri":"javascript:x"`,
			"another kind":     `,"token_endpoint_auth_method":"none"`,
		} {
			if _, err := update(a.Token, more); code(err) != "400 invalid_client_metadata" {
				r.t.Errorf("%s: %v", name, err)
			}
		}
		other := `{"client_id":"another","redirect_uris":["https://owl.test/cb"]}`
		if _, err := r.Update(ctx, a.ClientID, Request{Token: a.Token, Body: []byte(other)}); code(err) != "400 invalid_client_metadata" {
			r.t.Errorf("another client_id: %v", err)
		}
		for _, token := range []string{"", "x", a.Token + "x"} {
			if _, err := update(token, ""); code(err) != "401 invalid_token" {
				r.t.Errorf("%q: %v", token, err)
			}
		}
		next, err := update(a.Token, `,"client_secret":"`+a.Secret+`"`)
		check(r.t, err)
		if next.Contacts != nil || next.Name != "owl.test" || next.Secret != "" || next.Token == a.Token || next.URI != a.URI {
			r.t.Errorf("%+v", next)
		}
		if _, err := update(a.Token, ""); code(err) != "401 invalid_token" {
			r.t.Errorf("with the token of before: %v", err)
		}
		if _, err := r.Read(ctx, a.ClientID, Request{Token: next.Token}); err != nil {
			r.t.Error(err)
		}
		if err := r.Delete(ctx, a.ClientID, Request{Token: a.Token}); code(err) != "401 invalid_token" {
			r.t.Errorf("the end, with the token of before: %v", err)
		}
		check(r.t, r.Delete(ctx, a.ClientID, Request{Token: next.Token}))
		if _, err := r.Read(ctx, a.ClientID, Request{Token: next.Token}); code(err) != "401 invalid_token" {
			r.t.Errorf("after its end: %v", err)
		}
	})
}

// Each update writes rows, empties caches and may ask a sector's owner: one client does not do it without end.
func TestUpdate_Limits(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Open}, func(r *rig) {
		ctx := r.t.Context()
		a, err := r.register("", body)
		check(r.t, err)
		b, err := r.register("", body)
		check(r.t, err)
		update := func(a *Answer) (*Answer, error) {
			text := `{"client_id":"` + string(a.ClientID) + `","redirect_uris":["https://owl.test/cb"]}`
			return r.Update(ctx, a.ClientID, Request{Token: a.Token, Body: []byte(text), Source: "192.0.2.7"})
		}
		for range updatesPerHour {
			a, err = update(a)
			check(r.t, err)
		}
		if _, err := update(a); !errs.Is(err, errs.Limited) {
			r.t.Errorf("one too many: %v", err)
		}
		if _, err := update(b); err != nil {
			r.t.Errorf("another client: %v", err)
		}
		r.clock.Advance(time.Hour)
		if _, err := update(a); err != nil {
			r.t.Errorf("an hour later: %v", err)
		}
	})
}

// What an initial access token let in, an update keeps; it does not get more.
func TestUpdate_KeepsWhatWasLetIn(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Token, Terms: client.Terms{Scopes: []string{"openid"}}}, func(r *rig) {
		ctx := r.t.Context()
		_, err := r.clients.CreateAPI(ctx, client.API{Audience: "https://api.test", Name: "API", Scopes: map[string]string{"read": "r", "write": "w"}})
		check(r.t, err)
		_, token, err := r.Create(ctx, NewInitial{Policy: Grant{Scopes: []string{"read"}}})
		check(r.t, err)
		a, err := r.register(token.Reveal(), body)
		check(r.t, err)
		if a.Scope != "openid read" {
			r.t.Errorf("scope %q", a.Scope)
		}
		text := `{"client_id":"` + string(a.ClientID) + `","redirect_uris":["https://owl.test/cb"],"scope":"openid read write"}`
		next, err := r.Update(ctx, a.ClientID, Request{Token: a.Token, Body: []byte(text)})
		check(r.t, err)
		if next.Scope != "openid read" {
			r.t.Errorf("scope %q", next.Scope)
		}
	})
}

// Of many registrations with a token for two, two are done (RFC 7591 §1.2).
func TestRace_InitialToken(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Token}, func(r *rig) {
		_, token, err := r.Create(r.t.Context(), NewInitial{Uses: 2})
		check(r.t, err)
		var done atomic.Int64
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				switch _, err := r.register(token.Reveal(), body); {
				case err == nil:
					done.Add(1)
				case code(err) != "401 invalid_token":
					r.t.Errorf("loser: %v", err)
				}
			})
		}
		wg.Wait()
		list := must(r.clients.List(r.t.Context(), client.ListOptions{}))
		if done.Load() != 2 || len(list) != 2 {
			r.t.Errorf("%d done, %d clients", done.Load(), len(list))
		}
	})
}

func TestInitial_ExpiryRevocationList(t *testing.T) {
	t.Parallel()
	each(t, Policy{Mode: Token}, func(r *rig) {
		ctx := r.t.Context()
		short, shortText, err := r.Create(ctx, NewInitial{Note: "short", Life: time.Hour, Uses: -1})
		check(r.t, err)
		long, longText, err := r.Create(ctx, NewInitial{Note: "long", Life: 48 * time.Hour, Uses: -1})
		check(r.t, err)
		list := must(r.List(ctx, "", 10))
		if len(list) != 2 || list[0].ID != short.ID || list[1].Note != "long" || list[1].UsesLeft != -1 {
			r.t.Errorf("%+v", list)
		}
		r.clock.Advance(time.Hour)
		if _, err := r.register(shortText.Reveal(), body); code(err) != "401 invalid_token" {
			r.t.Errorf("expired: %v", err)
		}
		if n, err := r.DeleteExpired(ctx, 10); n != 1 || err != nil {
			r.t.Errorf("%d went, %v", n, err)
		}
		if _, err := r.register(longText.Reveal(), body); err != nil {
			r.t.Error(err)
		}
		check(r.t, r.Revoke(ctx, long.ID))
		if _, err := r.register(longText.Reveal(), body); code(err) != "401 invalid_token" {
			r.t.Errorf("revoked: %v", err)
		}
		if err := r.Revoke(ctx, long.ID); !errs.Is(err, errs.NotFound) {
			r.t.Errorf("revoked twice: %v", err)
		}
		for _, bad := range []NewInitial{
			{Uses: -2}, {Life: time.Second}, {Life: MaxInitialLife + 1}, {Note: "a\nb"}, {Note: strings.Repeat("a", 201)},
			{Policy: Grant{Scopes: []string{"nobodys"}}}, {Policy: Grant{Audiences: []string{"https://no.test"}}}, {Policy: Grant{GrantTypes: []string{"password"}}},
		} {
			if _, _, err := r.Create(ctx, bad); !errs.Is(err, errs.Invalid) {
				r.t.Errorf("%+v: %v", bad, err)
			}
		}
		var rows int64
		check(r.t, r.db.Q(ctx).QueryRow(ctx, `SELECT COUNT(*) FROM registration_token WHERE token_hash = $1 OR token_hash = $2`,
			shortText.Reveal(), longText.Reveal()).Scan(&rows))
		if rows != 0 {
			r.t.Error("a token stands in the store")
		}
	})
}

// Signing keys that the client's answers need are there before it is.
func TestRegister_EnsuresAlgorithms(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), Policy{Mode: Open})
	_, err := r.register("", `{"redirect_uris":["https://owl.test/cb"],"userinfo_signed_response_alg":"PS256","authorization_signed_response_alg":"EdDSA"}`)
	check(t, err)
	if !slices.Equal(r.algs, []string{"RS256", "PS256", "EdDSA"}) {
		t.Errorf("%v", r.algs)
	}
}

// signer makes software statements.
type signer struct {
	key *ecdsa.PrivateKey
	jwk json.RawMessage
}

func newSigner(t testing.TB) signer {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig", Algorithm: "ES256"}}}))
	return signer{key, set}
}

func (s signer) sign(payload any) string {
	sig := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "k"}}, nil))
	jws := must(sig.Sign(must(json.Marshal(payload))))
	return must(jws.CompactSerialize())
}

type object = map[string]any

// RFC 7591 §2.3, §3.1.1: what a statement says goes before what the request says; one that nobody
// trusted has signed, or that is of another time or for another server, is refused.
func TestStatements(t *testing.T) {
	t.Parallel()
	board, crm, unknown := newSigner(t), newSigner(t), newSigner(t)
	issuers := []trust.Issuer{
		{Name: "board", Issuer: "https://board.test", JWKS: board.jwk, Subject: trust.None},
		{Name: "crm", Issuer: "https://crm.test", JWKS: crm.jwk}, // speaks of people
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, Policy{Mode: Open, Statements: Require, PerNetwork: 1000, MaxClients: 1000}, issuers...)
		now := r.clock.Now().Unix()
		said := func(change object) object {
			o := object{"iss": "https://board.test", "software_id": "owl-1", "client_name": "Owl, approved", "iat": now}
			for k, v := range change {
				o[k] = v
			}
			return o
		}
		with := func(st string) string {
			return string(must(json.Marshal(object{"client_name": "Owl, unapproved", "redirect_uris": []string{"https://owl.test/cb"}, "software_statement": st})))
		}
		for name, st := range map[string]string{
			"plain": board.sign(said(nil)), "for us": board.sign(said(object{"aud": issuer})), "for us and others": board.sign(said(object{"aud": []string{"https://x.test", issuer + Path}})),
			"in time": board.sign(said(object{"exp": now + 60, "nbf": now + 30})),
		} {
			a, err := r.register("", with(st))
			if err != nil || a.Name != "Owl, approved" || a.SoftwareID != "owl-1" || a.Statement != st {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
		}
		for name, st := range map[string]string{
			"another's key": unknown.sign(said(nil)), "an issuer of assertions": crm.sign(said(object{"iss": "https://crm.test"})), "unknown": unknown.sign(said(object{"iss": "https://x.test"})),
			"expired": board.sign(said(object{"exp": now})), "not yet": board.sign(said(object{"nbf": now + 120})), "another server": board.sign(said(object{"aud": "https://x.test"})),
			"wrong exp": board.sign(said(object{"exp": "soon"})), "no JWT": "nonsense", "unsigned": "eyJhbGciOiJub25lIn0.e30.",
		} {
			if _, err := r.register("", with(st)); code(err) != "400 invalid_software_statement" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.register("", body); code(err) != "400 invalid_software_statement" {
			t.Errorf("none, but required: %v", err)
		}
		// A statement is no way around the rules.
		if _, err := r.register("", with(board.sign(said(object{"redirect_uris": []string{"javascript:x"}})))); code(err) != "400 invalid_redirect_uri" {
			t.Errorf("its redirect URI: %v", err)
		}
		a, err := r.register("", with(board.sign(said(object{"client_secret": "x", "client_id": "x", "first_party": true, "token_exchange_impersonation": true}))))
		check(t, err)
		c := must(r.clients.Get(t.Context(), a.ClientID))
		if c.ID == "x" || c.Metadata.FirstParty || c.Metadata.Impersonates || c.VerifySecret("x", r.clock.Now()) {
			t.Errorf("%+v", c)
		}
		r.d.Policy.Statements = Refuse
		if _, err := r.register("", with(board.sign(said(nil)))); code(err) != "400 unapproved_software_statement" {
			t.Errorf("refused: %v", err)
		}
	})
}

func FuzzStatement(f *testing.F) {
	board := newSigner(f)
	now := clock.NewFake(time.Unix(1_800_000_000, 0))
	s := &Service{d: Deps{Clock: now, Issuer: issuer, Policy: Policy{Mode: Open, Statements: Accept},
		Trust: must(trust.New(nil, []trust.Issuer{{Name: "board", Issuer: "https://board.test", JWKS: board.jwk, Subject: trust.None}}))}}
	f.Add([]byte(`{"iss":"https://board.test","client_name":"x","redirect_uris":["https://a.test/"]}`))
	f.Add([]byte(`{"iss":"https://board.test","aud":[1],"exp":1e99}`))
	f.Add([]byte(`{"iss":"https://board.test","client_secret":"x","sub":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		sig := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: board.key, KeyID: "k"}}, nil))
		text := must(must(sig.Sign(payload)).CompactSerialize())
		request := must(json.Marshal(object{"redirect_uris": []string{"https://owl.test/cb"}, "software_statement": text}))
		meta, _, err := s.read(t.Context(), request, client.Terms{})
		if err != nil {
			return
		}
		if meta.ClientID != "" || meta.Secret != "" || meta.Metadata.FirstParty || meta.Metadata.Validate(meta.Kind) != nil {
			t.Fatalf("%+v", meta)
		}
	})
}

// RFC 7591 §3.2.2, RFC 6749 §5.2: descriptions are printable ASCII and bounded.
func TestRefusal_Printable(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), Policy{Mode: Open, PerNetwork: 100, MaxClients: 100})
	for _, uri := range []string{`https://x.test/\"quoted\"`, "https://x.test/\u202e", strings.Repeat("https://x.test/ ", 100)} {
		text := string(must(json.Marshal(object{"redirect_uris": slices.Repeat([]string{uri}, 40)})))
		_, err := r.register("", text)
		var e *oauth.Error
		if !errors.As(err, &e) || len(e.Description) > maxDescription+3 {
			t.Fatalf("%v", err)
		}
		for _, c := range e.Description {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				t.Errorf("%q", e.Description)
				break
			}
		}
	}
}

// When the store is down, nothing was decided.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		_, token, err := newRig(t, db, Policy{Mode: Token}).Create(t.Context(), NewInitial{Uses: -1})
		check(t, err)
		for n := int64(1); ; n++ {
			broken, count := storetest.FailAt(db, n, storetest.Before)
			_, err := newRig(t, broken, Policy{Mode: Token}).register(token.Reveal(), body)
			if err == nil && count.Load() < n {
				break
			}
			if e := oauth.AsError(err); err == nil || e.Code != oauth.TemporarilyUnavailable || e.Status != http.StatusServiceUnavailable {
				t.Fatalf("statement %d: %v", n, err)
			}
		}
		if list := must(newRig(t, db, Policy{Mode: Token}).clients.List(t.Context(), client.ListOptions{})); len(list) != 1 {
			t.Errorf("%d clients after one success", len(list))
		}
	})
}
