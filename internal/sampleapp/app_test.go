package sampleapp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fakeProvider answers like a provider, rightly or wrongly.
type fakeProvider struct {
	t         *testing.T
	url       string
	key       *ecdsa.PrivateKey
	challenge string         // of the authorization request
	claims    map[string]any // laid over the right ones
	userinfo  string         // sub of userinfo; "" means the right one
	wrongKey  bool
	refreshes int
	redeemed  url.Values
}

func newFake(t *testing.T) *fakeProvider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &fakeProvider{t: t, key: key, claims: map[string]any{}}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	p.url = srv.URL
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token", "userinfo_endpoint": p.url + "/userinfo",
			"jwks_uri": p.url + "/jwks", "end_session_endpoint": p.url + "/logout", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		sub := p.userinfo
		if sub == "" {
			sub = "u1"
		}
		reply(w, map[string]any{"sub": sub, "name": "Mina <b>Park</b>"})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		p.redeemed = r.PostForm
		if r.PostForm.Get("grant_type") == "refresh_token" {
			p.refreshes++
		}
		reply(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r2", "id_token": p.idToken()})
	})
	return p
}

func (p *fakeProvider) idToken() string {
	claims := map[string]any{"iss": p.url, "aud": "sample", "sub": "u1", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range p.claims {
		claims[k] = v
	}
	body, _ := json.Marshal(claims)
	key := p.key
	if p.wrongKey {
		key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	obj, err := s.Sign(body)
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := obj.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// browser talks to the application and stops at every redirect.
type browser struct {
	t    *testing.T
	http *http.Client
	url  string
}

func newBrowser(t *testing.T, p *fakeProvider) *browser {
	t.Helper()
	app := &App{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	made, err := New(Options{Issuer: p.url, ClientID: "sample", ClientSecret: "s", URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	app = made
	jar, _ := cookiejar.New(nil)
	return &browser{t: t, url: srv.URL, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(method, path string, headers ...string) (int, string, *url.URL) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	to, _ := resp.Location()
	return resp.StatusCode, string(body), to
}

// login begins a login and makes the provider's answer fit.
func (b *browser) login(p *fakeProvider) (state string) {
	b.t.Helper()
	status, body, to := b.do("POST", "/login")
	if status != http.StatusSeeOther {
		b.t.Fatalf("%d %s", status, body)
	}
	q := to.Query()
	p.challenge = q.Get("code_challenge")
	if _, set := p.claims["nonce"]; !set {
		p.claims["nonce"] = q.Get("nonce")
	}
	if q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" || !strings.Contains(q.Get("scope"), "openid") {
		b.t.Errorf("authorization request: %v", q)
	}
	return q.Get("state")
}

func answer(p *fakeProvider, state string) string {
	return "/callback?" + url.Values{"code": {"c"}, "state": {state}, "iss": {p.url}}.Encode()
}

func TestApp_LoginRefreshLogout(t *testing.T) {
	t.Parallel()
	p := newFake(t)
	b := newBrowser(t, p)
	state := b.login(p)
	status, body, to := b.do("GET", answer(p, state))
	if status != http.StatusSeeOther || to.Path != "/" {
		t.Fatalf("%d %s", status, body)
	}
	sum := sha256.Sum256([]byte(p.redeemed.Get("code_verifier"))) // RFC 7636 §4.6
	if base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge {
		t.Error("the verifier does not fit the challenge")
	}
	_, body, _ = b.do("GET", "/")
	if !strings.Contains(body, "Hello, Mina &lt;b&gt;Park") || !strings.Contains(body, `id="id-token"`) {
		t.Errorf("home:\n%s", body)
	}
	if status, _, _ := b.do("POST", "/refresh"); status != http.StatusSeeOther || p.refreshes != 1 || p.redeemed.Get("refresh_token") != "r2" {
		t.Errorf("refresh: %d %v", status, p.redeemed)
	}
	status, _, to = b.do("POST", "/logout")
	if q := to.Query(); status != http.StatusSeeOther || to.Path != "/logout" || q.Get("id_token_hint") == "" || q.Get("post_logout_redirect_uri") != b.url+"/" {
		t.Errorf("logout: %d %v", status, to)
	}
	if _, body, _ := b.do("GET", "/"); strings.Contains(body, "Hello") {
		t.Error("still signed in")
	}
}

// TestApp_RefusesWhatIsWrong: each forged or mixed-up answer fails, and nobody is signed in.
func TestApp_RefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		setUp func(p *fakeProvider)
		query func(p *fakeProvider, state string) string
		want  string
	}{
		"foreign state":       {nil, func(p *fakeProvider, _ string) string { return answer(p, "x") }, "state"},
		"no state":            {nil, func(p *fakeProvider, _ string) string { return answer(p, "") }, "state"},
		"other issuer":        {nil, func(_ *fakeProvider, s string) string { return "/callback?code=c&iss=https://evil.example&state=" + s }, "another issuer"},
		"no issuer":           {nil, func(_ *fakeProvider, s string) string { return "/callback?code=c&state=" + s }, "another issuer"},
		"error of provider":   {nil, func(p *fakeProvider, s string) string { return answer(p, s) + "&error=access_denied" }, "access_denied"},
		"wrong nonce":         {func(p *fakeProvider) { p.claims["nonce"] = "x" }, answer, "nonce"},
		"wrong audience":      {func(p *fakeProvider) { p.claims["aud"] = "other" }, answer, "ID token"},
		"wrong issuer in JWT": {func(p *fakeProvider) { p.claims["iss"] = "https://evil.example" }, answer, "ID token"},
		"expired":             {func(p *fakeProvider) { p.claims["exp"] = 1 }, answer, "ID token"},
		"other signature":     {func(p *fakeProvider) { p.wrongKey = true }, answer, "ID token"},
		"other userinfo":      {func(p *fakeProvider) { p.userinfo = "u2" }, answer, "somebody else"},
		"markup in an error":  {nil, func(p *fakeProvider, s string) string { return answer(p, s) + "&error=%3Cscript%3E" }, "&lt;script&gt;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFake(t)
			if tc.setUp != nil {
				tc.setUp(p)
			}
			b := newBrowser(t, p)
			status, body, _ := b.do("GET", tc.query(p, b.login(p)))
			if status < 400 || !strings.Contains(body, tc.want) {
				t.Errorf("%d, want %q:\n%s", status, tc.want, body)
			}
			if _, body, _ := b.do("GET", "/"); strings.Contains(body, "Hello") {
				t.Error("signed in all the same")
			}
		})
	}
}

func TestApp_StateWorksOnceAndInItsBrowserOnly(t *testing.T) {
	t.Parallel()
	p := newFake(t)
	b := newBrowser(t, p)
	state := b.login(p)
	other := &browser{t: t, url: b.url, http: &http.Client{CheckRedirect: b.http.CheckRedirect}}
	if status, _, _ := other.do("GET", answer(p, state)); status != http.StatusBadRequest {
		t.Errorf("another browser: %d", status)
	}
	if status, body, _ := b.do("GET", answer(p, state)); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, body)
	}
	if status, _, _ := b.do("GET", answer(p, state)); status != http.StatusBadRequest {
		t.Errorf("second use: %d", status)
	}
}

func TestApp_RefreshMustNotChangeThePerson(t *testing.T) {
	t.Parallel()
	p := newFake(t)
	b := newBrowser(t, p)
	b.do("GET", answer(p, b.login(p)))
	p.claims["sub"], p.userinfo = "u2", "u2"
	if status, body, _ := b.do("POST", "/refresh"); status < 400 || !strings.Contains(body, "somebody else") { // OIDC Core §12.2
		t.Errorf("%d %s", status, body)
	}
}

func TestApp_FormsOfOtherSites(t *testing.T) {
	t.Parallel()
	p := newFake(t)
	b := newBrowser(t, p)
	for _, path := range []string{"/login", "/refresh", "/logout"} {
		if status, _, _ := b.do("POST", path, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
		if status, _, _ := b.do("GET", path); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}

// The provider sends people back to the registered name; the cookie must have been set under it.
func TestApp_AnswersUnderItsOwnNameOnly(t *testing.T) {
	t.Parallel()
	a, err := New(Options{Issuer: "http://localhost:8080", ClientID: "sample", ClientSecret: "s", URL: "http://localhost:8081"})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{
		"http://localhost:8081/": http.StatusOK, "http://127.0.0.1:8081/": http.StatusSeeOther, "http://evil.test/callback?code=c": http.StatusSeeOther,
	} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if to := w.Header().Get("Location"); w.Code != want || want == http.StatusSeeOther && to != "http://localhost:8081/" || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d %q", target, w.Code, to)
		}
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8081/login", nil))
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) > 0 {
		t.Errorf("post: %d", w.Code)
	}
}

func TestSessions_AreBounded(t *testing.T) {
	t.Parallel()
	s := &sessions{byID: map[string]*visitor{}}
	for range maxSessions + 50 {
		s.findOrMake(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	if len(s.byID) != maxSessions || len(s.order) != maxSessions {
		t.Errorf("%d sessions, %d in order", len(s.byID), len(s.order))
	}
	v := &visitor{}
	for range 50 {
		v.begin(attempt{state: "s"})
	}
	if len(v.attempts) != maxAttempts {
		t.Errorf("%d attempts", len(v.attempts))
	}
}
