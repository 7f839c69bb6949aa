package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/fetch"
)

// TestPush_Answer is RFC 9126 §2.2 and §2.3: 201, never cached, an address that means something to nobody
// else; every refusal at once, as JSON.
func TestPush_Answer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Web)
	resp := r.do("POST", pathPush, ask(c), auth(string(c), secret))
	m := bodyOf(t, resp)
	uri, _ := m["request_uri"].(string)
	life, _ := m["expires_in"].(float64)
	if resp.StatusCode != 201 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" ||
		!strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || len(uri) < 60 || life < 60 || life > 600 || len(m) != 2 {
		t.Fatalf("%d %v %v", resp.StatusCode, resp.Header, m)
	}
	open := url.Values{"client_id": {string(c)}, "request_uri": {uri}}
	resp = r.do("GET", pathAuthorize+"?"+open.Encode(), nil, nil)
	u := must(url.Parse(resp.Header.Get("Location")))
	if u.Query().Get("code") == "" || u.Query().Get("state") != "st" {
		t.Fatalf("%d %v", resp.StatusCode, u)
	}
	// Used: our own page, no redirect.
	resp = r.do("GET", pathAuthorize+"?"+open.Encode(), nil, nil)
	if resp.StatusCode != 400 || resp.Header.Get("Location") != "" || r.pages.refused.Code != oauth.InvalidRequestURI {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	for name, tc := range map[string]struct {
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		"no authentication": {ask(c), nil, 401, oauth.InvalidClient},
		"wrong secret":      {ask(c), auth(string(c), "sgn_cs_wrong"), 401, oauth.InvalidClient},
		"request_uri":       {open, auth(string(c), secret), 400, oauth.InvalidRequest},
		"no response type":  {url.Values{"redirect_uri": {redirect}}, auth(string(c), secret), 400, oauth.InvalidRequest},
		"broken object":     {url.Values{"request": {"a.b.c"}}, auth(string(c), secret), 400, oauth.InvalidRequestObject},
		"huge":              {url.Values{"request": {strings.Repeat("a", 40<<10)}}, auth(string(c), secret), 413, oauth.InvalidRequest},
		"JSON": {ask(c), func(req *http.Request) {
			req.SetBasicAuth(string(c), secret)
			req.Header.Set("Content-Type", "application/json")
		}, 415, oauth.InvalidRequest},
	} {
		resp := r.do("POST", pathPush, tc.form, tc.edit)
		if m := bodyOf(t, resp); resp.StatusCode != tc.status || m["error"] != tc.code || resp.Header.Get("Location") != "" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, m)
		}
	}
	if resp := r.do("POST", pathPush+"?state=x", ask(c), auth(string(c), secret)); resp.StatusCode != 400 {
		t.Errorf("parameters in the address: %d", resp.StatusCode)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} { // fapi2 par-attempt-invalid-http-method
		if resp := r.do(method, pathPush, nil, nil); resp.StatusCode != 405 {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
}

// TestPush_PublicClient: a single-page application pushes too, from its own origin (RFC 9126 §2).
func TestPush_PublicClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, _ := r.client(client.SPA)
	form := ask(c)
	form.Set("scope", "openid email")
	resp := r.do("POST", pathPush, form, func(req *http.Request) { req.Header.Set("Origin", "https://rp.test") })
	if resp.StatusCode != 201 || resp.Header.Get("Access-Control-Allow-Origin") != "https://rp.test" {
		t.Errorf("%d %v %v", resp.StatusCode, resp.Header, bodyOf(t, resp))
	}
}

// TestAuthorize_JARM: the answer leaves signed, in success and in error (JARM §2.3).
func TestAuthorize_JARM(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, _ := r.client(client.Web)
	for _, scope := range []string{"openid", "nonsense"} {
		form := ask(c)
		form.Set("response_mode", "jwt")
		form.Set("scope", scope)
		resp := r.do("GET", pathAuthorize+"?"+form.Encode(), nil, nil)
		q := must(url.Parse(resp.Header.Get("Location"))).Query()
		if len(q) != 1 || strings.Count(q.Get("response"), ".") != 2 {
			t.Errorf("%s: %d %v", scope, resp.StatusCode, q)
		}
	}
}

// TestDiscovery_Requests: what discovery says is what the policy does; suites skip and run whole features
// by it (RFC 9126 §5, OIDC Discovery §3, JARM §4).
func TestDiscovery_Requests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		policy                  oauth.Policy
		par, value, uri, object bool
		none                    bool
	}{
		"default":  {oauth.Policy{}, false, true, false, true, false},
		"off":      {oauth.Policy{RequestObjects: "off", RequestURIs: true}, false, false, false, false, false},
		"unsigned": {oauth.Policy{RequestObjects: "unsigned", RequestURIs: true, RequirePushed: true}, true, true, true, true, true},
	} {
		r := newRig(t, nil, func(d *oauth.Deps) { d.Policy, d.Fetch = tc.policy, fetch.New(fetch.Options{}) })
		m := bodyOf(t, r.do("GET", pathConfiguration, nil, nil))
		algs, _ := m["request_object_signing_alg_values_supported"].([]any)
		if m["pushed_authorization_request_endpoint"] != issuer+pathPush || m["require_pushed_authorization_requests"] != tc.par ||
			m["request_parameter_supported"] != tc.value || m["request_uri_parameter_supported"] != tc.uri ||
			(m["require_request_uri_registration"] == true) != tc.uri || (len(algs) > 0) != tc.object || slices.Contains(algs, any("none")) != tc.none ||
			tc.object && !(slices.Contains(algs, any("RS256")) && slices.Contains(algs, any("ES256"))) {
			t.Errorf("%s: %v", name, m)
		}
		for _, list := range []string{"authorization_signing_alg_values_supported", "authorization_encryption_alg_values_supported", "authorization_encryption_enc_values_supported"} {
			if values, _ := m[list].([]any); len(values) == 0 || slices.Contains(values, any("none")) {
				t.Errorf("%s: %s is %v", name, list, m[list])
			}
		}
		modes, _ := m["response_modes_supported"].([]any)
		for _, mode := range []string{"query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
			if !slices.Contains(modes, any(mode)) {
				t.Errorf("%s: no response mode %s", name, mode)
			}
		}
	}
}
