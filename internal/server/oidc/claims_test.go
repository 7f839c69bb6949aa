package oidc

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
)

// TestUserinfo_JWT: a signed answer says what it is (OIDC Core §5.3.2), by GET, by POST with a header
// and by POST with a form. Conformance: oidcc-userinfo-rs256, -get, -post-header, -post-body.
func TestUserinfo_JWT(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for alg, want := range map[string]string{"": "application/json", "RS256": "application/jwt"} {
		cid, secret := r.client(client.Web)
		if _, err := r.clients.Update(t.Context(), cid, func(d *client.Draft) error { d.Metadata.UserinfoAlg = alg; return nil }); err != nil {
			t.Fatal(err)
		}
		token := r.tokens(cid, secret)["access_token"].(string)
		header := func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+token) }
		for name, resp := range map[string]*http.Response{
			"get":         r.do("GET", pathUserinfo, nil, header),
			"post":        r.do("POST", pathUserinfo, nil, header),
			"post a form": r.do("POST", pathUserinfo, url.Values{"access_token": {token}}, nil),
		} {
			body := string(must(io.ReadAll(resp.Body)))
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q by %s: %d %v", alg, name, resp.StatusCode, resp.Header)
			}
			if (alg != "") != (strings.Count(body, ".") == 2 && !strings.Contains(body, "{")) {
				t.Errorf("%q by %s: %s", alg, name, body)
			}
		}
	}
}

// TestDiscovery_Claims: it says what is on offer, no more (OIDC Discovery §3). Conformance:
// oidcc-discovery-endpoint-verification of each plan.
func TestDiscovery_Claims(t *testing.T) {
	t.Parallel()
	for legacy, types := range map[bool][]string{false: {"code"}, true: client.ResponseTypes()} {
		r := newRig(t, nil, func(d *oauth.Deps) { d.Policy.LegacyResponseTypes = legacy })
		m := bodyOf(t, r.do("GET", pathConfiguration, nil, nil))
		if m["claims_parameter_supported"] != true {
			t.Error("no claims parameter")
		}
		list := func(name string) (out []string) {
			for _, v := range m[name].([]any) {
				out = append(out, v.(string))
			}
			return out
		}
		if got := list("response_types_supported"); !slices.Equal(got, types) {
			t.Errorf("legacy %v: %v", legacy, got)
		}
		for name, want := range map[string][]string{
			"subject_types_supported": {"public", "pairwise"}, "claim_types_supported": {"normal"},
			"id_token_signing_alg_values_supported": client.ResponseAlgs(), "userinfo_signing_alg_values_supported": client.ResponseAlgs(),
			"id_token_encryption_alg_values_supported": client.EncryptionAlgs(), "userinfo_encryption_alg_values_supported": client.EncryptionAlgs(),
			"id_token_encryption_enc_values_supported": client.ContentEncryptions(), "userinfo_encryption_enc_values_supported": client.ContentEncryptions(),
		} {
			if got := list(name); !slices.Equal(got, want) || slices.Contains(got, "none") || slices.Contains(got, "RSA1_5") {
				t.Errorf("%s: %v", name, got)
			}
		}
		for _, name := range []string{"sub", "name", "email", "email_verified", "address", "phone_number", "auth_time", "acr", "c_hash"} {
			if !slices.Contains(list("claims_supported"), name) {
				t.Errorf("claims_supported lacks %s", name)
			}
		}
	}
}

// TestAuthorize_Fragment: what names tokens travels in the fragment, errors too; the person's own page
// is for what may not travel at all (OAuth 2.0 Multiple Response Types §5).
func TestAuthorize_Fragment(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, func(d *oauth.Deps) { d.Policy.LegacyResponseTypes = true })
	cid, _ := r.client(client.Web)
	if _, err := r.clients.Update(t.Context(), cid, func(d *client.Draft) error {
		d.Metadata.GrantTypes = append(d.Metadata.GrantTypes, client.GrantImplicit)
		d.Metadata.ResponseTypes = client.ResponseTypes()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ask := func(edit map[string]string) string {
		q := url.Values{
			"client_id": {string(cid)}, "redirect_uri": {redirect}, "response_type": {"id_token token"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		}
		for name, value := range edit {
			q.Set(name, value)
		}
		return pathAuthorize + "?" + q.Encode()
	}
	for name, tc := range map[string]struct {
		edit map[string]string
		code string
	}{
		"answer":       {nil, ""},
		"no nonce":     {map[string]string{"nonce": ""}, oauth.InvalidRequest},
		"query":        {map[string]string{"response_mode": "query"}, oauth.InvalidRequest},
		"scope":        {map[string]string{"scope": "openid nonsense"}, oauth.InvalidScope},
		"claims":       {map[string]string{"claims": "{"}, oauth.InvalidRequest},
		"unknown type": {map[string]string{"response_type": "id_token none"}, oauth.UnsupportedResponseType},
	} {
		resp := r.do("GET", ask(tc.edit), nil, nil)
		u, err := url.Parse(resp.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := url.ParseQuery(u.Fragment)
		if err != nil || u.RawQuery != "" || p.Get("error") != tc.code || p.Get("state") != "s" || p.Get("iss") != issuer || p.Has("access_token") != (tc.code == "") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, u)
		}
	}
	if resp := r.do("GET", ask(map[string]string{"redirect_uri": "https://evil.test"}), nil, nil); resp.StatusCode != 400 || resp.Header.Get("Location") != "" {
		t.Errorf("wrong address: %d %v", resp.StatusCode, resp.Header)
	}
}
