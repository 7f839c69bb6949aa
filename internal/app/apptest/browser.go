package apptest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browser walks the pages as a browser without script does: it keeps cookies, follows redirects
// inside the provider, finds forms by what they say, and sends Origin and Sec-Fetch-Site. It
// holds the provider to two things that break only in real browsers: the CSP's form-action
// must allow every redirect that a form leads to, and HTML must have its security headers. Use
// one per goroutine.
type Browser struct {
	// Language is the Accept-Language header, UserAgent the one of that name.
	Language  string
	UserAgent string
	Page      *Page // what is on the screen

	t      testing.TB
	issuer string
	http   *http.Client
	jar    http.CookieJar
	sites  []string // origins that are walked too, not only left for
}

// Page is an answer that a browser came to rest at: a page of the provider, or the first
// address outside of it (then Status is 0).
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	Posted url.Values // what a form carried out of the provider (response_mode=form_post)

	forms []*form
	links []link
}

type form struct {
	action, method string
	inputs         []*input
}

type input struct {
	name, value, id, label, kind string // kind: text, hidden, checkbox, radio, submit, …
	checked                      bool
}

type link struct{ href, text string }

// Browser returns a browser that has visited nothing.
func (a *App) Browser(t testing.TB) *Browser {
	t.Helper()
	return NewBrowser(t, a.URL, a.Client())
}

// NewBrowser returns a browser for a provider that runs elsewhere. It also walks the given
// sites (origins of applications) instead of coming to rest at their door.
func NewBrowser(t testing.TB, issuer string, c *http.Client, sites ...string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{t: t, issuer: issuer, http: c, jar: jar, sites: sites}
}

// Use makes the browser talk to another instance from now on, as a balancer would.
func (b *Browser) Use(a *App) { b.http = a.Client() }

// Cookies returns the cookies for the provider by name.
func (b *Browser) Cookies() map[string]string {
	u, _ := url.Parse(b.issuer)
	m := map[string]string{}
	for _, c := range b.jar.Cookies(u) {
		m[c.Name] = c.Value
	}
	return m
}

// SetCookie puts a cookie for the provider into the jar; an empty value removes it.
func (b *Browser) SetCookie(name, value string) {
	u, _ := url.Parse(b.issuer)
	c := &http.Cookie{Name: name, Value: value, Path: "/"}
	if value == "" {
		c.MaxAge = -1
	}
	b.jar.SetCookies(u, []*http.Cookie{c})
}

// Tab returns a second tab: same cookies, its own page.
func (b *Browser) Tab() *Browser {
	tab := *b
	tab.Page = nil
	return &tab
}

// Open goes to an address as if typed, or, for a path, to the provider's.
func (b *Browser) Open(to string) *Page {
	b.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = b.issuer + to
	}
	return b.navigate(http.MethodGet, to, nil, nil, nil)
}

// another is the site of an application where nobody listens.
var another = &url.URL{Scheme: "https", Host: "app.example", Path: "/"}

// Arrive goes to an address of the provider by a link on another site.
func (b *Browser) Arrive(to string) *Page {
	b.t.Helper()
	return b.navigate(http.MethodGet, to, nil, another, nil)
}

// ArrivePost posts a form of another site to the provider.
func (b *Browser) ArrivePost(to string, values url.Values) *Page {
	b.t.Helper()
	return b.navigate(http.MethodPost, to, values, another, nil)
}

// Post sends values to a path of the provider as a form of its own pages would.
func (b *Browser) Post(path string, values url.Values) *Page {
	b.t.Helper()
	from, err := url.Parse(b.issuer + "/")
	if err != nil {
		b.t.Fatal(err)
	}
	return b.navigate(http.MethodPost, b.issuer+path, values, from, nil)
}

// Reload asks for the page again.
func (b *Browser) Reload() *Page {
	b.t.Helper()
	return b.navigate(http.MethodGet, b.Page.URL.String(), nil, nil, nil)
}

// Fill puts a value into the field with this name, id or label.
func (b *Browser) Fill(field, value string) *Browser {
	b.t.Helper()
	for _, f := range b.Page.forms {
		for _, in := range f.inputs {
			if in.kind == "submit" || in.kind == "hidden" || (in.name != field && in.id != field && in.label != field) {
				continue
			}
			if in.kind == "checkbox" || in.kind == "radio" {
				in.checked = value != ""
				return b
			}
			in.value = value
			return b
		}
	}
	b.t.Fatalf("no field %q\n%s", field, b.Page)
	return b
}

// Click presses a button, by its text or its name=value, or follows a link, by its text or a
// part of its address.
func (b *Browser) Click(what string) *Page {
	b.t.Helper()
	for _, f := range b.Page.forms {
		for _, in := range f.inputs {
			if in.kind == "submit" && (in.label == what || in.name != "" && in.name+"="+in.value == what) {
				return b.submit(f, in)
			}
		}
	}
	for _, l := range b.Page.links {
		if l.text == what || what != "" && strings.Contains(l.href, what) {
			return b.follow(l.href)
		}
	}
	b.t.Fatalf("nothing to click called %q\n%s", what, b.Page)
	return nil
}

// Submit sends the form that has all the named fields, filled in, by its first button.
func (b *Browser) Submit(fields url.Values) *Page {
	b.t.Helper()
	for _, f := range b.Page.forms {
		if f.has(fields) {
			for name, values := range fields {
				f.set(name, values)
			}
			return b.submit(f, f.button())
		}
	}
	b.t.Fatalf("no form with the fields %v\n%s", fields, b.Page)
	return nil
}

// Login fills in the login form.
func (b *Browser) Login(p Person) *Page {
	b.t.Helper()
	return b.Submit(url.Values{"identifier": {p.Email}, "password": {p.Password}})
}

// SignUp fills in the sign-up form.
func (b *Browser) SignUp(p Person) *Page {
	b.t.Helper()
	return b.Submit(url.Values{"name": {p.Name}, "email": {p.Email}, "password": {p.Password}})
}

func (b *Browser) follow(href string) *Page {
	b.t.Helper()
	to, err := b.Page.URL.Parse(href)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.navigate(http.MethodGet, to.String(), nil, b.Page.URL, nil)
}

func (b *Browser) submit(f *form, pressed *input) *Page {
	b.t.Helper()
	values := url.Values{}
	for _, in := range f.inputs {
		switch {
		case in.name == "" || in.kind == "submit" && in != pressed:
		case (in.kind == "checkbox" || in.kind == "radio") && !in.checked:
		default:
			values.Add(in.name, in.value)
		}
	}
	to, err := b.Page.URL.Parse(f.action)
	if err != nil {
		b.t.Fatal(err)
	}
	allowed := formAction(b.Page.Header)
	if f.method != http.MethodPost {
		to.RawQuery = values.Encode()
		return b.navigate(http.MethodGet, to.String(), nil, b.Page.URL, allowed)
	}
	return b.navigate(http.MethodPost, to.String(), values, b.Page.URL, allowed)
}

// navigate goes to an address and on through redirects until it rests. from is the page that
// sends the browser there, nil for its person.
func (b *Browser) navigate(method, to string, body url.Values, from *url.URL, allowed []string) *Page {
	b.t.Helper()
	site := "none"
	for range 20 {
		u, err := url.Parse(to)
		if err != nil {
			b.t.Fatalf("redirected to %q: %v", to, err)
		}
		if from != nil {
			site = farther(site, siteOf(from, u))
		}
		b.checkFormAction(u, allowed)
		if origin(u) != b.issuer && !slices.Contains(b.sites, origin(u)) {
			b.Page = &Page{URL: u, Posted: body}
			return b.Page
		}
		resp := b.send(method, u, body, from, site)
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		b.jar.SetCookies(u, resp.Cookies())
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			b.Page = newPage(u, resp, string(text))
			b.checkHeaders()
			return b.Page
		}
		next, err := u.Parse(location)
		if err != nil {
			b.t.Fatalf("Location %q: %v", location, err)
		}
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			method, body = http.MethodGet, nil
		}
		to = next.String()
		if from != nil {
			site = farther(site, siteOf(u, next)) // Fetch Metadata §2.1: the whole chain counts
		}
	}
	b.t.Fatalf("redirected in circles, last to %s", to)
	return nil
}

var nearness = []string{"none", "same-origin", "same-site", "cross-site"}

func farther(a, b string) string {
	return nearness[max(slices.Index(nearness, a), slices.Index(nearness, b))]
}

func siteOf(from, to *url.URL) string {
	switch {
	case origin(from) == origin(to):
		return "same-origin"
	case from.Scheme == to.Scheme && from.Hostname() == to.Hostname():
		return "same-site"
	}
	return "cross-site"
}

func (b *Browser) send(method string, u *url.URL, body url.Values, from *url.URL, site string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(b.t.Context()), method, u.String(), strings.NewReader(body.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if from != nil {
			req.Header.Set("Origin", origin(from))
		}
	}
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	if b.Language != "" {
		req.Header.Set("Accept-Language", b.Language)
	}
	if b.UserAgent != "" {
		req.Header.Set("User-Agent", b.UserAgent)
	}
	for _, c := range b.jar.Cookies(u) {
		// SameSite=Lax: a POST from another site brings no cookies.
		if site != "cross-site" || method != http.MethodPost {
			req.AddCookie(c)
		}
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, u, err)
	}
	return resp
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// formAction returns the sources of the directive, nil if there is none.
func formAction(h http.Header) []string {
	for _, d := range strings.Split(h.Get("Content-Security-Policy"), ";") {
		if f := strings.Fields(d); len(f) > 0 && f[0] == "form-action" {
			return f[1:]
		}
	}
	return nil
}

// checkFormAction does what Chromium does: it applies the directive to every hop after a form.
func (b *Browser) checkFormAction(u *url.URL, allowed []string) {
	b.t.Helper()
	if allowed == nil || b.Page != nil && origin(u) == origin(b.Page.URL) && slices.Contains(allowed, "'self'") || slices.Contains(allowed, origin(u)) ||
		slices.Contains(allowed, u.Scheme+":") {
		return
	}
	b.t.Errorf("the page's form-action %v stops a browser from going to %s", allowed, u)
}

func (b *Browser) checkHeaders() {
	b.t.Helper()
	if origin(b.Page.URL) != b.issuer || !strings.HasPrefix(b.Page.Header.Get("Content-Type"), "text/html") {
		return
	}
	for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy"} {
		if b.Page.Header.Get(h) == "" {
			b.t.Errorf("%s has no %s", b.Page.URL, h)
		}
	}
	if b.Page.Header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%s may be cached: %q", b.Page.URL, b.Page.Header.Get("Cache-Control"))
	}
	if strings.Contains(b.Page.Header.Get("Content-Security-Policy"), "unsafe-") {
		b.t.Errorf("%s has a weak CSP", b.Page.URL)
	}
}

// String shows a page in test failures.
func (p *Page) String() string {
	if p == nil {
		return "(no page)"
	}
	return fmt.Sprintf("%d %s\n%s", p.Status, p.URL, p.Text())
}

// Left reports whether the browser has left the provider.
func (p *Page) Left() bool { return p.Status == 0 }

// Query returns a parameter of the page's address, or of the form that led out.
func (p *Page) Query(name string) string {
	if p.Posted != nil {
		return p.Posted.Get(name)
	}
	if p.URL.Fragment != "" {
		v, _ := url.ParseQuery(p.URL.Fragment)
		return v.Get(name)
	}
	return p.URL.Query().Get(name)
}

// Element returns the text of the element with this id.
func (p *Page) Element(id string) string {
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return ""
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == id {
			return strings.TrimSpace(textOf(n))
		}
	}
	return ""
}

// Has reports whether the page has a field with this name or id.
func (p *Page) Has(field string) bool {
	for _, f := range p.forms {
		if slices.ContainsFunc(f.inputs, func(in *input) bool { return in.name == field || in.id == field }) {
			return true
		}
	}
	return false
}

// Value returns what stands in a field.
func (p *Page) Value(field string) string {
	for _, f := range p.forms {
		for _, in := range f.inputs {
			if in.kind != "submit" && (in.name == field || in.id == field) {
				return in.value
			}
		}
	}
	return ""
}

// Text returns what a reader sees, without markup.
func (p *Page) Text() string {
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return p.Body
	}
	return strings.Join(strings.Fields(textOf(doc)), " ")
}

func (f *form) has(fields url.Values) bool {
	for name := range fields {
		if !slices.ContainsFunc(f.inputs, func(in *input) bool { return in.name == name && in.kind != "submit" }) {
			return false
		}
	}
	return true
}

func (f *form) set(name string, values []string) {
	for _, in := range f.inputs {
		switch {
		case in.name != name || in.kind == "submit":
		case in.kind == "checkbox" || in.kind == "radio":
			in.checked = slices.Contains(values, in.value)
		case len(values) > 0:
			in.value = values[0]
		}
	}
}

func (f *form) button() *input {
	for _, in := range f.inputs {
		if in.kind == "submit" {
			return in
		}
	}
	return nil
}
