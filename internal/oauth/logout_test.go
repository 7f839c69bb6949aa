package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/logout"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// TestLogout_Parse is security cases LO-01, LO-02 (OIDC RP-Initiated Logout §2, §3).
func TestLogout_Parse(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, other := r.newClient(client.Web, nil), r.newClient(client.Web, nil)
	hint := r.tokens(c).IDToken
	at := r.tokens(c).AccessToken
	r.clock.Advance(time.Hour) // an expired hint is fine
	const bye = "https://rp.test/bye"
	trusted := Logout{Session: string(r.session), Client: c, Trusted: true}
	back := trusted
	back.RedirectURI, back.State = bye, "x y"
	for name, tc := range map[string]struct {
		form []string
		want Logout
	}{
		"nothing":          {nil, Logout{}},
		"state only":       {[]string{"state", "s"}, Logout{}},
		"client only":      {[]string{"client_id", string(c), "post_logout_redirect_uri", bye}, Logout{Client: c}},
		"unknown client":   {[]string{"client_id", "nobody"}, Logout{}},
		"hint":             {[]string{"id_token_hint", hint}, trusted},
		"hint and address": {[]string{"id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "x y", "client_id", string(c)}, back},
	} {
		got, err := r.ParseLogout(t.Context(), values(tc.form...))
		check(t, err)
		if d := cmp.Diff(&tc.want, got, cmpopts.IgnoreUnexported(Logout{})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if got := back.Location(); got != bye+"?state=x+y" {
		t.Error(got)
	}
	parts := strings.Split(hint, ".")
	for name, form := range map[string][]string{
		"modified to none":   {"id_token_hint", "eyJhbGciOiJub25lIn0." + parts[1] + "."},
		"foreign":            {"id_token_hint", "a.b.c"},
		"access token":       {"id_token_hint", at},
		"other's client id":  {"id_token_hint", hint, "client_id", string(other)},
		"two hints":          {"id_token_hint", hint, "id_token_hint", hint},
		"two states":         {"state", "a", "state", "b"},
		"huge client":        {"client_id", strings.Repeat("c", 400)},
		"signature stripped": {"id_token_hint", parts[0] + "." + parts[1] + "."},
		// An address that is not registered, and one that nobody vouches for (§3).
		"unregistered":         {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.test/"},
		"added query":          {"id_token_hint", hint, "post_logout_redirect_uri", bye + "?x=1"},
		"javascript":           {"id_token_hint", hint, "post_logout_redirect_uri", "javascript:alert(1)"},
		"no hint":              {"post_logout_redirect_uri", bye},
		"client, unregistered": {"client_id", string(c), "post_logout_redirect_uri", "https://evil.test/"},
		"unknown, address":     {"client_id", "nobody", "post_logout_redirect_uri", bye},
		"huge state":           {"id_token_hint", hint, "post_logout_redirect_uri", bye, "state", strings.Repeat("s", maxState+1)},
	} {
		_, err := r.ParseLogout(t.Context(), values(form...))
		if e := wantCode(t, err, InvalidRequest); e == nil || e.Redirect != nil {
			t.Errorf("%s", name)
		}
	}
	r.edit(c, func(m *client.Metadata) { m.PostLogoutRedirectURIs = nil })
	_, err := r.ParseLogout(t.Context(), values("id_token_hint", hint, "post_logout_redirect_uri", bye))
	wantCode(t, err, InvalidRequest) // registered no more
	check(t, r.clients.Disable(t.Context(), c))
	if got := must(r.ParseLogout(t.Context(), values("id_token_hint", hint))); got.Trusted {
		t.Errorf("a client that is switched off vouches: %+v", got)
	}
}

// Security case LO-08: a hint whose key was removed since counts as none, so that old ID tokens lead to the
// question and not to an error, and nothing that anybody may have written in them counts: not the session,
// not the client, not its addresses (OIDC RP-Initiated Logout §2).
func TestLogout_HintOfAPastKey(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	hint := r.tokens(c).IDToken
	must(r.keys.Replace(t.Context(), keys.ES256))
	const bye = "https://rp.test/bye"
	for name, form := range map[string][]string{
		"alone":       {"id_token_hint", hint},
		"address":     {"id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "x"},
		"any address": {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.test/"},
		"client":      {"id_token_hint", hint, "client_id", string(c), "post_logout_redirect_uri", bye},
	} {
		l, err := r.ParseLogout(t.Context(), values(form...))
		check(t, err)
		if l.Trusted || l.Session != "" || l.Location() != "" || r.Ends(l, r.session) || (l.Client != "") != (name == "client") {
			t.Errorf("%s: %+v", name, l)
		}
	}
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	parts := strings.Split(hint, ".")
	for name, form := range map[string][]string{
		"registered by another": {"id_token_hint", hint, "client_id", string(c), "post_logout_redirect_uri", "https://evil.test/"},
		"another issuer":        {"id_token_hint", parts[0] + "." + part(`{"iss":"https://evil.test","sub":"x","exp":1}`) + "." + parts[2]},
		"no ID token":           {"id_token_hint", parts[0] + "." + part(`{"iss":"`+testIssuer+`"}`) + "." + parts[2]},
		"no JSON":               {"id_token_hint", parts[0] + "." + part(`x`) + "." + parts[2]},
		"not base64url":         {"id_token_hint", parts[0] + ".a=." + parts[2]},
		"no algorithm":          {"id_token_hint", part(`{"alg":"none","kid":"past","typ":"JWT"}`) + "." + parts[1] + "."},
		"no key":                {"id_token_hint", part(`{"alg":"ES256","typ":"JWT"}`) + "." + parts[1] + "." + parts[2]},
		"another type":          {"id_token_hint", part(`{"alg":"ES256","kid":"past","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2]},
	} {
		_, err := r.ParseLogout(t.Context(), values(form...))
		if e := wantCode(t, err, InvalidRequest); e == nil {
			t.Errorf("%s", name)
		}
	}
	// An authorization request is still refused: there, a hint says who must not be another.
	_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint))
	wantCode(t, err, InvalidRequest)
}

// TestLogout_Ends: the sid of a hint names one session only, also where a sector knows it by another
// name (OIDC RP-Initiated Logout §2; Core §8.1).
func TestLogout_Ends(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for name, edit := range map[string]func(*client.Metadata){
		"public": nil, "pairwise": func(m *client.Metadata) { m.SubjectType = "pairwise" },
	} {
		c := r.newClient(client.Web, edit)
		hint := r.tokens(c).IDToken
		l := must(r.ParseLogout(t.Context(), values("id_token_hint", hint)))
		if other := r.newSession(r.user); !r.Ends(l, r.session) || r.Ends(l, other) || r.Ends(l, "") {
			t.Errorf("%s: %+v", name, l)
		}
		if (name == "pairwise") == (l.Session == string(r.session)) {
			t.Errorf("%s: sid %s", name, l.Session)
		}
	}
}

// receiver is an application's back-channel logout endpoint.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []url.Values
	status int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	rec := &receiver{status: http.StatusOK}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s %v", r.Method, err)
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.got = append(rec.got, r.PostForm)
		w.WriteHeader(rec.status)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (rec *receiver) tokens() []url.Values {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.got
}

func told(uri string) func(*client.Metadata) {
	return func(m *client.Metadata) { m.BackchannelLogoutURI = uri }
}

func (r *rig) notices() []outbox.Item {
	r.t.Helper()
	return must(r.outbox.List(r.t.Context(), outbox.Filter{Kind: logout.Kind}))
}

func (r *rig) parties() int64 { return r.count(`SELECT COUNT(*) FROM session_client`) }

// TestLogout_OneTransaction: the end of a session, of its grants and the notices are there together, or
// none of them (OIDC Back-Channel Logout §2.6; security case LO-05).
func TestLogout_OneTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		ctx := r.t.Context()
		c, quiet := r.newClient(client.Web, told("https://rp.test/logout")), r.newClient(client.Web, nil)
		r.tokens(c)
		r.tokens(c)
		r.tokens(quiet)
		if n := r.parties(); n != 1 {
			r.t.Errorf("%d parties of the session", n)
		}
		undone := errors.New("undone")
		err := r.db.InTx(ctx, func(ctx context.Context) error {
			_, err := r.RevokeSession(ctx, r.session)
			return errors.Join(err, undone)
		})
		alive := `SELECT COUNT(*) FROM oauth_grant WHERE revoked_at = 0`
		if !errors.Is(err, undone) || len(r.notices()) != 0 || r.parties() != 1 || r.count(alive) != 3 {
			r.t.Errorf("undone: %v, %d notices, %d parties", err, len(r.notices()), r.parties())
		}
		r.signOut(r.t)
		list := r.notices()
		if len(list) != 1 || list[0].Recipient != string(c) || list[0].Subject != string(r.user) || list[0].State != outbox.Pending ||
			list[0].Expires.Sub(list[0].CreatedAt) != logout.Life || r.parties() != 0 || r.count(alive) != 0 {
			r.t.Errorf("%+v, %d parties, %d grants", list, r.parties(), r.count(alive))
		}
		r.signOut(r.t) // there is nobody to tell any more
		if len(r.notices()) != 1 {
			r.t.Error("told twice")
		}
	})
}

// TestLogout_WhoIsTold: by each way in which a session can end on purpose.
func TestLogout_WhoIsTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(r *rig, c, other id.Client, away id.Session) error
		want []string // session/application
	}{
		"one session": {func(r *rig, _, _ id.Client, _ id.Session) error {
			_, err := r.RevokeSession(r.t.Context(), r.session)
			return err
		}, []string{"here/c", "here/other"}},
		"all others": {func(r *rig, _, _ id.Client, _ id.Session) error {
			return r.RevokeUser(r.t.Context(), r.user, r.session)
		}, []string{"away/c"}},
		"everything": {func(r *rig, _, _ id.Client, _ id.Session) error { return r.RevokeUser(r.t.Context(), r.user, "") }, []string{"away/c", "here/c", "here/other"}},
		"long expired": {func(r *rig, _, _ id.Client, away id.Session) error {
			r.exec(`DELETE FROM session WHERE id = $1`, string(away)) // no sign-out
			return r.RevokeUser(r.t.Context(), r.user, r.session)
		}, []string{"away/c"}},
		"application":    {func(r *rig, c, _ id.Client, _ id.Session) error { return r.RevokeClient(r.t.Context(), r.user, c) }, []string{"away/c", "here/c"}},
		"another person": {func(r *rig, _, _ id.Client, away id.Session) error { return r.LeaveSession(r.t.Context(), away) }, []string{"away/c"}},
		"nobody's":       {func(r *rig, _, _ id.Client, _ id.Session) error { return r.RevokeUser(r.t.Context(), r.newUser(), "") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(r *rig) {
				rec, otherRec := newReceiver(t), newReceiver(t)
				c, other := r.newClient(client.Web, told(rec.URL)), r.newClient(client.Web, told(otherRec.URL))
				here, away := r.session, r.newSession(r.user)
				r.session = away
				r.tokens(c)
				r.session = here
				r.tokens(c)
				r.tokens(other)
				check(t, tc.end(r, c, other, away))
				if _, err := r.outbox.Deliver(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got []string
				for app, rec := range map[string]*receiver{"c": rec, "other": otherRec} {
					for _, form := range rec.tokens() {
						sid := r.claims(form.Get("logout_token"), typLogout)["sid"]
						got = append(got, map[any]string{string(here): "here", string(away): "away"}[sid]+"/"+app)
					}
				}
				if d := cmp.Diff(tc.want, got, cmpopts.SortSlices(strings.Compare), cmpopts.EquateEmpty()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// claims verifies a token of ours and returns what it says.
func (r *rig) claims(token, typ string) map[string]any {
	r.t.Helper()
	raw, err := r.keys.Verify(token, typ)
	check(r.t, err)
	var m map[string]any
	check(r.t, json.Unmarshal(raw, &m))
	return m
}

// TestLogout_Token: OIDC Back-Channel Logout §2.4, §2.5 (security case LO-06).
func TestLogout_Token(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for name, tc := range map[string]struct {
		alg  string
		edit func(*client.Metadata)
	}{
		"default":  {keys.ES256, nil},
		"RS256":    {keys.RS256, func(m *client.Metadata) { m.IDTokenAlg = keys.RS256 }},
		"pairwise": {keys.ES256, func(m *client.Metadata) { m.SubjectType = "pairwise" }},
	} {
		rec := newReceiver(t)
		c := r.newClient(client.Web, func(m *client.Metadata) {
			m.BackchannelLogoutURI = rec.URL + "/?keep=this"
			if tc.edit != nil {
				tc.edit(m)
			}
		})
		r.session = r.newSession(r.user)
		known := r.claims(r.tokens(c).IDToken, typID)
		r.signOut(t)
		r.clock.Advance(time.Hour) // the token is made for the attempt, not for the sign-out
		if n, err := r.outbox.Deliver(t.Context()); n != 1 || err != nil {
			t.Fatalf("%s: %d %v", name, n, err)
		}
		got := rec.tokens()
		if len(got) != 1 || len(got[0]) != 1 {
			t.Fatalf("%s: %v", name, got)
		}
		text := got[0].Get("logout_token")
		sig := must(jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256}))
		if h := sig.Signatures[0].Header; h.Algorithm != tc.alg || h.KeyID == "" || h.ExtraHeaders["typ"] != "logout+jwt" {
			t.Errorf("%s: header %+v", name, h)
		}
		m := r.claims(text, typLogout)
		now := float64(r.clock.Now().Unix())
		if jti, _ := m["jti"].(string); !strings.HasPrefix(jti, r.notices()[0].ID+".") {
			t.Errorf("%s: jti %s", name, jti)
		}
		delete(m, "jti")
		want := map[string]any{
			"iss": testIssuer, "sub": known["sub"], "aud": string(c), "iat": now, "exp": now + 120, "sid": known["sid"],
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		if d := cmp.Diff(want, m); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		// It passes for nothing else (RFC 8725 §3.11).
		if _, err := r.verifyHint(text); err == nil {
			t.Errorf("%s: a logout token is taken for an ID token", name)
		}
		if _, err := r.verifyAccess(text); err == nil {
			t.Errorf("%s: a logout token is taken for an access token", name)
		}
	}
}

// TestLogout_TokenEncrypted: as the ID tokens of the application are (§2.4).
func TestLogout_TokenEncrypted(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "enc", Use: "enc", Algorithm: "ECDH-ES"}}}))
	rec := newReceiver(t)
	c := r.newClient(client.Web, func(m *client.Metadata) {
		m.BackchannelLogoutURI, m.IDTokenEncAlg, m.JWKS = rec.URL, "ECDH-ES", public
	})
	r.code(ask(c))
	r.signOut(t)
	if n, err := r.outbox.Deliver(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	box := must(jose.ParseEncrypted(rec.tokens()[0].Get("logout_token"), []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A128CBC_HS256}))
	if m := r.claims(string(must(box.Decrypt(key))), typLogout); m["sid"] != string(r.session) {
		t.Errorf("%v", m)
	}
}

// TestLogout_HotPath: an application without a logout address costs one statement, as ever.
func TestLogout_HotPath(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	count := func(c id.Client) (n int) {
		counted := r.again(r.db, r.db.Wrapped(func(q store.Querier) store.Querier { return &counting{q, &n} }))
		r.code(ask(c)) // caches are warm
		n = 0
		req := must(counted.ParseAuthorize(t.Context(), ask(c)))
		n = 0
		_, err := counted.Issue(t.Context(), req, r.login())
		check(t, err)
		return n
	}
	if n := count(r.newClient(client.Web, nil)); n != 1 {
		t.Errorf("%d statements without a logout address", n)
	}
	if n := count(r.newClient(client.Web, told("https://rp.test/logout"))); n != 2 {
		t.Errorf("%d statements with one", n)
	}
}

type counting struct {
	store.Querier
	n *int
}

func (c *counting) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	*c.n++
	return c.Querier.Exec(ctx, sql, args...)
}

func (c *counting) Query(ctx context.Context, sql string, args ...any) (store.Rows, error) {
	*c.n++
	return c.Querier.Query(ctx, sql, args...)
}

func (c *counting) QueryRow(ctx context.Context, sql string, args ...any) store.Row {
	*c.n++
	return c.Querier.QueryRow(ctx, sql, args...)
}

// TestRace_LogoutTellsOnce: of any number that end a session at once, on two instances, one tells.
func TestRace_LogoutTellsOnce(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		a.tokens(a.newClient(client.Web, told("https://rp.test/one")))
		a.tokens(a.newClient(client.Web, told("https://rp.test/two")))
		won, failed := race(a, b, func(r *rig) (Farewell, error) { return r.RevokeSession(context.Background(), r.session) })
		if len(failed) > 0 {
			a.t.Errorf("%d failed: %v", len(failed), failed[0])
		}
		apps := 0
		for _, f := range won {
			apps += len(f.Apps)
		}
		if n := len(a.notices()); n != 2 || apps != 2 {
			a.t.Errorf("%d notices, %d applications named", n, apps)
		}
	})
}

// TestLogout_Frames: OIDC Front-Channel Logout §2, §3.
func TestLogout_Frames(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.FrontchannelLogout = true
	front := func(uri string, session bool) func(*client.Metadata) {
		return func(m *client.Metadata) { m.FrontchannelLogoutURI, m.FrontchannelLogoutSession = uri, session }
	}
	for name, tc := range map[string]struct {
		edit   func(*client.Metadata)
		frames []string
		apps   int
	}{
		"plain":        {front("https://rp.test/out", false), []string{"https://rp.test/out"}, 1},
		"with session": {front("https://rp.test/out", true), []string{"https://rp.test/out?iss=https%3A%2F%2Fid.test&sid=" + string(r.session)}, 1},
		"with a query": {front("https://rp.test/out?a=b", true), []string{"https://rp.test/out?a=b&iss=https%3A%2F%2Fid.test&sid=" + string(r.session)}, 1},
		"back channel": {told("https://rp.test/out"), nil, 1},
		"neither":      {nil, nil, 0},
	} {
		r.tokens(r.newClient(client.Web, tc.edit))
		f := must(r.RevokeSession(t.Context(), r.session))
		if d := cmp.Diff(tc.frames, f.Frames); d != "" || len(f.Apps) != tc.apps {
			t.Errorf("%s: %s %v", name, d, f.Apps)
		}
	}
	for range maxFrames + 3 {
		r.tokens(r.newClient(client.Web, front("https://rp.test/out", true)))
	}
	if f := must(r.RevokeSession(t.Context(), r.session)); len(f.Frames) != maxFrames {
		t.Errorf("%d frames", len(f.Frames))
	}
	r.policy.FrontchannelLogout = false
	r.tokens(r.newClient(client.Web, front("https://rp.test/out", true)))
	if f := must(r.RevokeSession(t.Context(), r.session)); len(f.Frames) != 0 || len(f.Apps) != 0 {
		t.Errorf("switched off: %+v", f)
	}
}

// TestLogout_Sweep: who is to be told is forgotten long after any session.
func TestLogout_Sweep(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		r.tokens(r.newClient(client.Web, told("https://rp.test/out")))
		r.clock.Advance(89 * 24 * time.Hour)
		sweep := func() int64 { return must(r.logout.DeleteExpired(r.t.Context(), 10)) }
		if n := sweep(); n != 0 || r.parties() != 1 {
			r.t.Errorf("%d rows went early", n)
		}
		r.clock.Advance(2 * 24 * time.Hour)
		if n := sweep(); n != 1 || r.parties() != 0 {
			r.t.Errorf("%d rows went", n)
		}
	})
}

// TestSessionState is the computation of OIDC Session Management §3.2, and who gets one (§2).
const exampleState = "6z5a29WQjtHI11vkG7nyGsjhGF9eo2wgADcv9tnt620.salt"

func TestSessionState(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.SessionManagement = true
	c := r.newClient(client.Web, nil)
	issue := func(pairs ...string) url.Values {
		t.Helper()
		req := must(r.ParseAuthorize(t.Context(), ask(c, pairs...)))
		return must(r.Issue(t.Context(), req, r.login())).Params
	}
	got := issue().Get("session_state")
	_, salt, ok := strings.Cut(got, ".")
	if !ok || len(salt) < 16 || got != sessionState(c, "https://rp.test", r.BrowserState(r.session), salt) || strings.Contains(got, " ") {
		t.Errorf("session_state %q", got)
	}
	if again := issue().Get("session_state"); again == got {
		t.Error("the salt is always the same")
	}
	// The example value was computed apart from this code:
	// printf '%s' 'client https://rp.example.com state salt' | openssl dgst -sha256 -binary | basenc --base64url
	if got := sessionState("client", "https://rp.example.com", "state", "salt"); got != exampleState {
		t.Errorf("got %s", got)
	}
	state := r.BrowserState(r.session)
	if other := r.BrowserState(r.newSession(r.user)); other == state || len(state) != 24 || strings.Contains(string(r.session), state) {
		t.Errorf("browser states %q, %q", state, other)
	}
	if r.BrowserState("") != "" {
		t.Error("nobody has a state")
	}
	if p := issue("scope", "profile"); p.Has("session_state") {
		t.Error("OAuth without OpenID Connect has a session_state")
	}
	r.policy.SessionManagement = false
	if p := issue(); p.Has("session_state") || r.BrowserState(r.session) != "" {
		t.Error("switched off, and there nevertheless")
	}
	for uri, want := range map[string]string{
		"https://RP.test:443/cb": "https://rp.test", "http://localhost:8080/cb": "http://localhost:8080", "http://127.0.0.1:80/": "http://127.0.0.1",
		"com.example.app:/cb": "", "not a uri": "", "https://[::1]:8443/x": "https://[::1]:8443",
	} {
		if got := webOrigin(uri); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

// TestLogout_Faults breaks every statement of a sign-out, before it has an effect and after it with the
// answer lost: session, grants and notices go together or not at all, and the next try does it all.
func TestLogout_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, told("https://rp.test/logout"))
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				r.session = r.newSession(r.user)
				r.tokens(c)
				before := len(r.notices())
				whole := func(done int64) bool {
					return r.count(`SELECT COUNT(*) FROM oauth_grant WHERE session_id = $1 AND revoked_at > 0`, string(r.session)) == done &&
						r.count(`SELECT COUNT(*) FROM session_client WHERE session_id = $1`, string(r.session)) == 1-done && int64(len(r.notices())-before) == done
				}
				broken, count := storetest.FailAt(r.db, n, mode)
				_, err := r.again(r.db, broken).RevokeSession(r.t.Context(), r.session)
				if count.Load() < n {
					if err != nil || !whole(1) {
						r.t.Errorf("without a fault: %v", err)
					}
					break
				}
				if err == nil || !whole(0) {
					r.t.Errorf("statement %d, mode %d: %v, half done", n, mode, err)
				}
				r.signOut(r.t)
				if !whole(1) {
					r.t.Errorf("statement %d, mode %d: the next try does not do it all", n, mode)
				}
				if n > 20 {
					r.t.Fatal("no end of statements")
				}
			}
		}
	})
}
