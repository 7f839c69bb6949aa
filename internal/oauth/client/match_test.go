package client

import (
	"net/url"
	"strings"
	"testing"
)

// AZ-01, AZ-02, AZ-03: only the identical bytes pass (RFC 9700 §2.1, §4.1.3).
func TestAllowsRedirect_OnlyIdenticalBytes(t *testing.T) {
	t.Parallel()
	const registered = "https://rp.test/cb"
	for _, kind := range []Kind{Web, SPA, Native} {
		c := &Client{Kind: kind, Metadata: Metadata{RedirectURIs: []string{"https://other.test/", registered}}}
		if !c.AllowsRedirect(registered) {
			t.Fatal("the registered URI is refused")
		}
		for _, uri := range []string{
			// AZ-01
			"", "https://evil.test/cb", "https://rp.test/other", "https://rp.test/cb/", "https://rp.test/cb/../x",
			"https://rp.test/cb%2f..%2fx", "https://rp.test/CB", "HTTPS://RP.test/cb", "https://rp.test:443/cb",
			"https://rp.test/cb?a=b", "https://rp.test/cb?", "https://rp.test/cb#", "https://rp.test/cb#x", "https://rp.test/cb;x",
			"https://rp.test./cb", "https://rp.test/cb ", " https://rp.test/cb", "https://rp.test/cb\t", "https://rp.te\nst/cb",
			"https://rp.test/c\rb", `https:\\rp.test\cb`, `https://rp.test\cb`, "https://rp.test//cb", "https://rp.test/%63b",
			"http://rp.test/cb", "https:/rp.test/cb", "//rp.test/cb", "/cb", "https://rp.test/cb\x00", "https://rp.test",
			// AZ-02
			"https://rp.test@evil.test/cb", `https://evil.test\@rp.test/cb`, "https://rp.test:443@evil.test", "https://user@rp.test/cb",
			"https://rp.test%40evil.test/cb", "https://evil.test/https://rp.test/cb",
			// AZ-03
			"https://rp.test.evil.test/cb", "https://localhost.evil.test/cb", "https://xn--rp-test/cb", "https://rp。test/cb",
			"https://rp．test/cb", "https://ｒｐ.test/cb", "https://[fe80::1%25eth0]/cb", "https://2130706433/cb", "https://0177.0.0.1/cb",
			"javascript:alert(1)", "data:text/html,x", "*",
		} {
			if c.AllowsRedirect(uri) {
				t.Errorf("%s client: %q allowed", kind, uri)
			}
		}
	}
}

// AZ-05: the port, and nothing else, may differ (RFC 8252 §7.3, §8.3).
func TestAllowsRedirect_LoopbackPort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		registered, asked string
		want              bool
	}{
		{"http://127.0.0.1/cb", "http://127.0.0.1/cb", true},
		{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1:51004/cb", true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", true},
		{"http://[::1]/cb", "http://[::1]:51004/cb", true},
		{"http://localhost/cb", "http://localhost:51004/cb", true},
		{"http://127.0.0.1/cb?a=b", "http://127.0.0.1:1/cb?a=b", true},
		{"http://127.0.0.1", "http://127.0.0.1:65535", true},
		{"http://127.0.0.1?a=b", "http://127.0.0.1:9?a=b", true},

		{"http://127.0.0.1/cb", "http://localhost:51004/cb", false},
		{"http://localhost/cb", "http://127.0.0.1/cb", false},
		{"http://127.0.0.1/cb", "http://[::1]/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.2/cb", false},
		{"http://127.0.0.1/cb", "http://127.1/cb", false},
		{"http://127.0.0.1/cb", "http://0x7f000001/cb", false},
		{"http://127.0.0.1/cb", "http://2130706433:80/cb", false},
		{"http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]/cb", false},
		{"http://[::1]/cb", "http://[::ffff:127.0.0.1]/cb", false},
		{"http://[::1]/cb", "http://[::1%25lo]/cb", false},
		{"http://localhost/cb", "http://LOCALHOST:1/cb", false},
		{"http://localhost/cb", "http://localhost.:1/cb", false},
		{"http://localhost/cb", "http://localhost.evil.test/cb", false},
		{"http://localhost/cb", "http://localhost:1.evil.test/cb", false},
		{"http://localhost/cb", "http://localhostevil.test/cb", false},
		// scheme: on both sides
		{"https://127.0.0.1/cb", "http://127.0.0.1/cb", false},
		{"https://127.0.0.1/cb", "https://127.0.0.1:8443/cb", false},
		{"http://127.0.0.1/cb", "https://127.0.0.1:8080/cb", false},
		{"http://127.0.0.1/cb", "HTTP://127.0.0.1:8080/cb", false},
		// userinfo, fragment, path, query
		{"http://127.0.0.1/cb", "http://user@127.0.0.1:8080/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80@evil.test/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:@evil.test/cb", false},
		{"http://127.0.0.1", "http://127.0.0.1:80@evil.test", false},
		{"http://127.0.0.1", `http://127.0.0.1:80\@evil.test`, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb#x", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb/", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/CB", false},
		{"http://127.0.0.1/a/b", "http://127.0.0.1:80/a%2fb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/x/../cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb?x=y", false},
		{"http://127.0.0.1/cb?x=y", "http://127.0.0.1:80/cb", false},
		{"http://127.0.0.1", "http://127.0.0.1:80/", false},
		{"http://127.0.0.1/", "http://127.0.0.1:80", false},
		// ports that are none
		{"http://127.0.0.1/cb", "http://127.0.0.1:/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:080/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:99999999999999999999/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:+80/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:-1/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1: 80/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80:80/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:٨٠/cb", false},
		// not an address of this machine: no rule
		{"http://intranet.test/cb", "http://intranet.test:8080/cb", false},
		{"com.example.app:/cb", "com.example.app:/cb", true},
		{"com.example.app:/cb", "com.example.app://cb", false},
		{"", "", false},
	} {
		native := &Client{Kind: Native, Metadata: Metadata{RedirectURIs: []string{c.registered}, PostLogoutRedirectURIs: []string{c.registered}}}
		if got := native.AllowsRedirect(c.asked); got != c.want {
			t.Errorf("registered %q, asked %q: %v, want %v", c.registered, c.asked, got, c.want)
		}
		if got := native.AllowsPostLogout(c.asked); got != c.want {
			t.Errorf("after logout: registered %q, asked %q: %v, want %v", c.registered, c.asked, got, c.want)
		}
		// The rule is for native applications; every other kind gets identical bytes.
		for _, kind := range []Kind{Web, SPA, Machine} {
			other := &Client{Kind: kind, Metadata: native.Metadata}
			if other.AllowsRedirect(c.asked) != (c.registered == c.asked && c.asked != "") {
				t.Errorf("%s client: registered %q, asked %q", kind, c.registered, c.asked)
			}
		}
	}
}

// Whatever passes goes, by the standard parser too, to the registered place; only a loopback
// port may differ.
func FuzzMatchURI(f *testing.F) {
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:8080/cb")
	f.Add("http://[::1]:1/cb?x", "http://[::1]/cb?x")
	f.Add("http://localhost", "http://localhost:80@evil.test")
	f.Add("https://rp.test/cb", "https://rp.test/cb")
	f.Fuzz(func(t *testing.T, registered, asked string) {
		if !matchURI(registered, asked, true) {
			return
		}
		if registered == asked {
			return
		}
		if matchURI(registered, asked, false) {
			t.Fatalf("%q for %q without the loopback rule", asked, registered)
		}
		if uriProblem(registered, true) != "" {
			return // cannot be registered
		}
		r, err1 := url.Parse(registered)
		a, err2 := url.Parse(asked)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q for %q: unreadable", asked, registered)
		}
		if a.Scheme != "http" || a.User != nil || a.Fragment != "" || strings.Contains(asked, "#") ||
			a.Hostname() != r.Hostname() || a.EscapedPath() != r.EscapedPath() || a.RawQuery != r.RawQuery || a.ForceQuery != r.ForceQuery {
			t.Fatalf("%q passes for %q", asked, registered)
		}
	})
}

func FuzzRedirectURIRules(f *testing.F) {
	for _, s := range []string{"https://rp.test/cb", "http://localhost:1/", "com.example.app:/cb", "https://a@b/", "https://0x7f.1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if uriProblem(uri, false) != "" {
			if uriProblem(uri, true) == "" && (strings.HasPrefix(uri, "http:") || strings.HasPrefix(uri, "https:")) {
				t.Fatalf("%q: an http URI depends on the kind of client", uri)
			}
			return
		}
		u, err := url.Parse(uri)
		if err != nil || !u.IsAbs() || u.User != nil || u.Hostname() == "" || u.Fragment != "" || u.String() != uri && !strings.Contains(uri, "?") {
			t.Fatalf("%q accepted: %+v, %v", uri, u, err)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1") {
			t.Fatalf("%q accepted", uri)
		}
	})
}
