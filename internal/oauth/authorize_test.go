package oauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// TestAuthorize_Parses checks the whole request, and that it survives JSON (a journey freezes it).
func TestAuthorize_Parses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	form := ask(c, "max_age", "0", "prompt", "login consent", "login_hint", "kim", "ui_locales", "ko en", "acr_values", "1 2", "display", "popup",
		"response_mode", "form_post", "resource", testAPI, "claims", `{"x":[[[[]]]]}`, "claims_locales", "ko", "extra", "foobar", "code_challenge", testChallenge)
	form.Add("resource", otherAPI)
	got, err := r.ParseAuthorize(t.Context(), form)
	check(t, err)
	zero := int64(0)
	want := &Request{
		ClientID: c, RedirectURI: testRedirect, ResponseMode: "form_post", Scopes: []string{"openid", "profile", "offline_access", "read"},
		Resources: []string{testAPI, otherAPI}, State: "st", Nonce: "n-1", CodeChallenge: testChallenge, Prompt: []string{"login", "consent"},
		MaxAge: &zero, LoginHint: "kim", UILocales: []string{"ko", "en"}, ACRValues: []string{"1", "2"}, Display: "popup", ClaimsLocales: []string{"ko"},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Request{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	text, err := json.Marshal(got)
	check(t, err)
	var back Request
	check(t, json.Unmarshal(text, &back))
	if d := cmp.Diff(*got, back, cmpopts.IgnoreUnexported(Request{})); d != "" {
		t.Errorf("after JSON:\n%s", d)
	}
}

// TestAuthorize_NeverRedirectsUnchecked is security cases AZ-01 to AZ-04: an unknown or disabled
// client and an address that is not byte for byte the registered one get our own page only.
func TestAuthorize_NeverRedirectsUnchecked(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, off := r.newClient(client.Web, nil), r.newClient(client.Web, nil)
	check(t, r.clients.Disable(t.Context(), off))
	forms := map[string]url.Values{
		"unknown client": ask("nobody"), "no client": ask("", "client_id", ""), "disabled client": ask(off), "no redirect": ask(c, "redirect_uri", ""),
		"long client": ask(id.Client(strings.Repeat("x", 300))),
	}
	for _, uri := range []string{
		"https://evil.test/cb", "https://rp.test/cb/", "https://rp.test/other", "https://rp.test/cb/../x", "https://rp.test/cb%2f..%2fx", "https://rp.test/CB",
		"HTTPS://RP.test/cb", "https://rp.test:443/cb", "https://rp.test/cb?x=1", "https://rp.test/cb#f", "https://rp.test/cb;x", "https://rp.test./cb",
		"https://rp.test/cb ", "https://rp.test/c\tb", "https://rp.test/cb\n", `https://rp.test\cb`, "https://rp.test@evil.test/cb",
		`https://evil.test\@rp.test/cb`, "https://rp.test:443@evil.test", "https://rp.test.evil.test/cb", "javascript:alert(1)", "//rp.test/cb",
	} {
		forms[uri] = ask(c, "redirect_uri", uri)
	}
	for name, form := range forms {
		form.Set("response_mode", "form_post")
		form.Set("scope", "nonsense")
		_, err := r.ParseAuthorize(t.Context(), form)
		e := AsError(err)
		if err == nil || e.Redirect != nil || e.Status != 400 || r.RefuseError(e) != nil {
			t.Errorf("%s: %v, redirect %v", name, err, e.Redirect)
		}
	}
	twice := ask(c)
	twice.Add("redirect_uri", testRedirect)
	if _, err := r.ParseAuthorize(t.Context(), twice); err == nil || AsError(err).Redirect != nil {
		t.Errorf("redirect_uri twice: %v", err)
	}
}

// TestAuthorize_Refuses lists what the application is told by redirect, with iss and state
// (RFC 9207 §2): AZ-06, AZ-07, AZ-09, AZ-13, AZ-18, AZ-19, AZ-24, AZ-25, AZ-27.
func TestAuthorize_Refuses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	narrow := r.newClient(client.Web, func(m *client.Metadata) { m.Scopes = []string{"openid", "offline_access"} })
	for name, tc := range map[string]struct {
		form url.Values
		code string
	}{
		"response_type missing":    {ask(c, "response_type", ""), InvalidRequest},
		"token":                    {ask(c, "response_type", "token"), UnsupportedResponseType},
		"id_token":                 {ask(c, "response_type", "id_token"), UnsupportedResponseType},
		"hybrid":                   {ask(c, "response_type", "code token"), UnsupportedResponseType},
		"none":                     {ask(c, "response_type", "none"), UnsupportedResponseType},
		"mode":                     {ask(c, "response_mode", "web_message"), InvalidRequest},
		"mode unknown jwt":         {ask(c, "response_mode", "web_message.jwt"), InvalidRequest},
		"PKCE missing":             {ask(c, "code_challenge", "", "code_challenge_method", ""), InvalidRequest},
		"PKCE plain":               {ask(c, "code_challenge_method", "plain"), InvalidRequest},
		"PKCE method missing":      {ask(c, "code_challenge_method", ""), InvalidRequest},
		"PKCE unknown method":      {ask(c, "code_challenge_method", "S512"), InvalidRequest},
		"PKCE short":               {ask(c, "code_challenge", testChallenge[1:]), InvalidRequest},
		"PKCE long":                {ask(c, "code_challenge", strings.Repeat("a", 129)), InvalidRequest},
		"PKCE illegal":             {ask(c, "code_challenge", strings.Repeat("!", 43)), InvalidRequest},
		"PKCE method only":         {ask(c, "code_challenge", ""), InvalidRequest},
		"scope missing":            {ask(c, "scope", ""), InvalidScope},
		"scope unknown":            {ask(c, "scope", "openid admin"), InvalidScope},
		"scope not the client's":   {ask(narrow, "scope", "openid read"), InvalidScope},
		"scope other case":         {ask(c, "scope", "OpenID"), InvalidScope},
		"scope control characters": {ask(c, "scope", "openid\tread"), InvalidScope},
		"scope huge":               {ask(c, "scope", strings.Repeat("a ", 1<<19)), InvalidScope},
		"scope many":               {ask(c, "scope", manyScopes(1000)), InvalidScope},
		"resource relative":        {ask(c, "resource", "api"), InvalidTarget},
		"resource fragment":        {ask(c, "resource", testAPI+"#x"), InvalidTarget},
		"resource unknown":         {ask(c, "resource", "https://else.test"), InvalidTarget},
		"resource foreign":         {ask(narrow, "resource", testAPI, "scope", "openid"), InvalidTarget},
		"max_age negative":         {ask(c, "max_age", "-1"), InvalidRequest},
		"max_age float":            {ask(c, "max_age", "1e30"), InvalidRequest},
		"max_age NaN":              {ask(c, "max_age", "NaN"), InvalidRequest},
		"max_age overflow":         {ask(c, "max_age", "99999999999999999999"), InvalidRequest},
		"prompt unknown":           {ask(c, "prompt", "maybe"), InvalidRequest},
		"prompt none login":        {ask(c, "prompt", "none login"), InvalidRequest},
		"nonce huge":               {ask(c, "nonce", strings.Repeat("n", 5000)), InvalidRequest},
		"request":                  {ask(c, "request", "eyJhbGciOiJub25lIn0.e30."), RequestNotSupported},
		"request_uri":              {ask(c, "request_uri", "http://169.254.169.254/"), RequestURINotSupported},
		"registration":             {ask(c, "registration", "{}"), RegistrationUnsupported},
		"hint garbage":             {ask(c, "id_token_hint", "a.b.c"), InvalidRequest},
	} {
		_, err := r.ParseAuthorize(t.Context(), tc.form)
		e := AsError(err)
		if err == nil || e.Code != tc.code || e.Redirect == nil {
			t.Errorf("%s: %v, want %s by redirect", name, err, tc.code)
			continue
		}
		resp := r.RefuseError(e)
		if p := resp.Params; p.Get("iss") != testIssuer || p.Get("state") != "st" || p.Get("error") != tc.code || p.Has("code") {
			t.Errorf("%s: %v", name, p)
		}
	}
	empty := ask(c)
	empty.Set("max_age", "") // empty is no number, and never "no limit"
	_, err := r.ParseAuthorize(t.Context(), empty)
	wantCode(t, err, InvalidRequest)
}

func manyScopes(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(id.New()[:4] + " ")
	}
	return b.String()
}

// TestAuthorize_Ignored: parameters that discovery does not offer change nothing, whatever they hold
// (AZ-27, JW-14).
func TestAuthorize_Ignored(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	want, err := r.ParseAuthorize(t.Context(), ask(c))
	check(t, err)
	for _, name := range []string{"registration_hint", "audience"} {
		for _, value := range []string{
			`{"userinfo":{"sub":{"value":"` + string(r.newUser()) + `"},"phone_number":{"essential":true}}}`,
			strings.Repeat("[", 100), "[]", "null", "https://else.test", `"><script>`,
		} {
			got, err := r.ParseAuthorize(t.Context(), ask(c, name, value))
			check(t, err)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(Request{}, consentMark{})); d != "" {
				t.Errorf("%s=%s: %s", name, value, d)
			}
		}
	}
}

// TestAuthorize_Duplicates is fosite trap 13 and security case AZ-06.
func TestAuthorize_Duplicates(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	for _, name := range []string{"client_id", "redirect_uri", "scope", "state", "code_challenge", "response_type", "nonce", "prompt", "extra"} {
		form := ask(c, "prompt", "login", "extra", "1")
		form.Add(name, form.Get(name))
		_, err := r.ParseAuthorize(t.Context(), form)
		if e := wantCode(t, err, InvalidRequest); name == "state" && e.Redirect.State != "" {
			t.Error("one of two states was picked")
		}
	}
}

// TestAuthorize_State: optional, opaque, byte for byte (RFC 6749 §4.1.1; fosite demands eight
// characters and answers with an empty one, docs/fosite.md).
func TestAuthorize_State(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	for _, state := range []string{"", "x", strings.Repeat("s", 128), `"><script>&=%2B+ü`, strings.Repeat("s", 2048)} {
		req, err := r.ParseAuthorize(t.Context(), ask(c, "state", state))
		check(t, err)
		resp, err := r.Issue(t.Context(), req, r.login())
		check(t, err)
		u, err := url.Parse(resp.Location())
		check(t, err)
		if got, has := u.Query().Get("state"), u.Query().Has("state"); got != state || has != (state != "") {
			t.Errorf("state %q came back as %q (%v)", state, got, has)
		}
		if u.Query().Get("iss") != testIssuer { // RFC 9207 §2
			t.Errorf("no iss in %s", resp.Location())
		}
	}
	_, err := r.ParseAuthorize(t.Context(), ask(c, "state", strings.Repeat("s", 2049)))
	wantCode(t, err, InvalidRequest)
}

// TestAuthorize_Modes checks where the parameters travel.
func TestAuthorize_Modes(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.RedirectURIs = []string{"https://rp.test/cb?keep=1", testRedirect} })
	for mode, prefix := range map[string]string{"": testRedirect + "?", "query": testRedirect + "?", "fragment": testRedirect + "#", "form_post": ""} {
		req, err := r.ParseAuthorize(t.Context(), ask(c, "response_mode", mode))
		check(t, err)
		if got := must(r.Refuse(t.Context(), req, AccessDenied, "no")).Location(); !strings.HasPrefix(got, prefix) || (prefix == "") != (got == "") {
			t.Errorf("mode %q: %s", mode, got)
		}
	}
	req, err := r.ParseAuthorize(t.Context(), ask(c, "redirect_uri", "https://rp.test/cb?keep=1"))
	check(t, err)
	if got := must(r.Refuse(t.Context(), req, AccessDenied, "")).Location(); !strings.HasPrefix(got, "https://rp.test/cb?keep=1&error=access_denied") {
		t.Errorf("registered query lost: %s", got)
	}
}

// TestAuthorize_RequirePKCE: a confidential client may be let off, never weakened (AZ-13).
func TestAuthorize_RequirePKCE(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.RequirePKCE = false })
	_, err := r.ParseAuthorize(t.Context(), ask(c, "code_challenge", "", "code_challenge_method", ""))
	wantCode(t, err, "")
	_, err = r.ParseAuthorize(t.Context(), ask(c, "code_challenge_method", "plain"))
	wantCode(t, err, InvalidRequest)
	empty := ask(c, "code_challenge_method", "")
	empty.Set("code_challenge", "")
	_, err = r.ParseAuthorize(t.Context(), empty)
	wantCode(t, err, InvalidRequest)
}

// TestAuthorize_Hint is security cases AZ-28 and JW-01 for id_token_hint (OIDC Core §3.1.2.1).
func TestAuthorize_Hint(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, other := r.newClient(client.Web, nil), r.newClient(client.Web, nil)
	tok := r.tokens(c)
	r.clock.Advance(2 * time.Hour) // expired hints are fine
	req, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", tok.IDToken))
	check(t, err)
	if req.HintSubject != string(r.user) {
		t.Errorf("hint names %q", req.HintSubject)
	}
	sign := func(iss string) string {
		body, _ := json.Marshal(idClaims{Issuer: iss, Subject: string(r.user), Audience: audience{string(c)}})
		return must(r.keys.Sign(keys.ES256, "JWT", body))
	}
	parts := strings.Split(tok.IDToken, ".")
	for name, hint := range map[string]string{
		"access token":   tok.AccessToken,
		"other client's": r.tokens(other).IDToken,
		"other issuer":   sign("https://evil.test"),
		"alg none":       "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".",
		"no signature":   parts[0] + "." + parts[1] + ".",
		"huge":           strings.Repeat("a", 9000),
		"dots":           strings.Repeat(".", 9000),
	} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint))
		if err == nil || AsError(err).Code != InvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A retired key still verifies hints.
	if _, err := r.keys.Rotate(t.Context(), keys.ES256, true); err != nil {
		t.Fatal(err)
	}
	check(t, r.keys.Load(t.Context()))
	_, err = r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", tok.IDToken))
	wantCode(t, err, "")
}

// TestIssue_Rereads: the one issuing function looks again at everything.
func TestIssue_Rereads(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		third := func() id.Client {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
			req, err := r.ParseAuthorize(t.Context(), ask(c))
			check(t, err)
			check(t, r.Approve(t.Context(), req, r.user))
			return c
		}
		for name, tc := range map[string]struct {
			act  func(c id.Client, req *Request)
			code string
		}{
			"nothing": {func(id.Client, *Request) {}, ""},
			"user disabled": {func(id.Client, *Request) {
				r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
			}, LoginRequired},
			"user deleted":  {func(id.Client, *Request) { r.exec(`DELETE FROM account WHERE id = $1`, string(r.user)) }, LoginRequired},
			"session ended": {func(id.Client, *Request) { r.exec(`DELETE FROM session WHERE id = $1`, string(r.session)) }, LoginRequired},
			"session expired": {func(id.Client, *Request) {
				r.exec(`UPDATE session SET expires_at = 1 WHERE id = $1`, string(r.session))
			}, LoginRequired},
			"other's session":   {func(id.Client, *Request) { r.session = r.newSession(r.newUser()) }, LoginRequired},
			"consent withdrawn": {func(c id.Client, _ *Request) { check(t, r.RevokeClient(t.Context(), r.user, c)) }, LoginRequired},
			"consent narrowed": {func(c id.Client, _ *Request) {
				check(t, r.RevokeClient(t.Context(), r.user, c))
				r.clock.Advance(time.Second)
				check(t, r.Approve(t.Context(), &Request{ClientID: c, Scopes: []string{"openid"}}, r.user))
			}, LoginRequired},
			"client disabled": {func(c id.Client, _ *Request) { check(t, r.clients.Disable(t.Context(), c)) }, InvalidClient},
			"redirect removed": {func(c id.Client, _ *Request) {
				r.edit(c, func(m *client.Metadata) { m.RedirectURIs = []string{"https://rp.test/new"} })
			}, InvalidClient},
			"scopes removed": {func(c id.Client, _ *Request) {
				r.edit(c, func(m *client.Metadata) { m.Scopes = []string{"phone"}; m.GrantTypes = m.GrantTypes[:1] })
			}, InvalidScope},
		} {
			r.user = r.newUser()
			r.session = r.newSession(r.user)
			c := third()
			req, err := r.ParseAuthorize(t.Context(), ask(c))
			check(t, err)
			s, res, err := r.MissingConsent(t.Context(), req, r.user)
			check(t, err)
			if len(s)+len(res) > 0 {
				t.Fatalf("%s: consent missing for %v %v", name, s, res)
			}
			before := r.count(`SELECT COUNT(*) FROM oauth_grant`)
			tc.act(c, req)
			_, err = r.Issue(t.Context(), req, r.login())
			if e := wantCode(t, err, tc.code); e != nil && (e.Redirect == nil) != (e.Code == InvalidClient) {
				t.Errorf("%s: redirect %v", name, e.Redirect)
			}
			if err != nil && name != "user deleted" && r.count(`SELECT COUNT(*) FROM oauth_grant`) > before {
				t.Errorf("%s: a grant was written all the same", name)
			}
		}
	})
}

// TestIssue_ClientDeletedElsewhere: an instance that has not heard of it yet meets the missing row.
// That is the same answer as a moment later, not a fault of ours.
func TestIssue_ClientDeletedElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for name, firstParty := range map[string]bool{"issue": true, "approve": false} {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = firstParty })
			stale := r.again(r.db, r.db)
			req, err := stale.ParseAuthorize(t.Context(), ask(c))
			check(t, err)
			check(t, r.clients.Delete(t.Context(), c))
			if firstParty {
				_, err = stale.Issue(t.Context(), req, stale.login())
			} else {
				err = stale.Approve(t.Context(), req, stale.user)
				_, _, err2 := r.MissingConsent(t.Context(), req, r.user) // a journey that outlives its client
				wantCode(t, err2, InvalidClient)
			}
			if e := wantCode(t, err, InvalidClient); e != nil && (e.Redirect != nil || e.Status != 400) {
				t.Errorf("%s: %+v", name, e)
			}
		}
	})
}

// TestConsent_Rules: AZ-20 and the rule for clients that anybody on the device can imitate.
func TestConsent_Rules(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		missing := func(c id.Client, form url.Values) []string {
			req, err := r.ParseAuthorize(t.Context(), form)
			check(t, err)
			s, _, err := r.MissingConsent(t.Context(), req, r.user)
			check(t, err)
			return s
		}
		approve := func(form url.Values) {
			req, err := r.ParseAuthorize(t.Context(), form)
			check(t, err)
			check(t, r.Approve(t.Context(), req, r.user))
		}
		first := r.newClient(client.Web, nil)
		if got := missing(first, ask(first)); len(got) > 0 {
			t.Errorf("first party asks for %v", got)
		}
		third := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
		if got := missing(third, ask(third, "scope", "openid")); len(got) != 1 {
			t.Errorf("third party asks for %v", got)
		}
		approve(ask(third, "scope", "openid read"))
		if got := missing(third, ask(third, "scope", "openid read")); len(got) > 0 {
			t.Errorf("asked again for %v", got)
		}
		if got := missing(third, ask(third, "scope", "openid read write")); len(got) != 1 || got[0] != "write" {
			t.Errorf("widened: asks for %v, want write", got)
		}
		check(t, r.RevokeClient(t.Context(), r.user, third))
		if got := missing(third, ask(third, "scope", "openid")); len(got) != 1 {
			t.Errorf("after revocation asks for %v", got)
		}
		for _, uri := range []string{"http://127.0.0.1/cb", "com.example.app:/cb"} {
			native := r.newClient(client.Native, func(m *client.Metadata) { m.FirstParty, m.RedirectURIs = false, []string{uri} })
			form := ask(native, "redirect_uri", uri, "scope", "openid")
			approve(form)
			if got := missing(native, form); len(got) != 1 {
				t.Errorf("%s is approved silently (RFC 8252 §8.6)", uri)
			}
			r.code(form) // what was approved in a journey is issued
		}
		apps, err := r.Applications(t.Context(), r.user)
		check(t, err)
		if len(apps) != 2 {
			t.Errorf("%d applications, want the two native ones", len(apps))
		}
	})
}
