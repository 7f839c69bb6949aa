package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"signet/internal/oauth/client"
)

// FuzzParseAuthorize: whatever comes, the answer is a sound request or an error of the vocabulary,
// and nothing is ever sent to an address that is not registered.
func FuzzParseAuthorize(f *testing.F) {
	r := sqliteRig(f)
	c := r.newClient(client.Web, nil)
	f.Add(ask(c).Encode())
	f.Add(ask(c, "max_age", "0", "prompt", "none", "resource", testAPI, "response_mode", "form_post").Encode())
	f.Add(ask(c, "redirect_uri", "https://rp.test@evil.test/cb").Encode())
	f.Add("client_id=" + string(c) + "&client_id=x&state=%00&scope=%ff")
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		req, err := r.ParseAuthorize(t.Context(), form)
		if err != nil {
			e := AsError(err)
			if !slices.Contains(Codes, e.Code) || e.Status < 400 || e.Status > 499 {
				t.Fatalf("%v (%d)", err, e.Status)
			}
			if e.Redirect != nil && e.Redirect.RedirectURI != testRedirect && e.Redirect.RedirectURI != testRedirect+"/2" {
				t.Fatalf("redirect to %q", e.Redirect.RedirectURI)
			}
			return
		}
		if req.ClientID != c || !strings.HasPrefix(req.RedirectURI, testRedirect) || !challenge(req.CodeChallenge) || len(req.Scopes) == 0 ||
			req.MaxAge != nil && *req.MaxAge < 0 || len(req.State) > maxState {
			t.Fatalf("%+v", req)
		}
	})
}

func FuzzParseBasic(f *testing.F) {
	f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte("a%3Ab:c+d")))
	f.Add("basic  QTpC")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		u, p, ok := parseBasic(header)
		if !ok {
			return
		}
		if u == "" || p == "" || !utf8.ValidString(u+p) || strings.ContainsRune(u+p, 0) {
			t.Fatalf("%q gave %q %q", header, u, p)
		}
		again := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(u)+":"+url.QueryEscape(p)))
		if len(again) > maxAuthHeader {
			return
		}
		if u2, p2, ok := parseBasic(again); !ok || u2 != u || p2 != p {
			t.Fatalf("%q %q came back as %q %q (%v)", u, p, u2, p2, ok)
		}
	})
}

func FuzzAssertion(f *testing.F) {
	r := sqliteRig(f)
	k := newClientKey(f)
	c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(f) })
	good := k.assertion(f, r.assertionClaims(c, nil), nil)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(strings.Replace(good, ".", ".e30.", 1))
	f.Fuzz(func(t *testing.T, assertion string) {
		call := post(http.Header{}, values("client_assertion_type", assertionType, "client_assertion", assertion))
		cl, err := r.authenticate(t.Context(), &call)
		if err != nil {
			wantCode(t, err, InvalidClient)
			return
		}
		if cl.ID != c || strings.SplitN(assertion, ".", 3)[1] != strings.SplitN(good, ".", 3)[1] {
			t.Fatalf("accepted %q", assertion)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"openid profile", " a  b ", "a\tb", `a"b`, strings.Repeat("a ", 100), "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, ok := parseScope(text)
		if !ok {
			return
		}
		if len(scopes) > maxScopes {
			t.Fatal(len(scopes))
		}
		for i, s := range scopes {
			if !scopeToken(s) || slices.Contains(scopes[:i], s) || !strings.Contains(text, s) {
				t.Fatalf("%q from %q", s, text)
			}
		}
		if again, ok := parseScope(strings.Join(scopes, " ")); !ok || !slices.Equal(again, scopes) {
			t.Fatalf("%q is not stable", scopes)
		}
	})
}

func FuzzParseResource(f *testing.F) {
	for _, s := range []string{"https://api.test", "api", "https://api.test#f", "urn:x:y", "https://%zz", "//x"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		list, ok := parseResources([]string{a, b})
		for _, r := range list {
			u, err := url.Parse(r)
			if !ok || err != nil || !u.IsAbs() || strings.Contains(r, "#") {
				t.Fatalf("%q accepted", r)
			}
		}
	})
}

func FuzzParseMaxAge(f *testing.F) {
	for _, s := range []string{"0", "10000", "-1", "1e30", "NaN", "", "99999999999", "+1", " 1", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseSeconds(s)
		if ok && (n < 0 || n > maxMaxAge || strings.Trim(s, "0123456789") != "") {
			t.Fatalf("%q gave %d", s, n)
		}
	})
}

func FuzzParseLogout(f *testing.F) {
	r := sqliteRig(f)
	c := r.newClient(client.Web, nil)
	hint := r.tokens(c).IDToken
	f.Add(values("id_token_hint", hint, "post_logout_redirect_uri", "https://rp.test/bye", "state", "s").Encode())
	f.Add("client_id=x&post_logout_redirect_uri=javascript:alert(1)")
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		l, err := r.ParseLogout(t.Context(), form)
		if err != nil {
			if e := AsError(err); e.Code != InvalidRequest || e.Redirect != nil {
				t.Fatal(err)
			}
			return
		}
		if l.RedirectURI != "" && (l.RedirectURI != "https://rp.test/bye" || !l.Trusted) {
			t.Fatalf("goes to %q", l.RedirectURI)
		}
	})
}
