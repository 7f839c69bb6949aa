package pages

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"signet/internal/platform/errs"
	"signet/internal/server"
	"signet/web"
)

func renderSample(t testing.TB, p *Pages, s sample) (*httptest.ResponseRecorder, *html.Node) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.render(w, s.status, s.page, s.view); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	doc, err := html.Parse(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return w, doc
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func elements(doc *html.Node, names ...string) []*html.Node {
	var out []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (len(names) == 0 || slices.Contains(names, n.Data)) {
			out = append(out, n)
		}
	}
	return out
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// Every page in every state and language holds to the same rules.
func TestPages_EveryPageInEveryLanguage(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	seen := map[string]bool{}
	for _, tag := range tagNames() {
		titles := map[string]string{}
		for _, s := range samples(t, p, tag) {
			seen[s.page] = true
			w, doc := renderSample(t, p, s)
			t.Run(tag+"/"+s.name, func(t *testing.T) {
				checkDocument(t, doc, tag)
				checkControls(t, doc)
				checkKeys(t, p, doc)
				if body := w.Body.String(); strings.Contains(body, "secret-never-shown") || strings.Contains(body, "<script>") {
					t.Error("a password or unescaped text is in the page")
				}
			})
			title := text(elements(doc, "title")[0])
			if s.view.Problems != nil && !strings.HasPrefix(title, p.texts.byTag[tag].T("page.error_prefix")) {
				t.Errorf("%s: title %q does not say that there is an error", s.name, title)
			}
			base := strings.Split(s.name, "-")[0]
			if other, taken := titles[title]; taken && other != base {
				t.Errorf("%s and %s share the title %q", s.name, other, title)
			}
			titles[title] = base
		}
	}
	for page := range frames() {
		if !seen[page] {
			t.Errorf("page %s has no sample", page)
		}
	}
	files, err := fs.Glob(web.Files, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(frames())+2 {
		t.Errorf("%d template files for %d pages", len(files), len(frames()))
	}
}

func checkDocument(t *testing.T, doc *html.Node, tag string) {
	t.Helper()
	if lang, _ := attr(elements(doc, "html")[0], "lang"); lang != tag {
		t.Errorf("lang is %q", lang)
	}
	for name, want := range map[string]int{"h1": 1, "main": 1, "header": 1, "footer": 1, "title": 1} {
		if n := len(elements(doc, name)); n != want {
			t.Errorf("%d %s elements", n, name)
		}
	}
	ids := map[string]bool{}
	for _, n := range elements(doc) {
		if id, ok := attr(n, "id"); ok {
			if ids[id] {
				t.Errorf("id %q occurs twice", id)
			}
			ids[id] = true
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key != "value" && strings.HasPrefix(strings.TrimSpace(a.Val), "javascript:") {
				t.Errorf("inline %s on %s", a.Key, n.Data)
			}
			if strings.Contains(a.Val, "ZgotmplZ") {
				t.Errorf("%s of %s was refused by the template", a.Key, n.Data)
			}
			if (a.Key == "src" || a.Key == "srcset") && !strings.HasPrefix(a.Val, "/static/") && !strings.HasPrefix(a.Val, clientLogoPath+"?") {
				t.Errorf("foreign resource %s", a.Val)
			}
		}
	}
	for _, n := range elements(doc, "style") {
		t.Errorf("inline style: %s", text(n))
	}
	for _, n := range elements(doc, "script") {
		if text(n) != "" {
			t.Error("inline script")
		}
	}
	for _, n := range elements(doc) {
		refs, _ := attr(n, "aria-describedby")
		more, _ := attr(n, "form")
		for _, ref := range strings.Fields(refs + " " + more) {
			if !ids[ref] {
				t.Errorf("%s refers to %q, which is not there", n.Data, ref)
			}
		}
		if href, _ := attr(n, "href"); strings.HasPrefix(href, "#") && !ids[href[1:]] {
			t.Errorf("link to %s, which is not there", href)
		}
	}
	if len(slices.DeleteFunc(elements(doc), func(n *html.Node) bool { _, ok := attr(n, "autofocus"); return !ok })) > 1 {
		t.Error("more than one autofocus")
	}
}

var tokens = []string{
	"username", "username webauthn", "current-password", "new-password", "email", "name", "given-name", "family-name", "additional-name", "nickname",
	"bday", "sex", "language", "url", "photo", "tel", "street-address", "address-level2", "address-level1", "postal-code", "country-name", "one-time-code",
}

func checkControls(t *testing.T, doc *html.Node) {
	t.Helper()
	labels := map[string]bool{}
	for _, n := range elements(doc, "label") {
		id, _ := attr(n, "for")
		labels[id] = text(n) != ""
	}
	for _, n := range elements(doc, "input") {
		kind, _ := attr(n, "type")
		name, _ := attr(n, "name")
		_, hidden := attr(n, "hidden")
		if kind == "hidden" || hidden {
			continue
		}
		if id, _ := attr(n, "id"); !labels[id] {
			t.Errorf("field %s has no label", name)
		}
		if token, ok := attr(n, "autocomplete"); ok && !slices.Contains(tokens, token) {
			t.Errorf("field %s: autocomplete %q", name, token)
		}
		if value, _ := attr(n, "value"); kind == "password" && value != "" {
			t.Errorf("password field %s has a value", name)
		}
		if _, cut := attr(n, "maxlength"); cut {
			t.Errorf("field %s cuts what is typed", name)
		}
	}
	for _, n := range elements(doc, "form") {
		if method, _ := attr(n, "method"); method != "post" {
			t.Errorf("a form with method %q", method)
		}
	}
	for _, n := range elements(doc, "button", "a") {
		if text(n) == "" {
			t.Errorf("a %s without a name", n.Data)
		}
	}
	for _, n := range elements(doc, "button") {
		if kind, _ := attr(n, "type"); kind != "submit" {
			t.Errorf("button %q needs script", text(n))
		}
	}
}

// checkKeys finds message keys that were shown instead of their sentence.
func checkKeys(t *testing.T, p *Pages, doc *html.Node) {
	t.Helper()
	key := regexp.MustCompile(`^[a-z_]+\.[a-z_.]+$`)
	for n := range doc.Descendants() {
		s := strings.TrimSpace(n.Data)
		if n.Type == html.TextNode && key.MatchString(s) && (p.texts.fallback.has(s) || strings.HasPrefix(s, "field.")) {
			t.Errorf("the key %s is on the page", s)
		}
	}
}

// A person's words never become markup or leave their attribute (security cases AZ-10, IJ-01).
func TestPages_HostileTextStaysText(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	hostile := []string{`"><script>alert(1)</script>`, `' onfocus=alert(1) x='`, `</title><img src=x onerror=alert(1)>`, `javascript:alert(1)`, "\u202e\x1b[31m"}
	for _, bad := range hostile {
		v := testVisit(p.texts.fallback)
		v.client.Name, v.client.Metadata.ClientURI = bad, bad
		v.owed.Account.Profile.Name = bad
		r := httptest.NewRequest(http.MethodGet, "/signin/x/login", nil)
		page := p.loginView(r, v).keep(url.Values{"identifier": {bad}})
		w := httptest.NewRecorder()
		if err := p.showLogin(w, r, v, 200, page); err != nil {
			t.Fatal(err)
		}
		doc, err := html.Parse(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, doc, "en")
		if n := len(elements(doc, "script")); n != 1 {
			t.Errorf("%q: %d scripts", bad, n)
		}
		if len(elements(doc, "img")) > 0 {
			t.Errorf("%q became an element", bad)
		}
		if safeLink(bad) {
			t.Errorf("%q became a link", bad)
		}
	}
}

func TestPolicy_FormTargets(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://rp.example.com/cb?x=1":        "https://rp.example.com",
		"https://rp.example.com:8443/cb":       "https://rp.example.com:8443",
		"http://127.0.0.1:40123/cb":            "http://127.0.0.1:40123",
		"http://[::1]:40123/cb":                "http:",
		"com.example.app:/cb":                  "com.example.app:",
		"https://evil.example;script-src *//x": "",
		"https://a.example 'unsafe-inline'/":   "",
		"":                                     "",
		"/relative":                            "",
		"https://user@rp.example.com/cb":       "https://rp.example.com",
		"https://xn--bcher-kva.example/cb":     "https://xn--bcher-kva.example",
		"https://b\u00fccher.example/cb":       "https:",
	} {
		got := strings.Join(formTargets(address), " ")
		if got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
		if csp := policy(formTargets(address)); strings.Count(csp, ";") != 8 || strings.Contains(csp, "unsafe") {
			t.Errorf("%q: the policy became %s", address, csp)
		}
	}
	if got := formTargets("https://a.example/1", "https://a.example/2", "https://b.example"); len(got) != 2 {
		t.Errorf("not once each: %v", got)
	}
}

// The login page weighs at most 20 kB compressed in three requests.
func TestLogin_Weight(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	for _, tag := range tagNames() {
		for _, s := range samples(t, p, tag)[:1] {
			w, doc := renderSample(t, p, s)
			total, requests := packed(t, w.Body.Bytes()), 1
			for _, n := range elements(doc, "link", "script") {
				ref, ok := attr(n, "href")
				if !ok {
					ref, _ = attr(n, "src")
				}
				if strings.HasPrefix(ref, "data:") {
					continue
				}
				requests++
				total += len(p.files.files[strings.TrimPrefix(ref, "/static/")].gzip)
			}
			if total > 20_000 || requests > 3 {
				t.Errorf("%s: %d bytes in %d requests", tag, total, requests)
			}
			t.Logf("%s: %d bytes in %d requests", tag, total, requests)
		}
	}
	if n := len(p.files.files[strings.TrimPrefix(p.files.js, "/static/")].gzip); n > 6000 {
		t.Errorf("the scripts have %d bytes compressed", n)
	}
}

func packed(t *testing.T, b []byte) int {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return out.Len()
}

func TestStatic_HashedAndImmutable(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	for _, path := range []string{p.files.css, p.files.js} {
		for _, c := range []struct{ accept, coding string }{
			{"gzip, br", "gzip"}, {"", ""}, {"br", ""}, {"gzip;q=0", ""}, {"GZIP; q=0.5", "gzip"}, {"gzip;q=1.0", "gzip"}, {"xgzip", ""},
		} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.SetPathValue("file", strings.TrimPrefix(path, "/static/"))
			r.Header.Set("Accept-Encoding", c.accept)
			if err := p.files.serve(w, r); err != nil {
				t.Fatal(err)
			}
			h := w.Header()
			if h.Get("Content-Encoding") != c.coding || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s %q: %v", path, c.accept, h)
			}
		}
	}
	for _, name := range []string{"signet.css", "../locales/en/core.json", "", "signet.000000000000.css"} {
		r := httptest.NewRequest(http.MethodGet, "/static/x", nil)
		r.SetPathValue("file", name)
		if err := p.files.serve(httptest.NewRecorder(), r); !errs.Is(err, errs.NotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	list := []string{"https://a.example/cb", "https://b.example/callback", "http://localhost:3000/cb"}
	for asked, want := range map[string]string{
		"https://b.example/calback": list[1], "http://localhost:3001/cb": list[2], "https://a.example/cb/": list[0],
		strings.Repeat("x", 100_000): list[0],
	} {
		if got := closest(asked, list); got != want && len(asked) < 1000 {
			t.Errorf("%q: %q, want %q", asked, got, want)
		}
	}
	if closest("x", nil) != "" {
		t.Error("something out of nothing")
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	en := testPages(t).texts.byTag["en"]
	for ua, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0": "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                    "Firefox on Linux",
		"Mozilla/5.0 (Linux; Android 14; SM-S911N) AppleWebKit/537.36 SamsungBrowser/25.0 Chrome/121.0 Mobile Safari/537.36":        "Samsung Internet on Android",
		"Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Safari/604.1":                              "Safari on iPad",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36":                                "Chrome on macOS",
		"curl/8.5.0": "Unknown browser", "": "Unknown browser", "something on Windows": "Windows",
	} {
		if got := deviceText(en, ua); got != want {
			t.Errorf("%q: %q, want %q", ua, got, want)
		}
	}
}

// Security case LG-16: a target from input is a path of this server or nothing.
func TestLocalPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/account": "/account", "/signin/0197/login": "/signin/0197/login", "/oauth2/authorize?client_id=a&x=%2F": "/oauth2/authorize?client_id=a&x=%2F",
		"//evil.example": "/", `/\evil.example`: "/", "/%2f/evil": "/", "/%5cevil": "/", "https:evil": "/", "javascript:alert(1)": "/",
		"\t//evil": "/", "/\t/evil": "/", "https://id.example.com@evil": "/", "data:text/html,x": "/", "": "/", "account": "/",
		"/a/../b": "/", "/a//b": "/", "/./": "/", "/a\r\nSet-Cookie: x": "/", "/a#b": "/", "/ü": "/", "/;evil": "/", "/a b": "/",
		"/" + strings.Repeat("a", 9000): "/",
	} {
		if got := localPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/account", "//evil", `/\evil`, "/%2f/evil", "/a?b=//c", "https://x", "/\t/x", "/a#b"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "id.example.com", Path: "/locale"}
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s)
		ref, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q gives %q: %v", s, got, err)
		}
		if to := base.ResolveReference(ref); to.Host != base.Host || to.Scheme != base.Scheme || to.User != nil {
			t.Fatalf("%q leads to %s", s, to)
		}
		if strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t ") || !strings.HasPrefix(got, "/") {
			t.Fatalf("%q gives %q", s, got)
		}
		if again := localPath(got); again != got {
			t.Fatalf("%q gives %q, then %q", s, got, again)
		}
	})
}

// The parsers of cookies and language wishes never panic and never leave what we speak.
func FuzzLanguage(f *testing.F) {
	p, err := build(Deps{Issuer: "https://id.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ko.0197", "ko-KR,en;q=0.5", "fr ko")
	f.Add("", ";;;", "\x00")
	f.Fuzz(func(t *testing.T, cookie, accept, asked string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Cookie"] = []string{cookieLocale + "=" + cookie}
		r.Header["Accept-Language"] = []string{accept}
		v := testVisit(p.texts.fallback)
		v.j.Request.UILocales = strings.Fields(asked)
		if loc := p.texts.of(r, v.j); loc == nil || !slices.Contains(tagNames(), loc.tag) {
			t.Fatalf("%+v", loc)
		}
		journeyIn(asked)
		deviceText(p.texts.fallback, accept)
	})
}

func TestFieldErrors_FindsAllInATree(t *testing.T) {
	t.Parallel()
	tree := errs.Wrap("outer", errJoin(errs.Field("email", "email_invalid"), errs.Wrap("inner", errs.Field("password", "password_common")),
		errs.New(errs.Conflict, "", errs.Field("username", "username_taken")), nil, errs.New(errs.Internal, "", nil)))
	var got []string
	for _, e := range fieldErrors(tree) {
		got = append(got, e.Field)
	}
	if b, _ := json.Marshal(got); string(b) != `["email","password","username"]` {
		t.Errorf("%s", b)
	}
	if fieldErrors(nil) != nil {
		t.Error("problems out of nothing")
	}
}

func errJoin(list ...error) error { return errors.Join(list...) }

// What a failed check of a password says, and when to come back.
func TestAttempt_StatusAndRetryAfter(t *testing.T) {
	t.Parallel()
	loc := testPages(t).texts.byTag["en"]
	for _, c := range []struct {
		err         error
		status      int
		retry, says string
	}{
		{errs.New(errs.Unauthenticated, "", nil), 401, "", "not correct"},
		{errs.Retry(errs.Limited, "", 90*time.Second), 429, "90", "in 2 minutes"},
		{errs.Wrap("login", errs.Retry(errs.Busy, "", 1500*time.Millisecond)), 503, "2", "in 2 seconds"},
		{errs.New(errs.Unavailable, "", nil), 0, "", ""},
		{errs.New(errs.Internal, "", nil), 0, "", ""},
	} {
		w := httptest.NewRecorder()
		status, text, ok := attempt(w, loc, c.err)
		if status != c.status || ok != (c.status != 0) || w.Header().Get("Retry-After") != c.retry || !strings.Contains(text, c.says) {
			t.Errorf("%v: %d %q, Retry-After %q", c.err, status, text, w.Header().Get("Retry-After"))
		}
	}
}

// The error page stands alone: it is what people see when everything else is down.
func TestFail_EveryKindHasAPage(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	for kind := errs.Internal; kind <= errs.Unavailable; kind++ {
		for _, tag := range tagNames() {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/account", nil)
			r.Header.Set("Accept-Language", tag)
			p.Fail(w, r, &errs.Error{Kind: kind, RetryAfter: time.Minute, Cause: errors.New("pq: table account_secret")})
			body := w.Body.String()
			if w.Code < 400 || strings.Contains(body, "account_secret") || !strings.Contains(body, p.texts.byTag[tag].T(kindKeys[kind]+".title")) {
				t.Errorf("%s %s: %d", kind, tag, w.Code)
			}
		}
	}
}

// Whoever opens the wrong name of this machine is shown the right one, and only that one.
func TestFail_WrongHostNamesTheRightOne(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	for _, tag := range tagNames() {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://evil.test/login", nil)
		r.Header.Set("Accept-Language", tag)
		p.Fail(w, r, &server.Refusal{Status: http.StatusMisdirectedRequest, Text: "no"})
		body := w.Body.String()
		if w.Code != http.StatusMisdirectedRequest || !strings.Contains(body, `href="`+p.d.Issuer+`/"`) || strings.Contains(body, "evil.test") ||
			!strings.Contains(body, p.texts.byTag[tag].T("error.host.title")) {
			t.Errorf("%s: %d %s", tag, w.Code, body)
		}
	}
}
