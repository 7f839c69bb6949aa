package oauth

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// legacy lets the deployment answer every response type.
func legacy(r *rig) *rig {
	r.policy.LegacyResponseTypes = true
	return r
}

// hybridClient registers every response type.
func (r *rig) hybridClient(edit func(*client.Metadata)) id.Client {
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantImplicit)
		m.ResponseTypes = client.ResponseTypes()
		if edit != nil {
			edit(m)
		}
	})
}

// answer walks the authorize side and returns the response.
func (r *rig) answer(form url.Values) *Response {
	r.t.Helper()
	req, err := r.ParseAuthorize(r.t.Context(), form)
	check(r.t, err)
	resp, err := r.Issue(r.t.Context(), req, r.login())
	check(r.t, err)
	return resp
}

// TestResponseTypes_Answers: each response type has exactly what it names, in the fragment (OAuth 2.0
// Multiple Response Types §3, §5; OIDC Core §3.2.2.5, §3.3.2.5), and each part works: the code at the
// token endpoint, the access token at userinfo; hashes, nonce, sub and iss are those of OIDC Core
// §3.2.2.10, §3.3.2.11, §3.3.3.6. Conformance: oidcc-server of the implicit and hybrid plans.
func TestResponseTypes_Answers(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		legacy(r)
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.hybridClient(func(m *client.Metadata) { m.AccessTokenFormat, m.IDTokenAlg = format, keys.RS256 })
			for _, rt := range client.ResponseTypes() {
				r.checkAnswer(c, format, rt)
			}
		}
	})
}

func (r *rig) checkAnswer(c id.Client, format, rt string) {
	t, has := r.t, func(part string) bool { return slices.Contains(strings.Fields(rt), part) }
	t.Helper()
	resp := r.answer(ask(c, "response_type", rt))
	p := resp.Params
	want := []string{"iss", "state"}
	if has("code") {
		want = append(want, "code")
	}
	if has("token") {
		want = append(want, "access_token", "expires_in", "scope", "token_type")
	}
	if has("id_token") {
		want = append(want, "id_token")
	}
	var got []string
	for name := range p {
		got = append(got, name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s, %s: %s", rt, format, d)
	}
	if front := strings.HasPrefix(resp.Location(), testRedirect+"#"); front != (rt != "code") {
		t.Errorf("%s goes to %s", rt, resp.Location())
	}
	if has("token") {
		if p.Get("token_type") != "Bearer" || p.Get("expires_in") != "600" || !r.active(c, p.Get("access_token")) {
			t.Errorf("%s, %s: %v", rt, format, p)
		}
		info, err := r.Userinfo(t.Context(), Call{}, "Bearer", p.Get("access_token"))
		check(t, err)
		if info.Claims["sub"] != string(r.user) || info.Claims["name"] == nil {
			t.Errorf("%s: userinfo %v", rt, info.Claims)
		}
	}
	if has("id_token") {
		r.checkFrontIDToken(c, rt, p)
	}
	if has("code") {
		tok, err := r.exchange(c, p.Get("code"))
		check(t, err)
		back := claimsOf(t, tok.IDToken)
		if back["sub"] != string(r.user) || back["iss"] != testIssuer || back["nonce"] != "n-1" || back["at_hash"] != leftHash(keys.RS256, tok.AccessToken) || back["c_hash"] != nil {
			t.Errorf("%s: second ID token %v", rt, back)
		}
	}
}

func (r *rig) checkFrontIDToken(c id.Client, rt string, p url.Values) {
	r.t.Helper()
	claims := claimsOf(r.t, p.Get("id_token"))
	want := map[string]any{"iss": testIssuer, "sub": string(r.user), "aud": string(c), "nonce": "n-1", "acr": "urn:signet:acr:1fa", "sid": string(r.session)}
	if code := p.Get("code"); code != "" {
		want["c_hash"] = leftHash(keys.RS256, code)
	}
	if token := p.Get("access_token"); token != "" {
		want["at_hash"] = leftHash(keys.RS256, token)
	}
	if rt == "id_token" { // OIDC Core §5.4: there is no userinfo to ask
		want["name"], want["locale"], want["updated_at"] = "Kim Min-ji", "ko", float64(1)
	}
	for _, name := range []string{"iat", "exp", "auth_time", "amr"} {
		if claims[name] == nil {
			r.t.Errorf("%s: ID token without %s", rt, name)
		}
		delete(claims, name)
	}
	if d := cmp.Diff(want, claims); d != "" {
		r.t.Errorf("%s: ID token (-want +got):\n%s", rt, d)
	}
	if _, err := r.keys.Verify(p.Get("id_token"), typID); err != nil {
		r.t.Errorf("%s: %v", rt, err)
	}
}

// TestResponseTypes_Spelling: the order of the words has no meaning (OAuth 2.0 Multiple Response Types
// §3), and there are no others.
func TestResponseTypes_Spelling(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	c := r.hybridClient(nil)
	for text, want := range map[string]string{
		"code": "", "id_token code": "code id_token", "token id_token": "id_token token", "token code id_token": "code id_token token", " code  token": "code token",
	} {
		req, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", text))
		check(t, err)
		if req.ResponseType != want {
			t.Errorf("%q is %q, want %q", text, req.ResponseType, want)
		}
	}
	for _, text := range []string{"token", "none", "code code", "id_token id_token", "CODE", "code,token", "code none", strings.Repeat("code ", 1000), "token "} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", text))
		wantCode(t, err, UnsupportedResponseType)
	}
}

// TestResponseTypes_Refuses: what is off, not registered, or would travel unprotected. A refusal goes
// where the application reads: into the fragment (OAuth 2.0 Multiple Response Types §5). Security
// cases AZ-07, AZ-09; conformance: oidcc-ensure-request-without-nonce-fails.
func TestResponseTypes_Refuses(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	all, plain := r.hybridClient(nil), r.newClient(client.Web, nil)
	implicit := r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes, m.ResponseTypes = []string{client.GrantImplicit}, []string{"id_token"}
		m.Scopes = []string{"openid"}
	})
	bound := r.hybridClient(func(m *client.Metadata) { m.DPoPBound = true })
	off := sqliteRig(t)
	disabled := off.hybridClient(nil)
	for name, tc := range map[string]struct {
		rig  *rig
		form url.Values
		code string
		mode string
	}{
		"switched off":             {off, ask(disabled, "response_type", "code id_token"), UnsupportedResponseType, ModeFragment},
		"switched off, form_post":  {off, ask(disabled, "response_type", "id_token", "response_mode", "form_post"), UnsupportedResponseType, ModeFormPost},
		"not registered":           {r, ask(plain, "response_type", "code token"), UnauthorizedClient, ModeFragment},
		"not registered, implicit": {r, ask(implicit, "response_type", "id_token token", "scope", "openid"), UnauthorizedClient, ModeFragment},
		"code not registered":      {r, ask(implicit, "scope", "openid"), UnauthorizedClient, ModeQuery},
		"bound tokens":             {r, ask(bound, "response_type", "code token"), UnauthorizedClient, ModeFragment},
		"query":                    {r, ask(all, "response_type", "id_token", "response_mode", "query"), InvalidRequest, ModeFragment},
		"query, hybrid":            {r, ask(all, "response_type", "code token", "response_mode", "query"), InvalidRequest, ModeFragment},
		"nonce, implicit":          {r, ask(all, "response_type", "id_token", "nonce", ""), InvalidRequest, ModeFragment},
		"nonce, implicit token":    {r, ask(all, "response_type", "id_token token", "nonce", ""), InvalidRequest, ModeFragment},
		"nonce, hybrid":            {r, ask(all, "response_type", "code id_token", "nonce", ""), InvalidRequest, ModeFragment},
		"PKCE, hybrid":             {r, ask(all, "response_type", "code id_token", "code_challenge", "", "code_challenge_method", ""), InvalidRequest, ModeFragment},
		"scope unknown":            {r, ask(all, "response_type", "id_token", "scope", "openid nonsense"), InvalidScope, ModeFragment},
		"no openid":                {r, ask(all, "response_type", "id_token token", "scope", "read"), InvalidScope, ModeFragment},
	} {
		_, err := tc.rig.ParseAuthorize(t.Context(), tc.form)
		e := wantCode(t, err, tc.code)
		if e == nil || e.Redirect == nil || e.Redirect.Mode != tc.mode {
			t.Errorf("%s: %+v", name, e)
			continue
		}
		if p := tc.rig.RefuseError(e).Params; p.Get("state") != "st" || p.Get("iss") != testIssuer || p.Has("code") || p.Has("id_token") || p.Has("access_token") {
			t.Errorf("%s: %v", name, p)
		}
	}
	for _, form := range []url.Values{
		ask(all, "nonce", ""), ask(all, "response_type", "code token", "nonce", ""), // OIDC Core §3.1.2.1, §3.3.2.1: nothing to tie
		ask(all, "response_type", "id_token", "code_challenge", "", "code_challenge_method", ""), // no code, nothing to prove
		ask(bound, "response_type", "code id_token"),
	} {
		_, err := r.ParseAuthorize(t.Context(), form)
		wantCode(t, err, "")
	}
}

// TestResponseTypes_NeverOffline: a request without a code gives nothing that lasts (OIDC Core §11).
func TestResponseTypes_NeverOffline(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	c := r.hybridClient(nil)
	for _, rt := range []string{"id_token", "id_token token"} {
		req, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", rt))
		check(t, err)
		if slices.Contains(req.Scopes, ScopeOfflineAccess) {
			t.Errorf("%s: %v", rt, req.Scopes)
		}
		_, err = r.Issue(t.Context(), req, r.login())
		check(t, err)
	}
	if n := r.count(`SELECT COUNT(*) FROM oauth_grant WHERE expires_at > $1`, store.Micros(r.clock.Now().Add(time.Hour))); n > 0 {
		t.Errorf("%d grants outlive the hour", n)
	}
}

// TestResponseTypes_EndTogether: what came through the browser ends with its grant, whoever ends it: a
// code used twice (RFC 6749 §4.1.2), or the person. Conformance: oidcc-codereuse.
func TestResponseTypes_EndTogether(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		legacy(r)
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.hybridClient(func(m *client.Metadata) { m.AccessTokenFormat = format })
			p := r.answer(ask(c, "response_type", "code id_token token")).Params
			_, err := r.exchange(c, p.Get("code"))
			check(t, err)
			if !r.active(c, p.Get("access_token")) {
				t.Fatalf("%s: not active", format)
			}
			_, err = r.exchange(c, p.Get("code"))
			wantCode(t, err, InvalidGrant)
			if r.active(c, p.Get("access_token")) {
				t.Errorf("%s: the access token outlives a code that was used twice", format)
			}
			p = r.answer(ask(c, "response_type", "id_token token")).Params
			check(t, r.RevokeClient(t.Context(), r.user, c))
			if r.active(c, p.Get("access_token")) {
				t.Errorf("%s: the access token outlives its grant", format)
			}
			p = r.answer(ask(c, "response_type", "id_token token")).Params
			r.clock.Advance(11 * time.Minute)
			if r.active(c, p.Get("access_token")) {
				t.Errorf("%s: the access token outlives its time", format)
			}
		}
	})
}

// TestResponseTypes_RereadsPolicy: a journey may be older than the decision to switch a response type
// off, or than the client's registration.
func TestResponseTypes_RereadsPolicy(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	c := r.hybridClient(nil)
	req, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", "code id_token"))
	check(t, err)
	r.policy.LegacyResponseTypes = false
	_, err = r.Issue(t.Context(), req, r.login())
	if e := wantCode(t, err, UnsupportedResponseType); e.Redirect == nil || e.Redirect.Mode != ModeFragment {
		t.Errorf("%+v", e)
	}
	r.policy.LegacyResponseTypes = true
	r.edit(c, func(m *client.Metadata) { m.GrantTypes, m.ResponseTypes = m.GrantTypes[:2], []string{"code"} })
	_, err = r.Issue(t.Context(), req, r.login())
	wantCode(t, err, UnauthorizedClient)
}

// TestResponseTypes_Faults: each statement of an answer with an opaque access token fails once, before
// and after it took effect; grant and token are there together or not at all, and the answer is 503.
func TestResponseTypes_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		legacy(r)
		c := r.hybridClient(func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		req, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", "code id_token token"))
		check(t, err)
		for n := int64(1); n <= 10; n++ {
			for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
				broken, count := storetest.FailAt(r.db, n, mode)
				bad := legacy(r.again(r.db, broken))
				if _, err := bad.clients.Get(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				_, err := bad.Issue(t.Context(), req, r.login())
				if count.Load() < n {
					check(t, err)
					return
				}
				if err == nil || AsError(err).Code != TemporarilyUnavailable || AsError(err).Redirect != nil {
					t.Errorf("statement %d: %v", n, err)
				}
				if g, a := r.count(`SELECT COUNT(*) FROM oauth_grant`), r.count(`SELECT COUNT(*) FROM access_token`); g != a {
					t.Errorf("statement %d: %d grants, %d access tokens", n, g, a)
				}
			}
		}
		t.Error("more than 10 statements: is there a loop?")
	})
}

func FuzzResponseType(f *testing.F) {
	for _, s := range append(client.ResponseTypes(), "token", "none", " id_token  code ", "code code", "token\tcode") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := responseTypeOf(text)
		if got == "" {
			return
		}
		if !slices.Contains(client.ResponseTypes(), got) {
			t.Fatalf("%q is %q", text, got)
		}
		a, b := strings.Fields(text), strings.Fields(got)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) || (defaultMode(text) == ModeQuery) != (got == "code") {
			t.Fatalf("%q is %q in %s", text, got, defaultMode(text))
		}
	})
}
