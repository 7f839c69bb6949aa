package pages_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"signet/internal/app"
	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/oauth/client"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const (
	callback  = "https://rp.test/cb"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	secret    = "lamplight quorum zebra fjord"
)

// site is the real application behind a real listener.
type site struct {
	*app.App
	t     testing.TB
	url   string
	clock *clock.Fake
}

func newSite(t testing.TB, db *store.DB, change ...func(*config.Config)) *site {
	t.Helper()
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	srv := httptest.NewUnstartedServer(nil)
	s := &site{t: t, clock: now, url: strings.Replace("http://"+srv.Listener.Addr().String(), "127.0.0.1", "localhost", 1)}
	cfg := config.Default()
	cfg.Issuer, cfg.MasterKey = s.url, seal.Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
	cfg.Passwords.MemoryKiB, cfg.Passwords.Time = 64, 1 // the cost of hashing is tested where it is at home
	for _, fn := range change {
		fn(cfg)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Log: slog.New(slog.DiscardHandler), Clock: now, DB: db, Dev: true, NewKey: apptest.Keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.App = a
	srv.Config.Handler = a.Handler()
	srv.Start()
	t.Cleanup(srv.Close)
	return s
}

func each(t *testing.T, fn func(t *testing.T, s *site)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, newSite(t, db)) })
}

func (s *site) client(firstParty bool) id.Client {
	s.t.Helper()
	meta := client.Defaults(client.Web)
	meta.RedirectURIs, meta.PostLogoutRedirectURIs = []string{callback, "https://rp.test/other"}, []string{"https://rp.test/bye"}
	meta.FirstParty, meta.ClientURI = firstParty, "https://rp.test/"
	c, _, err := s.Clients.Create(s.t.Context(), client.NewClient{Name: "Team Wiki", Kind: client.Web, Metadata: meta})
	if err != nil {
		s.t.Fatal(err)
	}
	return c.ID
}

func (s *site) user(name string) account.Account {
	s.t.Helper()
	a, err := s.Accounts.Create(s.t.Context(), account.NewAccount{
		Email: name + "@example.com", Username: name, Password: secret, Profile: account.Profile{Name: strings.ToUpper(name)}, Source: "cli",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *site) authorize(c id.Client, more ...string) string {
	q := url.Values{
		"client_id": {string(c)}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"s t&é"}, "nonce": {"n"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/oauth2/authorize?" + q.Encode()
}

// agent is a browser without script: it keeps cookies, sends forms as browsers do, and shows
// each answer.
type agent struct {
	s      *site
	client *http.Client
	lang   string
}

func (s *site) browser() *agent {
	jar, _ := cookiejar.New(nil)
	return &agent{s: s, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is an answer.
type page struct {
	*http.Response
	t    testing.TB
	path string
	body string
	doc  *html.Node
}

func (a *agent) send(method, path string, form url.Values) *page {
	a.s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, a.s.url+path, body)
	if err != nil {
		a.s.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", a.lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", a.s.url)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		a.s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.s.t.Fatal(err)
	}
	doc, _ := html.Parse(strings.NewReader(string(b)))
	return &page{Response: resp, t: a.s.t, path: r.URL.Path, body: string(b), doc: doc}
}

// get opens a path and follows our own redirects to where they come to rest: a page of ours, or
// the address of somebody else.
func (a *agent) get(path string) *page { return a.follow(a.send(http.MethodGet, path, nil)) }

func (a *agent) follow(p *page) *page {
	a.s.t.Helper()
	for range 10 {
		to := strings.TrimPrefix(p.Header.Get("Location"), a.s.url)
		if p.StatusCode/100 != 3 || !strings.HasPrefix(to, "/") {
			return p
		}
		if p.StatusCode != http.StatusSeeOther {
			a.s.t.Errorf("%s answers %d, not 303", p.path, p.StatusCode)
		}
		p = a.send(http.MethodGet, to, nil)
	}
	a.s.t.Fatalf("a loop of redirects at %s", p.path)
	return nil
}

// submit sends the page's form whose action ends in suffix, with its hidden fields and these.
func (a *agent) submit(p *page, suffix string, fields ...string) *page {
	a.s.t.Helper()
	action, form := p.form(suffix)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return a.follow(a.send(http.MethodPost, action, form))
}

func attr(n *html.Node, name string) string {
	for _, at := range n.Attr {
		if at.Key == name {
			return at.Val
		}
	}
	return ""
}

func (p *page) form(suffix string) (string, url.Values) {
	p.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Data != "form" || !strings.HasSuffix(attr(n, "action"), suffix) {
			continue
		}
		form := url.Values{}
		for in := range n.Descendants() {
			if in.Data == "input" {
				form.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		return attr(n, "action"), form
	}
	p.t.Fatalf("%s (%d) has no form %s:\n%s", p.path, p.StatusCode, suffix, p.body)
	return "", nil
}

func (p *page) find(tag, name, value string) *html.Node {
	for n := range p.doc.Descendants() {
		if n.Data == tag && attr(n, name) == value {
			return n
		}
	}
	return nil
}

func (p *page) heading() string {
	for n := range p.doc.Descendants() {
		if n.Data == "h1" && n.FirstChild != nil {
			return n.FirstChild.Data
		}
	}
	return ""
}

// at asserts where the browser has come to rest.
func (p *page) at(status int, suffix string) *page {
	p.t.Helper()
	if p.StatusCode != status || !strings.HasSuffix(p.path, suffix) {
		p.t.Fatalf("at %s with %d (%s %s), want %s with %d", p.path, p.StatusCode, p.heading(), p.Header.Get("Location"), suffix, status)
	}
	return p
}

// answer asserts that the browser was sent to the application and returns what it was told.
func (p *page) answer() url.Values {
	p.t.Helper()
	u, err := url.Parse(p.Header.Get("Location"))
	if err != nil || p.StatusCode != http.StatusSeeOther || u.Scheme+"://"+u.Host+u.Path != callback {
		p.t.Fatalf("%s answers %d to %q, not the application:\n%s", p.path, p.StatusCode, p.Header.Get("Location"), p.body)
	}
	return u.Query()
}

func (a *agent) login(p *page, name string) *page {
	a.s.t.Helper()
	return a.submit(p, "/login", "identifier", name, "password", secret)
}

// signedIn is a browser in which name has signed in.
func (s *site) signedIn(name string) *agent {
	s.t.Helper()
	a := s.browser()
	a.login(a.get("/login"), name).at(200, "/account")
	return a
}

func (a *agent) cookies() []*http.Cookie {
	u, _ := url.Parse(a.s.url)
	return a.client.Jar.Cookies(u)
}

func (a *agent) cookie(name string) string {
	i := slices.IndexFunc(a.cookies(), func(c *http.Cookie) bool { return c.Name == name })
	if i < 0 {
		return ""
	}
	return a.cookies()[i].Value
}
