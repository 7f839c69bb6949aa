package load

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

const (
	maxHops  = 20 // redirects in a row
	maxPages = 8  // pages with forms between authorize and code
)

// browser is what a person's browser is to the provider: cookies, redirects, forms, and the
// headers that tell the provider where a request comes from (Fetch Metadata).
type browser struct {
	t      *Target
	client *http.Client
	source string // X-Forwarded-For, or empty
}

func (t *Target) newBrowser() *browser {
	jar, _ := cookiejar.New(nil) // fails only with options that are not used
	c := *t.plain
	c.Jar = jar
	b := &browser{t: t, client: &c}
	if t.ForwardedFor {
		n, _ := rand.Int(rand.Reader, big.NewInt(1<<22))
		// 100.64.0.0/10, shared address space: belongs to nobody in particular.
		b.source = fmt.Sprintf("100.%d.%d.%d", 64+n.Int64()>>16, n.Int64()>>8&0xff, n.Int64()&0xff)
	}
	return b
}

type codeGrant struct{ code, verifier string }

// authorize begins a sign-in at the authorization endpoint and returns when the provider
// sends the browser back with a code. With user = -1 every page on the way is a failure:
// the browser is expected to be signed in.
func (b *browser) authorize(ctx context.Context, user int) (codeGrant, error) {
	verifier, state, nonce := random(), random(), random()
	challenge := sha256.Sum256([]byte(verifier))
	scope := b.t.Scope
	if scope == "" {
		scope = "openid"
	}
	q := url.Values{
		"response_type": {"code"}, "client_id": {b.t.ClientID}, "redirect_uri": {b.t.RedirectURI},
		"scope": {scope}, "state": {state}, "nonce": {nonce},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}
	for k, v := range b.t.Extra {
		q[k] = v
	}
	sep := "?"
	if strings.Contains(b.t.Meta.Authorization, "?") {
		sep = "&"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.t.Meta.Authorization+sep+q.Encode(), nil)
	if err != nil {
		return codeGrant{}, err
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	answer, err := b.walk(ctx, req, user)
	if err != nil {
		return codeGrant{}, err
	}
	if got := answer.Get("state"); got != state {
		return codeGrant{}, failure("bad answer", "state %q came back as %q", state, got)
	}
	if e := answer.Get("error"); e != "" {
		return codeGrant{}, failure("authorize "+e, "%s", answer.Get("error_description"))
	}
	// RFC 9207 §2.4: where the provider names itself, it must be the right one.
	if iss := answer.Get("iss"); iss != "" && iss != b.t.Issuer {
		return codeGrant{}, failure("bad answer", "iss %q in the authorization response", iss)
	}
	if answer.Get("code") == "" {
		return codeGrant{}, failure("bad answer", "authorization response without code")
	}
	return codeGrant{answer.Get("code"), verifier}, nil
}

// walk goes from page to page until the provider sends the browser to the redirect URI.
func (b *browser) walk(ctx context.Context, req *http.Request, user int) (url.Values, error) {
	for range maxPages {
		page, answer, err := b.follow(ctx, req)
		if err != nil || answer != nil {
			return answer, err
		}
		forms, next, err := parsePage(page.url, page.body)
		if err != nil {
			return nil, failure("bad page", "%s: %w", page.url, err)
		}
		if next != nil && b.isRedirectURI(next) {
			return next.Query(), nil
		}
		// OAuth 2.0 Form Post Response Mode §2: the answer is a page that posts itself.
		for _, f := range forms {
			if b.isRedirectURI(f.action) {
				return f.values(), nil
			}
		}
		if next != nil && len(forms) == 0 {
			if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
				return nil, err
			}
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			continue
		}
		if user < 0 {
			return nil, failure("not signed in", "the browser was shown %s", page.url)
		}
		name, password := b.t.Users(user)
		form := choose(forms)
		if form == nil {
			return nil, failure("bad page", "no form to go on with on %s", page.url)
		}
		if req, err = b.submit(ctx, page.url, form, form.fill(name, password)); err != nil {
			return nil, err
		}
	}
	return nil, failure("bad page", "no end after %d pages", maxPages)
}

type page struct {
	url  *url.URL
	body []byte
}

// follow sends the request and follows redirects to a page, or to the redirect URI, whose
// parameters it returns without going there.
func (b *browser) follow(ctx context.Context, req *http.Request) (page, url.Values, error) {
	site := req.Header.Get("Sec-Fetch-Site")
	for range maxHops {
		req.Header.Set("Sec-Fetch-Site", site)
		req.Header.Set("Sec-Fetch-Mode", "navigate")
		req.Header.Set("Sec-Fetch-Dest", "document")
		req.Header.Set("Sec-Fetch-User", "?1")
		req.Header.Set("Accept", "text/html,application/xhtml+xml")
		req.Header.Set("Accept-Language", "en")
		req.Header.Set("User-Agent", "Mozilla/5.0 (compatible; signet-bench)")
		if b.source != "" {
			req.Header.Set("X-Forwarded-For", b.source)
		}
		resp, err := b.client.Do(req)
		if err != nil {
			return page{}, nil, &Failure{Kind: "network", Err: err}
		}
		body, err := readBody(resp)
		if err != nil {
			return page{}, nil, err
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := resp.Location()
			if err != nil {
				return page{}, nil, failure("bad answer", "redirect without location: %w", err)
			}
			if b.isRedirectURI(next) {
				if next.RawQuery == "" && next.Fragment != "" {
					next.RawQuery = next.EscapedFragment()
				}
				return page{}, next.Query(), nil
			}
			if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
				return page{}, nil, err
			}
		case http.StatusOK:
			return page{req.URL, body}, nil, nil
		default:
			return page{}, nil, failure(fmt.Sprintf("page http %d", resp.StatusCode), "%s: %.200s", req.URL.Path, body)
		}
	}
	return page{}, nil, failure("bad answer", "more than %d redirects", maxHops)
}

func (b *browser) isRedirectURI(u *url.URL) bool {
	base := *u
	base.RawQuery, base.Fragment, base.RawFragment = "", "", ""
	want, _, _ := strings.Cut(b.t.RedirectURI, "?")
	return base.String() == want
}

// submit builds the request of a form, with the headers a browser adds to it.
func (b *browser) submit(ctx context.Context, from *url.URL, f *form, values url.Values) (*http.Request, error) {
	if f.method != http.MethodPost {
		u := *f.action
		u.RawQuery = values.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err == nil {
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		return req, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.action.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	origin := from.Scheme + "://" + from.Host
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	req.Header.Set("Referer", from.String())
	site := "same-origin"
	if origin != f.action.Scheme+"://"+f.action.Host {
		site = "cross-site"
	}
	req.Header.Set("Sec-Fetch-Site", site)
	return req, nil
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
