package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/consent"
	"signet/internal/oauth/keys"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/internal/server"
)

const (
	issuer   = "https://id.test"
	redirect = "https://rp.test/cb"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	s256     = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// rig is the endpoints behind the real door, with pages that sign the same user in at once.
type rig struct {
	t       *testing.T
	handler http.Handler
	engine  *oauth.Engine
	clients *client.Service
	pages   *fakePages
	db      *store.DB
}

type fakePages struct {
	engine  *oauth.Engine
	login   oauth.Login
	refused *oauth.Error
	logout  *oauth.Logout
}

func (p *fakePages) Authorize(w http.ResponseWriter, r *http.Request, req *oauth.Request) error {
	resp, err := p.engine.Issue(r.Context(), req, p.login)
	if err != nil {
		return err
	}
	return p.Respond(w, r, resp)
}

func (p *fakePages) Respond(w http.ResponseWriter, r *http.Request, resp *oauth.Response) error {
	resp, err := p.engine.Deliver(r.Context(), resp)
	if err != nil {
		return err
	}
	w.Header().Set("Location", resp.Location())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (p *fakePages) Refused(w http.ResponseWriter, _ *http.Request, err *oauth.Error) error {
	p.refused = err
	w.WriteHeader(err.Status)
	return nil
}

func (p *fakePages) Logout(w http.ResponseWriter, _ *http.Request, l *oauth.Logout) error {
	p.logout = l
	w.WriteHeader(http.StatusOK)
	return nil
}

type subjects struct{}

func (subjects) Subject(_ context.Context, user id.User) (oauth.Subject, error) {
	return oauth.Subject{ID: user, Active: true, Claims: map[string]any{"email": "kim@rp.test", "email_verified": true}}, nil
}

// signingKeys are found once: the search for an RSA key takes long.
var signingKeys struct {
	sync.Mutex
	rows [][]any
}

func newRig(t *testing.T, wrap func(*store.DB) *store.DB, edit ...func(*oauth.Deps)) *rig {
	t.Helper()
	ctx := t.Context()
	db := storetest.Open(t, store.SQLite)
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	sealer := must(seal.New(bytes.Repeat([]byte{7}, 32)))
	changes := store.NewChanges(db, time.Hour)
	log := must(audit.New(audit.Deps{DB: db, Clock: now}))
	clients := must(client.New(client.Deps{DB: db, Clock: now, Changes: changes, Audit: log, Fetch: fetch.New(fetch.Options{})}))
	ks := must(keys.New(keys.Deps{DB: db, Clock: now, Changes: changes, Seal: sealer, Audit: log, Policy: keys.Policy{Retention: time.Hour}}))
	plantKeys(t, db, ks)
	check(t, changes.Poll(ctx))
	user, session := id.New(), id.New()
	at := store.Micros(now.Now())
	exec(t, db, `INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 0, 0)`, user)
	exec(t, db, `INSERT INTO session (id, token_hash, account_id, events, user_agent, source_ip, created_at, last_seen_at, expires_at)
		VALUES ($1, $1, $2, '[]', '', '', $3, $3, $4)`, session, user, at, at+3_600_000_000)
	view := db
	if wrap != nil {
		view = wrap(db)
	}
	deps := oauth.Deps{
		DB: view, Clock: now, Issuer: issuer, Keys: ks, Clients: clients, Subjects: subjects{}, Audit: log, Seal: sealer,
		Consents: must(consent.New(consent.Deps{DB: view, Clock: now, Audit: log})), Log: slog.New(slog.DiscardHandler),
		Limits: must(ratelimit.New(ratelimit.Deps{DB: view, Clock: now, Key: sealer.Subkey("ratelimit")})),
	}
	for _, e := range edit {
		e(&deps)
	}
	engine := must(oauth.New(deps))
	pages := &fakePages{engine: engine, login: oauth.Login{User: id.User(user), Session: id.Session(session), AuthTime: now.Now(), AMR: []string{"pwd"}}}
	e := must(New(Deps{Engine: engine, Keys: ks, Clients: clients, Pages: pages, UILocales: []string{"en", "ko"}}))
	h := must(server.New(server.Deps{Issuer: issuer, Log: slog.New(slog.DiscardHandler)}, e.Routes()))
	return &rig{t: t, handler: h, engine: engine, clients: clients, pages: pages, db: db}
}

func plantKeys(t *testing.T, db *store.DB, ks *keys.Service) {
	t.Helper()
	const columns = `id, alg, public_jwk, private_sealed, created_at, activate_at, retire_at, remove_at`
	signingKeys.Lock()
	defer signingKeys.Unlock()
	for _, row := range signingKeys.rows {
		exec(t, db, `INSERT INTO signing_key (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, row...)
	}
	check(t, ks.Bootstrap(t.Context()))
	rows, err := store.All(t.Context(), db.Q(t.Context()), func(row store.Row) ([]any, error) {
		var s [3]string
		var sealed []byte
		var at [4]int64
		err := row.Scan(&s[0], &s[1], &s[2], &sealed, &at[0], &at[1], &at[2], &at[3])
		return []any{s[0], s[1], s[2], sealed, at[0], at[1], at[2], at[3]}, err
	}, `SELECT `+columns+` FROM signing_key`)
	check(t, err)
	signingKeys.rows = rows
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, db *store.DB, sql string, args ...any) {
	t.Helper()
	_, err := db.Q(t.Context()).Exec(t.Context(), sql, args...)
	check(t, err)
}

func (r *rig) client(kind client.Kind) (id.Client, string) {
	r.t.Helper()
	m := client.Defaults(kind)
	if kind != client.Machine {
		m.FirstParty, m.RedirectURIs = true, []string{redirect}
	}
	c, secret, err := r.clients.Create(r.t.Context(), client.NewClient{Name: "App", Kind: kind, Metadata: m})
	check(r.t, err)
	return c.ID, secret.Reveal()
}

// do sends a request; form nil means no body. edit may change it.
func (r *rig) do(method, target string, form url.Values, edit func(*http.Request)) *http.Response {
	r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequest(method, issuer+target, body)
	req.Host = "id.test"
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if edit != nil {
		edit(req)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w.Result()
}

func bodyOf(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	raw := must(io.ReadAll(resp.Body))
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("status %d, body %q", resp.StatusCode, raw)
	}
	return m
}

func ask(c id.Client) url.Values {
	return url.Values{
		"client_id": {string(c)}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid email offline_access"}, "state": {"st"},
		"code_challenge": {s256}, "code_challenge_method": {"S256"},
	}
}

func auth(user, pass string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, pass) }
}

func bearerHeader(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// tokens walks the code flow over HTTP.
func (r *rig) tokens(c id.Client, secret string) map[string]any {
	r.t.Helper()
	resp := r.do("GET", pathAuthorize+"?"+ask(c).Encode(), nil, nil)
	u := must(url.Parse(resp.Header.Get("Location")))
	if q := u.Query(); q.Get("iss") != issuer || q.Get("state") != "st" || q.Get("code") == "" {
		r.t.Fatalf("status %d, location %s", resp.StatusCode, u)
	}
	resp = r.do("POST", pathToken, url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}, auth(string(c), secret))
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Pragma") != "no-cache" ||
		resp.Header.Get("Content-Type") != "application/json" {
		r.t.Fatalf("token: %d %v %v", resp.StatusCode, resp.Header, bodyOf(r.t, resp))
	}
	return bodyOf(r.t, resp)
}

func TestFlow_CodeRefreshUserinfoIntrospectRevoke(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Web)
	tok := r.tokens(c, secret)
	for _, name := range []string{"access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope"} {
		if tok[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	at := tok["access_token"].(string)
	for name, resp := range map[string]*http.Response{
		"GET header":  r.do("GET", pathUserinfo, nil, bearerHeader(at)),
		"POST header": r.do("POST", pathUserinfo, nil, bearerHeader(at)),
		"POST body":   r.do("POST", pathUserinfo, url.Values{"access_token": {at}}, nil),
	} {
		if m := bodyOf(t, resp); resp.StatusCode != 200 || m["sub"] != string(r.pages.login.User) || m["email_verified"] != true || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, m)
		}
	}
	resp := r.do("POST", pathToken, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}, auth(string(c), secret))
	next := bodyOf(t, resp)
	if resp.StatusCode != 200 || next["refresh_token"] == tok["refresh_token"] {
		t.Errorf("refresh: %d %v", resp.StatusCode, next)
	}
	if m := bodyOf(t, r.do("POST", pathIntrospect, url.Values{"token": {at}}, auth(string(c), secret))); m["active"] != true {
		t.Errorf("introspect: %v", m)
	}
	resp = r.do("POST", pathRevoke, url.Values{"token": {next["refresh_token"].(string)}}, auth(string(c), secret))
	if b := must(io.ReadAll(resp.Body)); resp.StatusCode != 200 || len(b) != 0 {
		t.Errorf("revoke: %d %q", resp.StatusCode, b)
	}
	raw := must(io.ReadAll(r.do("POST", pathIntrospect, url.Values{"token": {at}}, auth(string(c), secret)).Body))
	if string(raw) != `{"active":false}` {
		t.Errorf("after revocation: %s", raw)
	}
}

// TestToken_Door is security cases TK-18, TK-19 and the query rule of TK-09.
func TestToken_Door(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Machine)
	cc := url.Values{"grant_type": {"client_credentials"}}
	kind := func(s string) func(*http.Request) {
		return func(req *http.Request) { req.SetBasicAuth(string(c), secret); req.Header.Set("Content-Type", s) }
	}
	for name, tc := range map[string]struct {
		resp   *http.Response
		status int
	}{
		"good":      {r.do("POST", pathToken, cc, auth(string(c), secret)), 200},
		"query":     {r.do("POST", pathToken+"?client_secret="+secret, cc, nil), 400},
		"json":      {r.do("POST", pathToken, cc, kind("application/json")), 415},
		"multipart": {r.do("POST", pathToken, cc, kind("multipart/form-data; boundary=x")), 415},
		"none":      {r.do("POST", pathToken, cc, kind("")), 415},
		"empty":     {r.do("POST", pathToken, url.Values{}, auth(string(c), secret)), 400},
		"too long":  {r.do("POST", pathToken, url.Values{"x": {strings.Repeat("x", 1<<20)}}, nil), 413},
		"twice":     {r.do("POST", pathToken, url.Values{"grant_type": {"client_credentials", "client_credentials"}}, auth(string(c), secret)), 400},
	} {
		if tc.resp.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", name, tc.resp.StatusCode, tc.status)
		}
		if tc.status != 200 && bodyOf(t, tc.resp)["error"] != oauth.InvalidRequest || tc.resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: not an uncached invalid_request", name)
		}
	}
	for _, path := range []string{pathToken, pathRevoke, pathIntrospect} {
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
			resp := r.do(method, path, nil, nil)
			if resp.StatusCode != 405 || !strings.Contains(resp.Header.Get("Allow"), "POST") {
				t.Errorf("%s %s: %d, Allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
	}
	resp := r.do("POST", pathToken, cc, auth(string(c), "sgn_cs_wrong"))
	if m := bodyOf(t, resp); resp.StatusCode != 401 || m["error"] != "invalid_client" || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("%d %v %v", resp.StatusCode, m, resp.Header)
	}
}

// TestUserinfo_Bearer is security case JW-13 (RFC 6750 §2, §3.1).
func TestUserinfo_Bearer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Web)
	at := r.tokens(c, secret)["access_token"].(string)
	for name, tc := range map[string]struct {
		resp     *http.Response
		status   int
		contains string
	}{
		"none":     {r.do("GET", pathUserinfo, nil, nil), 401, `Bearer realm="signet"`},
		"query":    {r.do("GET", pathUserinfo+"?access_token="+at, nil, nil), 400, `error="invalid_request"`},
		"both":     {r.do("POST", pathUserinfo, url.Values{"access_token": {at}}, bearerHeader(at)), 400, `error="invalid_request"`},
		"basic":    {r.do("GET", pathUserinfo, nil, auth("a", "b")), 401, `Bearer realm="signet"`},
		"no token": {r.do("GET", pathUserinfo, nil, func(req *http.Request) { req.Header.Set("Authorization", "Bearer") }), 400, `error="invalid_request"`},
		"bad":      {r.do("GET", pathUserinfo, nil, bearerHeader("a.b.c")), 401, `error="invalid_token"`},
		"ID token": {r.do("GET", pathUserinfo, nil, bearerHeader(r.tokens(c, secret)["id_token"].(string))), 401, `error="invalid_token"`},
		"JSON body": {r.do("POST", pathUserinfo, url.Values{"access_token": {at}}, func(req *http.Request) {
			req.Header.Set("Content-Type", "application/json")
		}), 415, ""},
		"twice in the body": {r.do("POST", pathUserinfo, url.Values{"access_token": {at, at}}, nil), 400, ""},
		"of a machine":      {r.do("GET", pathUserinfo, nil, bearerHeader(r.machineToken())), 403, `error="insufficient_scope"`},
		"two headers": {r.do("GET", pathUserinfo, nil, func(req *http.Request) {
			req.Header["Authorization"] = []string{"Bearer " + at, "Bearer " + at}
		}), 400, `error="invalid_request"`},
	} {
		got := tc.resp.Header.Get("WWW-Authenticate")
		if tc.resp.StatusCode != tc.status || !strings.Contains(got, tc.contains) {
			t.Errorf("%s: %d %q", name, tc.resp.StatusCode, got)
		}
		if (name == "none" || name == "basic") && strings.Contains(got, "error") { // RFC 6750 §3.1
			t.Errorf("an error code without a token: %q", got)
		}
	}
}

// machineToken gets an access token of a client for itself.
func (r *rig) machineToken() string {
	r.t.Helper()
	c, secret := r.client(client.Machine)
	resp := r.do("POST", pathToken, url.Values{"grant_type": {"client_credentials"}}, auth(string(c), secret))
	return bodyOf(r.t, resp)["access_token"].(string)
}

// TestAuthorize_Edges: who is told what (AZ-04, AZ-06, AZ-23).
func TestAuthorize_Edges(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, _ := r.client(client.Web)
	bad := ask(c)
	bad.Set("redirect_uri", "https://evil.test/")
	if resp := r.do("GET", pathAuthorize+"?"+bad.Encode(), nil, nil); resp.StatusCode != 400 || resp.Header.Get("Location") != "" || r.pages.refused == nil {
		t.Errorf("bad redirect: %d %v", resp.StatusCode, resp.Header)
	}
	plain := ask(c)
	plain.Set("code_challenge_method", "plain")
	resp := r.do("GET", pathAuthorize+"?"+plain.Encode(), nil, nil)
	if u := must(url.Parse(resp.Header.Get("Location"))); u.Query().Get("error") != "invalid_request" || u.Query().Get("iss") != issuer {
		t.Errorf("plain: %d %v", resp.StatusCode, resp.Header)
	}
	r.pages.refused = nil
	if resp := r.do("GET", pathAuthorize+"?"+ask(c).Encode()+"&state=2", nil, nil); resp.StatusCode != 400 || r.pages.refused == nil {
		t.Errorf("duplicate: %d", resp.StatusCode)
	}
	cross := func(req *http.Request) {
		req.Header.Set("Origin", "https://rp.test")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	resp = r.do("POST", pathAuthorize, ask(c), cross)
	if want := pathAuthorize + "?" + ask(c).Encode(); resp.StatusCode != 303 || resp.Header.Get("Location") != want {
		t.Errorf("POST: %d %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp := r.do("POST", pathAuthorize+"?state=2", ask(c), cross); resp.StatusCode != 400 {
		t.Errorf("parameters in both places: %d", resp.StatusCode)
	}
	if resp := r.do("HEAD", pathAuthorize+"?"+ask(c).Encode(), nil, nil); resp.StatusCode != 405 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
	if resp := r.do("HEAD", pathLogout+"?state=x", nil, nil); resp.StatusCode != 405 || r.pages.logout != nil {
		t.Errorf("HEAD of logout: %d %v", resp.StatusCode, r.pages.logout)
	}
	if resp := r.do("GET", pathLogout+"?state=x", nil, nil); resp.StatusCode != 200 || r.pages.logout == nil || r.pages.logout.Trusted {
		t.Errorf("logout: %d %+v", resp.StatusCode, r.pages.logout)
	}
	if resp := r.do("GET", pathLogout+"?id_token_hint=a.b.c", nil, nil); resp.StatusCode != 400 {
		t.Errorf("logout with a bad hint: %d", resp.StatusCode)
	}
	if resp := r.do("POST", pathLogout, url.Values{"state": {"x"}}, cross); resp.StatusCode != 303 || resp.Header.Get("Location") != pathLogout+"?state=x" {
		t.Errorf("POST logout: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestDiscovery: true at both addresses, cacheable, readable from anywhere; the key set has public
// parts only (JW-07).
func TestDiscovery(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, path := range []string{pathConfiguration, pathMetadata, pathJWKS} {
		resp := r.do("GET", path, nil, nil)
		etag := resp.Header.Get("ETag")
		if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "public, max-age=300" || resp.Header.Get("Access-Control-Allow-Origin") != "*" ||
			resp.Header.Get("Content-Type") != "application/json" || etag == "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		again := r.do("GET", path, nil, func(req *http.Request) { req.Header.Set("If-None-Match", etag) })
		if b := must(io.ReadAll(again.Body)); again.StatusCode != 304 || len(b) > 0 {
			t.Errorf("%s: conditional gives %d with %d bytes", path, again.StatusCode, len(b))
		}
		m := bodyOf(t, resp)
		if path == pathJWKS {
			for _, k := range m["keys"].([]any) {
				key := k.(map[string]any)
				for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
					if key[private] != nil {
						t.Errorf("the key set has %q", private)
					}
				}
				if key["kid"] == "" || key["use"] != "sig" || key["alg"] == nil {
					t.Errorf("key %v", key)
				}
			}
			continue
		}
		if m["issuer"] != issuer || m["request_parameter_supported"] != true || m["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("%s: %v", path, m)
		}
		for name, v := range m {
			if s, ok := v.(string); ok && strings.HasSuffix(name, "_endpoint") && !strings.HasPrefix(s, issuer+"/") {
				t.Errorf("%s is %q", name, s)
			}
		}
		if !slices.Contains(m["id_token_signing_alg_values_supported"].([]any), any("RS256")) {
			t.Error("no RS256") // OIDC Discovery §3
		}
	}
}

// TestCORS is security case TK-27.
func TestCORS(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.client(client.SPA)
	from := func(origin string) func(*http.Request) {
		return func(req *http.Request) {
			req.Header.Set("Origin", origin)
			req.Header.Set("Access-Control-Request-Method", "POST")
		}
	}
	for _, path := range []string{pathToken, pathUserinfo, pathRevoke, pathPush} {
		for origin, want := range map[string]string{"https://rp.test": "https://rp.test", "https://evil.test": "", "null": "", "https://rp.test.evil.test": ""} {
			for _, method := range []string{"OPTIONS", "POST"} {
				resp := r.do(method, path, nil, from(origin))
				h := resp.Header
				if h.Get("Access-Control-Allow-Origin") != want || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") == "" {
					t.Errorf("%s %s from %s: %v", method, path, origin, h)
				}
				if method == "OPTIONS" && (resp.StatusCode != 204 || (h.Get("Access-Control-Allow-Headers") != "") != (want != "")) {
					t.Errorf("preflight %s from %s: %d %v", path, origin, resp.StatusCode, h)
				}
			}
		}
	}
	if h := r.do("POST", pathIntrospect, url.Values{}, from("https://rp.test")).Header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("introspection is open to browsers")
	}
}

// TestStoreDown_F6: 503 with Retry-After on each endpoint, never an answer (fosite trap 6).
func TestStoreDown_F6(t *testing.T) {
	t.Parallel()
	dead := false
	r := newRig(t, func(db *store.DB) *store.DB {
		return db.Wrapped(func(q store.Querier) store.Querier {
			if dead {
				return down{}
			}
			return q
		})
	})
	c, secret := r.client(client.Web)
	tok := r.tokens(c, secret)
	at, rt := tok["access_token"].(string), tok["refresh_token"].(string)
	dead = true
	for name, resp := range map[string]*http.Response{
		"revoke":     r.do("POST", pathRevoke, url.Values{"token": {rt}}, auth(string(c), secret)),
		"introspect": r.do("POST", pathIntrospect, url.Values{"token": {at}}, auth(string(c), secret)),
		"userinfo":   r.do("GET", pathUserinfo, nil, bearerHeader(at)),
		"refresh":    r.do("POST", pathToken, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}}, auth(string(c), secret)),
		"authorize":  r.do("GET", pathAuthorize+"?"+ask(c).Encode(), nil, nil),
		"push":       r.do("POST", pathPush, ask(c), auth(string(c), secret)),
	} {
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	dead = false // it recovers by itself
	if resp := r.do("GET", pathUserinfo, nil, bearerHeader(at)); resp.StatusCode != 200 {
		t.Errorf("after recovery: %d", resp.StatusCode)
	}
}

// down is a store that does not answer.
type down struct{}

var errDown = store.Fault(true, errors.New("connection refused"))

func (down) Exec(context.Context, string, ...any) (int64, error)       { return 0, errDown }
func (down) Query(context.Context, string, ...any) (store.Rows, error) { return nil, errDown }
func (down) QueryRow(context.Context, string, ...any) store.Row        { return down{} }
func (down) Scan(...any) error                                         { return errDown }

func FuzzParseToken(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer  a.b-c_~+/=", "Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		_, token, _, ok := parseToken(header)
		if ok && (token == "" || strings.ContainsAny(token, " \t\r\n\x00,\"") || !strings.HasSuffix(header, token)) {
			t.Fatalf("%q gave %q", header, token)
		}
	})
}
