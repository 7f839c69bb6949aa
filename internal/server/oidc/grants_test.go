package oidc

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// tv registers a public client for the device grant.
func (r *rig) tv() string {
	r.t.Helper()
	m := client.Defaults(client.Native)
	m.GrantTypes, m.ResponseTypes = []string{client.GrantDeviceCode, client.GrantRefreshToken}, nil
	c, _, err := r.clients.Create(r.t.Context(), client.NewClient{Name: "TV", Kind: client.Native, Metadata: m})
	check(r.t, err)
	return string(c.ID)
}

// Discovery lists the grants that are on offer, no more (RFC 8414 §2, RFC 8628 §4, RFC 9396 §10, RFC 9701 §7).
func TestDiscovery_Grants(t *testing.T) {
	t.Parallel()
	read := func(r *rig) (grants []any, m map[string]any) {
		m = bodyOf(t, r.do("GET", pathMetadata, nil, nil))
		return m["grant_types_supported"].([]any), m
	}
	full := newRig(t, nil, func(d *oauth.Deps) {
		d.Policy.DetailTypes, d.Policy.LegacyResponseTypes = map[string]string{"payment": "Pay", "files": "Files"}, true
	})
	grants, m := read(full)
	for _, want := range []string{client.GrantDeviceCode, client.GrantTokenExchange, client.GrantImplicit, client.GrantAuthorizationCode} {
		if !slices.Contains(grants, any(want)) {
			t.Errorf("%s is not listed: %v", want, grants)
		}
	}
	if slices.Contains(grants, any(client.GrantJWTBearer)) {
		t.Error("assertions are on offer although no issuer is trusted")
	}
	types, _ := m["authorization_details_types_supported"].([]any)
	algs, _ := m["introspection_signing_alg_values_supported"].([]any)
	if m["device_authorization_endpoint"] != issuer+"/oauth2/device_authorization" || !slices.Equal(types, []any{"files", "payment"}) || !slices.Contains(algs, any("RS256")) {
		t.Errorf("%v", m)
	}
	grants, m = read(newRig(t, nil, func(d *oauth.Deps) { d.Limits = nil }))
	if slices.Contains(grants, any(client.GrantDeviceCode)) || m["device_authorization_endpoint"] != nil || slices.Contains(grants, any(client.GrantImplicit)) ||
		m["authorization_details_types_supported"] != nil {
		t.Errorf("%v", m)
	}
}

// The door of the device endpoint is that of all protocol endpoints (TK-18, TK-19), and not for browsers.
func TestDeviceEndpoint_Door(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	form := url.Values{"client_id": {r.tv()}, "scope": {"openid"}}
	good := r.do("POST", pathDevice, form, func(req *http.Request) { req.Header.Set("Origin", "https://evil.test") })
	m := bodyOf(t, good)
	if good.StatusCode != 200 || good.Header.Get("Cache-Control") != "no-store" || good.Header.Get("Access-Control-Allow-Origin") != "" ||
		m["verification_uri"] != issuer+"/device" {
		t.Errorf("%d %v %v", good.StatusCode, good.Header, m)
	}
	for name, tc := range map[string]struct {
		resp   *http.Response
		status int
		code   string
	}{
		"query":       {r.do("POST", pathDevice+"?scope=openid", form, nil), 400, oauth.InvalidRequest},
		"json":        {r.do("POST", pathDevice, form, func(req *http.Request) { req.Header.Set("Content-Type", "application/json") }), 415, oauth.InvalidRequest},
		"nobody":      {r.do("POST", pathDevice, url.Values{"scope": {"openid"}}, nil), 401, oauth.InvalidClient},
		"scope twice": {r.do("POST", pathDevice, url.Values{"client_id": form["client_id"], "scope": {"openid", "openid"}}, nil), 400, oauth.InvalidRequest},
	} {
		if body := bodyOf(t, tc.resp); tc.resp.StatusCode != tc.status || body["error"] != tc.code {
			t.Errorf("%s: %d %v", name, tc.resp.StatusCode, body)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS"} {
		if resp := r.do(method, pathDevice, nil, nil); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	limited := false
	for range 200 {
		if resp := r.do("POST", pathDevice, form, nil); resp.StatusCode == 429 {
			limited = resp.Header.Get("Retry-After") != "" && bodyOf(t, resp)["error"] == oauth.TemporarilyUnavailable
			break
		}
	}
	if !limited {
		t.Error("no end of requests from one address, or no word when to come back")
	}
}

// With the store down the answer is 503, never a decision.
func TestDeviceEndpoint_StoreDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(db *store.DB) *store.DB {
		down, _ := storetest.FailAt(db, 1, storetest.Before)
		return down
	})
	if resp := r.do("POST", pathDevice, url.Values{"client_id": {r.tv()}, "scope": {"openid"}}, nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, bodyOf(t, resp))
	}
}

// RFC 9701 §4: who names the type in Accept gets a JWT; everybody else JSON.
func TestIntrospect_Accept(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Web)
	token := r.tokens(c, secret)["access_token"].(string)
	for accept, signed := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, "application/jwt": false,
		contentIntrospection: true, "application/json;q=0.5, " + contentIntrospection + ";q=0.9": true,
		"APPLICATION/token-introspection+JWT": true, contentIntrospection + ";q=0": false, contentIntrospection + ";q=0.000": false,
		strings.Repeat(",", 1000) + contentIntrospection: true, contentIntrospection + `;q="`: false,
	} {
		resp := r.do("POST", pathIntrospect, url.Values{"token": {token}}, func(req *http.Request) {
			req.SetBasicAuth(string(c), secret)
			req.Header.Set("Accept", accept)
		})
		body := string(must(io.ReadAll(resp.Body)))
		got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		want := "application/json"
		if signed {
			want = contentIntrospection
		}
		if resp.StatusCode != 200 || got != want || signed != (strings.Count(body, ".") == 2 && !strings.HasPrefix(body, "{")) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%.60s: %d %s %.60s", accept, resp.StatusCode, got, body)
		}
	}
	resp := r.do("POST", pathIntrospect, url.Values{"token": {token}}, func(req *http.Request) { req.Header.Set("Accept", contentIntrospection) })
	if body := bodyOf(t, resp); resp.StatusCode != 401 || body["error"] != oauth.InvalidClient {
		t.Errorf("%d %v", resp.StatusCode, body)
	}
}

func FuzzAccepts(f *testing.F) {
	f.Add(contentIntrospection + ";q=0.1")
	f.Add(`a/b;x=",`)
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Accept": {header}}}
		if accepts(r, contentIntrospection) && !strings.Contains(strings.ToLower(header), contentIntrospection) {
			t.Fatalf("%q", header)
		}
	})
}
