package load

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// provider is a small OpenID provider for the tests: it has pages, one-time codes and
// rotating refresh tokens, and can be told to misbehave.
type provider struct {
	mu       sync.Mutex
	url      string
	n        int
	sessions map[string]bool
	requests map[string]url.Values // parked authorization requests
	codes    map[string]url.Values
	refresh  map[string]bool // live
	calls    map[string]int

	grace      bool // a spent refresh token is answered like a live one
	twoSteps   bool // asks the name on one page and the password on the next
	consent    bool
	formPost   bool // answers with a page that posts itself
	hop        bool // ends the login POST with a page that passes the browser on
	breakEvery int  // every n-th refresh fails with 503, keeping the token
	loseEvery  int  // every n-th refresh kills the family
}

func newProvider(t *testing.T, change func(*provider)) *Target {
	t.Helper()
	p := &provider{sessions: map[string]bool{}, requests: map[string]url.Values{}, codes: map[string]url.Values{},
		refresh: map[string]bool{}, calls: map[string]int{}}
	if change != nil {
		change(p)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) })
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("GET /login", p.page)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /consent", p.allow)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /introspect", p.introspect)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	p.url = s.URL
	target := &Target{
		Issuer: s.URL, ClientID: "app", ClientSecret: "s:e/cret", RedirectURI: "http://127.0.0.1:9/callback",
		Scope: "openid offline_access",
		Users: func(n int) (string, string) { return fmt.Sprintf("user%d", n%10), "correct horse" },
	}
	if err := target.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

func (p *provider) next(prefix string) string { p.n++; return fmt.Sprint(prefix, p.n) }

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]string{
		"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token",
		"introspection_endpoint": p.url + "/introspect", "jwks_uri": p.url + "/jwks",
	})
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	if c, err := r.Cookie("session"); err == nil && p.sessions[c.Value] {
		p.answer(w, r, q)
		return
	}
	id := p.next("journey")
	p.requests[id] = q
	http.Redirect(w, r, "/login?journey="+id, http.StatusFound)
}

func (p *provider) page(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("journey")
	// A page has other forms too; none of them may be taken for the login.
	fmt.Fprint(w, `<!doctype html><form method=post action=/language><button name=locale value=ko>한국어</button></form>`)
	fmt.Fprintf(w, `<form method="post" action="/login"><input type="hidden" name="journey" value="%s">`, id)
	if !p.twoSteps || r.URL.Query().Get("name") != "" {
		fmt.Fprint(w, `<input type="password" name="geheim" autocomplete="current-password">`)
	}
	if r.URL.Query().Get("name") != "" {
		fmt.Fprintf(w, `<input type="hidden" name="wer" value="%s">`, r.URL.Query().Get("name"))
	} else {
		fmt.Fprint(w, `<input name="wer" autocomplete="username">`)
	}
	fmt.Fprint(w, `<button>Go</button></form><form method=post action=/signup><input name=email><button>Sign up</button></form>`)
}

func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Origin") != p.url || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		http.Error(w, "cross-site", http.StatusForbidden)
		return
	}
	q := p.requests[r.PostFormValue("journey")]
	switch {
	case q == nil:
		http.Error(w, "no journey", http.StatusBadRequest)
	case p.twoSteps && r.PostFormValue("geheim") == "":
		http.Redirect(w, r, "/login?journey="+r.PostFormValue("journey")+"&name="+r.PostFormValue("wer"), http.StatusSeeOther)
	case !strings.HasPrefix(r.PostFormValue("wer"), "user") || r.PostFormValue("geheim") != "correct horse":
		http.Error(w, "wrong", http.StatusUnauthorized)
	default:
		id := p.next("session")
		p.sessions[id] = true
		http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/"})
		if p.consent {
			fmt.Fprintf(w, `<form method=post action=/consent><input type=hidden name=journey value="%s">
				<input type=checkbox name=grant value=openid><input type=checkbox name=grant value=offline_access>
				<button name=act value=deny>Deny</button><button name=act value=ok>Allow access</button></form>`, r.PostFormValue("journey"))
			return
		}
		p.answer(w, r, q)
	}
}

func (p *provider) allow(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	if len(r.PostForm["grant"]) != 2 || r.PostFormValue("act") != "ok" {
		http.Error(w, "refused", http.StatusForbidden)
		return
	}
	p.answer(w, r, p.requests[r.PostFormValue("journey")])
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request, q url.Values) {
	code := p.next("code")
	p.codes[code] = q
	out := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.url}}
	switch {
	case p.formPost:
		fmt.Fprintf(w, `<form method=post action="%s">`, q.Get("redirect_uri"))
		for k := range out {
			fmt.Fprintf(w, `<input type=hidden name="%s" value="%s">`, k, out.Get(k))
		}
		fmt.Fprint(w, `<button>Continue</button></form>`)
	case p.hop:
		fmt.Fprintf(w, `<meta http-equiv="refresh" content="0; url=%s?%s">`, q.Get("redirect_uri"), strings.ReplaceAll(out.Encode(), "&", "&amp;"))
	default:
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+out.Encode(), http.StatusSeeOther)
	}
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, secret, _ := r.BasicAuth(); id != "app" || secret != url.QueryEscape("s:e/cret") {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	grant := r.PostFormValue("grant_type")
	p.calls[grant]++
	switch grant {
	case "authorization_code":
		q := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if q == nil || q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) ||
			q.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
	case "refresh_token":
		token := r.PostFormValue("refresh_token")
		n := p.calls[grant]
		if p.breakEvery > 0 && n%p.breakEvery == 0 {
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
			return
		}
		if !p.refresh[token] || p.loseEvery > 0 && n%p.loseEvery == 0 {
			delete(p.refresh, token)
			refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
		if !p.grace {
			delete(p.refresh, token)
		}
	}
	out := map[string]string{"access_token": "eyJ.access." + p.next("a"), "token_type": "Bearer"}
	if grant != "client_credentials" {
		rt := p.next("refresh")
		p.refresh[rt] = true
		out["refresh_token"], out["id_token"] = rt, "eyJ.id.sig"
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (p *provider) introspect(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, `{"active":%t}`, strings.HasPrefix(r.PostFormValue("token"), "eyJ.access."))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, code)
}
