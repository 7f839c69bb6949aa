package oauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// delivered walks to the answer and returns it as it leaves.
func (r *rig) delivered(form url.Values) *Response {
	r.t.Helper()
	req, err := r.ParseAuthorize(r.t.Context(), form)
	check(r.t, err)
	resp, err := r.Issue(r.t.Context(), req, r.login())
	check(r.t, err)
	resp, err = r.Deliver(r.t.Context(), resp)
	check(r.t, err)
	return resp
}

// headerOf decodes a JWT's header without checking it.
func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	return claimsOf(t, "e30."+head+".x")
}

// TestJARM_Modes: in each mode nothing but response travels, by its carrier (JARM §2.3).
func TestJARM_Modes(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	for mode, want := range map[string]string{
		"jwt": ModeQuery, "query.jwt": ModeQuery, "fragment.jwt": ModeFragment, "form_post.jwt": ModeFormPost,
	} {
		resp := r.delivered(ask(c, "response_mode", mode))
		if resp.Mode != want || len(resp.Params) != 1 || !resp.Params.Has("response") || resp.RedirectURI != testRedirect {
			t.Errorf("%s: %+v", mode, resp)
		}
		if strings.Contains(resp.Location(), "code=") || strings.Contains(resp.Location(), "state=") {
			t.Errorf("%s: parameters in clear: %s", mode, resp.Location())
		}
	}
	for _, mode := range []string{".jwt", "web_message.jwt", "JWT", "query.jwt.jwt", "query jwt"} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "response_mode", mode))
		if e := wantCode(t, err, InvalidRequest); e == nil || e.Redirect == nil || e.Redirect.Mode != ModeQuery {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestJARM_Claims: iss, aud and exp beside the parameters, in success and in error, for ten minutes at
// most (JARM §2.1, §2.4; fapi2 with fapi_response_mode jarm: ValidateJARMResponse, ValidateJARMExpRecommendations).
func TestJARM_Claims(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	now := r.clock.Now().Unix()
	verify := func(resp *Response) map[string]any {
		token := resp.Params.Get("response")
		if _, err := r.keys.Verify(token, ""); err != nil {
			t.Fatal(err)
		}
		m := claimsOf(t, token)
		exp, _ := m["exp"].(float64)
		if m["iss"] != testIssuer || m["aud"] != string(c) || int64(exp) < now+10 || int64(exp) > now+600 {
			t.Errorf("%v", m)
		}
		return m
	}
	ok := verify(r.delivered(ask(c, "response_mode", "jwt", "state", `"><s>`)))
	if code, _ := ok["code"].(string); ok["state"] != `"><s>` || len(ok) != 5 {
		t.Errorf("%v", ok)
	} else if _, err := r.exchange(c, code); err != nil {
		t.Error(err)
	}
	_, err := r.ParseAuthorize(t.Context(), ask(c, "response_mode", "jwt", "scope", "nonsense"))
	refused, err := r.Deliver(t.Context(), r.RefuseError(wantCode(t, err, InvalidScope)))
	check(t, err)
	if m := verify(refused); m["error"] != InvalidScope || m["state"] != "st" || m["error_description"] == "" {
		t.Errorf("%v", m)
	}
	req, err := r.ParseAuthorize(t.Context(), ask(c, "response_mode", "jwt", "state", ""))
	check(t, err)
	denied, err := r.Refuse(t.Context(), req, AccessDenied, "")
	check(t, err)
	if denied.Location() != "" {
		t.Errorf("an answer that is still to be signed has an address: %s", denied.Location())
	}
	denied, err = r.Deliver(t.Context(), denied)
	check(t, err)
	if m := verify(denied); m["error"] != AccessDenied || len(m) != 4 {
		t.Errorf("%v", m)
	}
}

// TestJARM_IsNoHint: an answer that went through a browser is no ID token (RFC 8725 §3.11).
func TestJARM_IsNoHint(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	token := r.delivered(ask(c, "response_mode", "jwt")).Params.Get("response")
	_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", token))
	wantCode(t, err, InvalidRequest)
	if a, err := r.inspect(t.Context(), token); a != nil || err != nil {
		t.Errorf("it passes as an access token: %+v, %v", a, err)
	}
}

// TestJARM_Algorithms: the registered one, else RS256 (JARM §3), which FAPI 2.0 does not allow.
func TestJARM_Algorithms(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	for want, c := range map[string]id.Client{
		keys.RS256: r.newClient(client.Web, nil),
		keys.EdDSA: r.newClient(client.Web, func(m *client.Metadata) { m.AuthorizationAlg = keys.EdDSA }),
		keys.PS256: r.newClient(client.Web, func(m *client.Metadata) { m.AuthorizationAlg = keys.PS256 }), // no key yet
		keys.ES256: r.signing(k, fapi(client.ProfileFAPI2)),
	} {
		form := ask(c, "response_mode", "jwt")
		if want == keys.ES256 {
			p, err := r.pushSigned(k, c, form)
			check(t, err)
			form = open(c, p.RequestURI)
		}
		head := headerOf(t, r.delivered(form).Params.Get("response"))
		if head["alg"] != want || head["kid"] == nil || head["typ"] != nil {
			t.Errorf("%v, want %s", head, want)
		}
	}
}

// TestJARM_Encrypted: signed, then encrypted to the client, who alone can read it (JARM §2.2); without a
// key of the client nothing is sent.
func TestJARM_Encrypted(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	enc := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.key.Public(), KeyID: "enc", Use: "enc", Algorithm: "ECDH-ES"}}}
	c := r.newClient(client.Web, func(m *client.Metadata) {
		m.JWKS, m.AuthorizationEncAlg, m.AuthorizationAlg = must(json.Marshal(enc)), "ECDH-ES", keys.ES256
	})
	token := r.delivered(ask(c, "response_mode", "jwt")).Params.Get("response")
	jwe, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A128CBC_HS256})
	check(t, err)
	if jwe.Header.ExtraHeaders["cty"] != "JWT" || jwe.Header.KeyID != "enc" {
		t.Errorf("%+v", jwe.Header)
	}
	inner, err := jwe.Decrypt(k.key)
	check(t, err)
	if _, err := r.keys.Verify(string(inner), ""); err != nil {
		t.Error(err)
	}
	if m := claimsOf(t, string(inner)); m["code"] == nil || m["aud"] != string(c) {
		t.Errorf("%v", m)
	}
	mute := r.newClient(client.Web, func(m *client.Metadata) { m.JWKS, m.AuthorizationEncAlg = k.jwks(t), "RSA-OAEP-256" })
	resp := &Response{Client: mute, RedirectURI: testRedirect, Mode: "query.jwt", Params: values("code", "secret")}
	if out, err := r.Deliver(t.Context(), resp); err == nil || out != nil {
		t.Errorf("%+v, %v", out, err)
	}
	resp.Client = "gone"
	if out, err := r.Deliver(t.Context(), resp); err == nil || out != nil {
		t.Errorf("%+v, %v", out, err)
	}
	plain := &Response{Client: c, RedirectURI: testRedirect, Mode: ModeQuery, Params: values("code", "c")}
	if out, err := r.Deliver(t.Context(), plain); err != nil || out != plain {
		t.Errorf("%+v, %v", out, err)
	}
	if d := r.clock.Now().Add(answerLife).Sub(r.clock.Now()); d > 10*time.Minute {
		t.Error(d)
	}
}

// TestResponseMode_ByType: what is more than a code never travels in the query, signed or not, and neither
// does its refusal (OAuth 2.0 Multiple Response Types §5, JARM §2.3.1; security case AZ-09).
func TestResponseMode_ByType(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.LegacyResponseTypes = true
	c := r.newClient(client.Web, func(m *client.Metadata) {
		m.ResponseTypes, m.GrantTypes = []string{"code", "code id_token"}, append(m.GrantTypes, client.GrantImplicit)
	})
	for _, tc := range []struct{ responseType, mode, want string }{
		{"code", "", ModeQuery}, {"code", "query", ModeQuery}, {"code", "fragment", ModeFragment}, {"code", "form_post", ModeFormPost},
		{"code", "jwt", "query.jwt"}, {"code", "fragment.jwt", "fragment.jwt"},
		{"code id_token", "", ModeFragment}, {"id_token code", "form_post", ModeFormPost},
		{"code id_token", "jwt", "fragment.jwt"}, {"code id_token", "form_post.jwt", "form_post.jwt"},
	} {
		req, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", tc.responseType, "response_mode", tc.mode))
		if err != nil || req.ResponseMode != tc.want {
			t.Errorf("%+v: %+v, %v", tc, req, err)
		}
	}
	for mode, want := range map[string]string{"query": ModeFragment, "query.jwt": "fragment.jwt"} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", "code id_token", "response_mode", mode))
		if e := wantCode(t, err, InvalidRequest); e == nil || e.Redirect == nil || e.Redirect.Mode != want {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
