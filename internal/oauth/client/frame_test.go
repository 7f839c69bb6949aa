package client

import (
	"strings"
	"testing"
)

// Security case LO-08: what a page could not be limited to is not registered (CSP Level 3 §2.3.1, host-source).
func TestFrontchannel_NeedsAHostSource(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]bool{
		"https://a.test": true, "https://a-b.test:8443": true, "https://192.0.2.1": true, "http://localhost:3000": true, "https://xn--bcher-kva.test": true,
		"https://a_b.test": false, "https://_dmarc.a.test": false, "https://[2001:db8::1]": false, "http://[::1]:3000": false,
	} {
		m := Defaults(Web)
		m.RedirectURIs = []string{origin + "/cb"}
		m.FrontchannelLogoutURI = origin + "/out"
		p := ProblemsOf(m.Validate(Web))
		if got := len(p) == 0; got != want || !want && (len(p) != 1 || !strings.Contains(p[0].String(), "frontchannel_logout_uri")) {
			t.Errorf("%s: %v", origin, p)
		}
		m.FrontchannelLogoutURI, m.BackchannelLogoutURI = "", origin+"/out"
		if err := m.Validate(Web); err != nil { // only frames are concerned
			t.Errorf("%s: %v", origin, err)
		}
	}
}

func FuzzFrameable(f *testing.F) {
	for _, s := range []string{"https://a.test/out", "https://a_b.test", "https://[::1]:80/x", "http://a.test:x", "https://a.test; frame-src *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if uriProblem(uri, false) != "" || !frameable(uri) {
			return
		}
		source := originOf(uri)
		if _, host, ok := strings.Cut(source, "://"); !ok || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != "" {
			t.Fatalf("%q becomes %q", uri, source)
		}
	})
}
