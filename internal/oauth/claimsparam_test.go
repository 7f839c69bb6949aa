package oauth

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// TestClaims_ByName: single claims without their scope, where they were asked for and nowhere else
// (OIDC Core §5.5, §5.5.1). Conformance: oidcc-claims-essential.
func TestClaims_ByName(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			for name, tc := range map[string]struct{ claims, userinfo, idToken string }{
				"userinfo":           {`{"userinfo":{"name":{"essential":true}}}`, "name sub", ""},
				"id_token":           {`{"id_token":{"email":null,"email_verified":{"essential":true}}}`, "sub", "email email_verified"},
				"both":               {`{"userinfo":{"address":null},"id_token":{"phone_number":null}}`, "address sub", "phone_number"},
				"not known here":     {`{"userinfo":{"shoe_size":null,"name#ja-Kana-JP":null},"id_token":{"shoe_size":null},"more":7}`, "sub", ""},
				"forms of the suite": {`{"userinfo":{"name":null,"email":{},"locale":{"essential":false},"updated_at":{"x9":"y"}},"elsewhere":{"name":null}}`, "email locale name sub updated_at", ""},
				"nothing to say":     {`{"userinfo":{"website":{"essential":true}}}`, "sub", ""},
				"the value it has":   {`{"userinfo":{"locale":{"value":"ko"},"email_verified":{"values":[true]},"updated_at":{"values":[1,2]}}}`, "email_verified locale sub updated_at", ""},
				"another value":      {`{"userinfo":{"locale":{"value":"en"},"email_verified":{"value":"true"},"name":{"values":["A","B"]}}}`, "sub", ""},
				"a value as object":  {`{"userinfo":{"address":{"value":{ "country" : "KR" }}}}`, "address sub", ""},
				"null is no section": {`{"userinfo":null,"id_token":{"sub":null}}`, "sub", ""},
				"protocol claims":    {`{"id_token":{"iss":{"value":"https://evil.test"},"aud":null,"nonce":{"value":"x"},"auth_time":{"essential":true},"at_hash":null}}`, "sub", ""},
			} {
				tok := r.tokens(c, "scope", "openid", "claims", tc.claims)
				info, err := r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
				check(t, err)
				if got := strings.Join(slices.Sorted(maps.Keys(info.Claims)), " "); got != tc.userinfo {
					t.Errorf("%s: userinfo has %q, want %q", name, got, tc.userinfo)
				}
				id := claimsOf(t, tok.IDToken)
				if id["iss"] != testIssuer || id["aud"] != string(c) || id["nonce"] != "n-1" || id["sub"] != string(r.user) {
					t.Errorf("%s: ID token %v", name, id)
				}
				if got := strings.Join(personal(id), " "); got != tc.idToken {
					t.Errorf("%s: ID token has %q, want %q", name, got, tc.idToken)
				}
			}
		}
	})
}

// personal lists those claims of a token that are about the person.
func personal(claims map[string]any) (out []string) {
	for name := range claims {
		if scopeOfClaim[name] != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// TestClaims_ScopesStayAtUserinfo: where there is an access token, the claims of scopes are at userinfo
// (OIDC Core §5.4). Conformance: oidcc-scope-profile, -email, -address, -phone, -all.
func TestClaims_ScopesStayAtUserinfo(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	c := r.hybridClient(nil)
	const all = "openid profile email address phone"
	for _, rt := range client.ResponseTypes() {
		p := r.answer(ask(c, "response_type", rt, "scope", all)).Params
		tokens := []string{p.Get("id_token")}
		if p.Get("code") != "" {
			tokens = append(tokens, must(r.exchange(c, p.Get("code"))).IDToken)
		}
		for _, token := range tokens {
			if token == "" {
				continue
			}
			got := personal(claimsOf(t, token))
			if (len(got) > 0) != (rt == "id_token") {
				t.Errorf("%s: ID token has %v", rt, got)
			}
			if rt == "id_token" {
				claims := claimsOf(t, token)
				if claims["email_verified"] != true || !cmp.Equal(claims["address"], map[string]any{"country": "KR"}) {
					t.Errorf("types: %v", claims)
				}
			}
		}
	}
}

// TestClaims_OnlyRegistered is security case JW-14: the claims parameter opens nothing that a scope
// would not, now or later.
func TestClaims_OnlyRegistered(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		const both = `{"userinfo":{"email":null,"phone_number":{"essential":true}},"id_token":{"email":null}}`
		c := r.newClient(client.Web, func(m *client.Metadata) { m.Scopes = []string{"openid", "email"} })
		tok := r.tokens(c, "scope", "openid", "claims", both)
		info := must(r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken))
		if info.Claims["email"] != "kim@rp.test" || info.Claims["phone_number"] != nil || info.Claims["email_verified"] != nil {
			t.Errorf("userinfo: %v", info.Claims)
		}
		r.edit(c, func(m *client.Metadata) { m.Scopes = []string{"openid"} })
		if info = must(r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)); len(info.Claims) != 1 {
			t.Errorf("after the scope was taken away: %v", info.Claims)
		}
		// Without openid there is neither userinfo nor an ID token to ask for.
		plain := r.newClient(client.Web, nil)
		req, err := r.ParseAuthorize(t.Context(), ask(plain, "scope", "read", "claims", both))
		check(t, err)
		if req.Claims != nil {
			t.Errorf("claims without openid: %+v", req.Claims)
		}
	})
}

// TestClaims_Consent: a person is asked for the scope that would open the claim, and what is taken
// back is gone (security cases AZ-20, JW-14).
func TestClaims_Consent(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
		plain := must(r.ParseAuthorize(t.Context(), ask(c, "scope", "openid")))
		check(t, r.Approve(t.Context(), plain, r.user))
		req := must(r.ParseAuthorize(t.Context(), ask(c, "scope", "openid", "claims", `{"userinfo":{"name":null,"email":null},"id_token":{"email":null}}`)))
		scopes, _, err := r.MissingConsent(t.Context(), req, r.user)
		check(t, err)
		if d := cmp.Diff([]string{"profile", "email"}, scopes); d != "" {
			t.Errorf("asked for %s", d)
		}
		_, err = r.Issue(t.Context(), req, r.login())
		wantCode(t, err, ConsentRequired)
		check(t, r.Approve(t.Context(), req, r.user))
		resp, err := r.Issue(t.Context(), req, r.login())
		check(t, err)
		tok, err := r.exchange(c, resp.Params.Get("code"))
		check(t, err)
		info := must(r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken))
		if info.Claims["name"] == nil || tok.Scope != "openid" {
			t.Errorf("scope %q, userinfo %v", tok.Scope, info.Claims)
		}
		check(t, r.RevokeClient(t.Context(), r.user, c))
		_, err = r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
		wantCode(t, err, InvalidToken)
	})
}

// TestClaims_LastAsLongAsTheGrant: a refresh asks for nothing new and takes nothing away (OIDC Core
// §12.2), and what is released is what is known then.
func TestClaims_LastAsLongAsTheGrant(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c, "scope", "openid offline_access", "claims", `{"userinfo":{"name":null},"id_token":{"email":null}}`)
		r.clock.Advance(time.Hour)
		next, err := r.refresh(c, tok.RefreshToken)
		check(t, err)
		if got := claimsOf(t, next.IDToken)["email"]; got != "kim@rp.test" {
			t.Errorf("ID token after a refresh: %v", got)
		}
		if info := must(r.Userinfo(t.Context(), Call{}, "Bearer", next.AccessToken)); info.Claims["name"] == nil {
			t.Errorf("userinfo after a refresh: %v", info.Claims)
		}
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		_, err = r.refresh(c, next.RefreshToken)
		wantCode(t, err, InvalidGrant)
	})
}

// TestClaims_Refuses: what is not of the form of OIDC Core §5.5.1 is refused whole, never read in part
// (security case AZ-27).
func TestClaims_Refuses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	for _, text := range []string{
		"x", "[]", `"userinfo"`, "null", "{", `{"userinfo":{}} {}`, `{"userinfo":[]}`, `{"userinfo":{"name":7}}`, `{"userinfo":{"name":"x"}}`, `{"id_token":true}`,
		`{"userinfo":{"name":{"essential":"yes"}}}`, `{"userinfo":{"name":{"essential":null}}}`, `{"userinfo":{"name":{"values":"x"}}}`,
		`{"userinfo":{"name":{"values":null}}}`, `{"userinfo":{"name":{"value":"x","values":["y"]}}}`, `{"userinfo":{"name":null,"name":null}}`,
		`{"userinfo":{},"userinfo":{}}`, `{"id_token":{"name":{"essential":true,"essential":false}}}`,
		`{"userinfo":{"name":{"value":"` + strings.Repeat("x", maxClaimValue) + `"}}}`,
		`{"userinfo":{"name":{"values":["a"` + strings.Repeat(`,"a"`, maxClaimValues) + `]}}}`,
		`{"userinfo":{` + manyClaims(maxClaimNames+1) + `}}`, `{"userinfo":{}}` + strings.Repeat(" ", maxClaimsText), strings.Repeat(`{"userinfo":`, 3000),
		`{"id_token":{"sub":{"value":7}}}`, `{"id_token":{"sub":{"value":""}}}`, `{"id_token":{"sub":{"values":["a","b"]}}}`,
		`{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`, `{"id_token":{"acr":{"values":[1]}}}`, `{"id_token":{"acr":{"value":""}}}`,
	} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "claims", text))
		if e := wantCode(t, err, InvalidRequest); e == nil || e.Redirect == nil {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	for _, text := range []string{`{}`, `{"userinfo":{}}`, `{"userinfo":{` + manyClaims(maxClaimNames) + `}}`, `{"userinfo":{"name":{"essential":false,"purpose":"x"}}}`} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "claims", text))
		wantCode(t, err, "")
	}
}

func manyClaims(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = `"c` + strings.Repeat("x", i) + `":null`
		if i > 30 {
			names[i] = `"` + id.New()[20:] + `":null`
		}
	}
	return strings.Join(names, ",")
}

// TestClaims_Subject: a sub that is asked for names who must sign in, as a hint does (OIDC Core §5.5.1,
// §3.1.2.1; security case JW-14): it never makes another's data reachable.
func TestClaims_Subject(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	other := r.newUser()
	hint := r.tokens(c).IDToken
	for _, section := range []string{"id_token", "userinfo"} {
		req := must(r.ParseAuthorize(t.Context(), ask(c, "claims", `{"`+section+`":{"sub":{"value":"`+string(r.user)+`"}}}`)))
		if !r.Hinted(req, r.user) || r.Hinted(req, other) || r.Hinted(req, "") {
			t.Errorf("%s: hint %q", section, req.HintSubject)
		}
	}
	req := must(r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"`+string(r.user)+`"}}}`)))
	if !r.Hinted(req, r.user) {
		t.Error("a hint and a claim that agree are not taken")
	}
	_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"`+string(other)+`"}}}`))
	wantCode(t, err, InvalidRequest)
	if req = must(r.ParseAuthorize(t.Context(), ask(c))); r.Hinted(req, r.user) {
		t.Error("nobody was hinted at")
	}
}

// TestClaims_ACR: an essential class is a demand that the last step checks, a voluntary one a wish
// (OIDC Core §5.5.1.1). Conformance: oidcc-ensure-request-with-acr-values-succeeds.
func TestClaims_ACR(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	const one, two = "urn:signet:acr:1fa", "urn:signet:acr:2fa"
	for name, tc := range map[string]struct {
		claims, acr string
		values      []string
		essential   bool
		code        string
	}{
		"essential, reached":     {`{"id_token":{"acr":{"essential":true,"values":["` + two + `","` + one + `"]}}}`, "", []string{two, one}, true, ""},
		"essential, missed":      {`{"id_token":{"acr":{"essential":true,"value":"` + two + `"}}}`, "", []string{two}, true, UnmetRequirements},
		"essential, unknown":     {`{"id_token":{"acr":{"essential":true,"value":"urn:else"}}}`, "", []string{"urn:else"}, true, UnmetRequirements},
		"voluntary, missed":      {`{"id_token":{"acr":{"value":"` + two + `"}}}`, "", []string{two}, false, ""},
		"any class will do":      {`{"id_token":{"acr":{"essential":true}}}`, "1 2", []string{"1", "2"}, false, ""},
		"before acr_values":      {`{"id_token":{"acr":{"essential":true,"value":"` + one + `"}}}`, two, []string{one}, true, ""},
		"acr_values, unknown":    {"", "1 2", []string{"1", "2"}, false, ""},
		"at userinfo, no demand": {`{"userinfo":{"acr":{"essential":true,"value":"` + two + `"}}}`, "", nil, false, ""},
	} {
		form := ask(c, "claims", tc.claims, "acr_values", tc.acr)
		req, err := r.ParseAuthorize(t.Context(), form)
		check(t, err)
		if !slices.Equal(req.ACRValues, tc.values) || req.ACREssential != tc.essential {
			t.Errorf("%s: %v, essential %v", name, req.ACRValues, req.ACREssential)
		}
		resp, err := r.Issue(t.Context(), req, r.login())
		if e := wantCode(t, err, tc.code); e != nil {
			if e.Redirect == nil {
				t.Errorf("%s: the application is not told", name)
			}
			continue
		}
		if got := claimsOf(t, must(r.exchange(c, resp.Params.Get("code"))).IDToken); got["acr"] != one {
			t.Errorf("%s: acr %v", name, got["acr"])
		}
	}
}

// TestClaims_Defaults: what a client registered counts where its request says nothing (OIDC Registration
// §2: default_max_age, default_acr_values).
func TestClaims_Defaults(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	hour := int64(3600)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.DefaultMaxAge, m.DefaultACRValues = &hour, []string{"a", "b"} })
	for name, tc := range map[string]struct {
		pairs []string
		age   int64
		acr   []string
	}{
		"says nothing":     {nil, 3600, []string{"a", "b"}},
		"max_age":          {[]string{"max_age", "0"}, 0, []string{"a", "b"}},
		"acr_values":       {[]string{"acr_values", "c"}, 3600, []string{"c"}},
		"acr by the claim": {[]string{"claims", `{"id_token":{"acr":{"value":"d"}}}`}, 3600, []string{"d"}},
	} {
		req := must(r.ParseAuthorize(t.Context(), ask(c, tc.pairs...)))
		if req.MaxAge == nil || *req.MaxAge != tc.age || !slices.Equal(req.ACRValues, tc.acr) {
			t.Errorf("%s: %v, %v", name, req.MaxAge, req.ACRValues)
		}
	}
	if req := must(r.ParseAuthorize(t.Context(), ask(r.newClient(client.Web, nil)))); req.MaxAge != nil || req.ACRValues != nil {
		t.Errorf("without registration: %+v", req)
	}
	if claimsOf(t, r.tokens(c).IDToken)["auth_time"] == nil { // OIDC Core §2: required with max_age
		t.Error("no auth_time")
	}
}

// TestHint_OtherTokens: no other JWT of ours passes as an ID token, whatever its typ (RFC 8725 §3.11).
func TestHint_OtherTokens(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	for name, claims := range map[string]any{
		"no subject": idClaims{Issuer: testIssuer, Audience: audience{string(c)}, Expires: 9},
		"no expiry":  map[string]any{"iss": testIssuer, "aud": string(c), "sub": string(r.user)}, // userinfo as a JWT
	} {
		hint := must(r.keys.Sign(keys.ES256, typID, must(json.Marshal(claims))))
		_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint))
		if wantCode(t, err, InvalidRequest) == nil {
			t.Error(name)
		}
	}
}

// FuzzParseClaims: whatever comes, what is kept can be stored and read again, and is within the limits.
func FuzzParseClaims(f *testing.F) {
	for _, s := range []string{
		`{"userinfo":{"name":{"essential":true},"x":null},"id_token":{"acr":{"values":["a","b"]},"sub":{"value":"u"}}}`,
		`{"userinfo":null}`, `{"a":{"b":[[[[]]]]}}`, `{"userinfo":{"name":{"value":{"a":1}}}}`, "{}", "[", "\"\\ud800\"", `{"userinfo":{"a":{"value":1e999}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseClaims(text)
		if err != nil {
			return
		}
		if len(text) > maxClaimsText || len(got.Userinfo) > maxClaimNames || len(got.IDToken) > maxClaimNames {
			t.Fatalf("%d bytes, %d and %d claims", len(text), len(got.Userinfo), len(got.IDToken))
		}
		params := grantParams{Claims: got}
		row, err := params.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeParams(row)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := back.encode(); err != nil || again != row {
			t.Fatalf("%s came back as %s (%v)", row, again, err)
		}
		for _, c := range got.IDToken {
			oneOf("x", c.wanted())
		}
	})
}
