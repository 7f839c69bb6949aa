package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// TestToken_CodeFlow checks the tokens of a plain flow, claim by claim (RFC 9068 §2.2, OIDC Core
// §2, §3.1.3.6).
func TestToken_CodeFlow(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c)
		if tok.TokenType != "Bearer" || tok.ExpiresIn != 600 || tok.RefreshToken == "" || tok.Scope != "openid profile offline_access read" {
			t.Errorf("response: %+v", tok)
		}
		now := float64(r.clock.Now().Unix())
		at := claimsOf(t, tok.AccessToken)
		delete(at, "jti")
		delete(at, "gid")
		want := map[string]any{
			"iss": testIssuer, "sub": string(r.user), "aud": []any{testAPI, testIssuer}, "client_id": string(c), "iat": now, "exp": now + 600,
			"scope": "openid profile offline_access read", "auth_time": now - 60, "acr": "urn:signet:acr:1fa", "amr": []any{"pwd"}, "sid": string(r.session),
		}
		if d := cmp.Diff(want, at); d != "" {
			t.Errorf("access token (-want +got):\n%s", d)
		}
		idt := claimsOf(t, tok.IDToken)
		want = map[string]any{
			"iss": testIssuer, "sub": string(r.user), "aud": string(c), "iat": now, "exp": now + 600, "auth_time": now - 60, "nonce": "n-1",
			"acr": "urn:signet:acr:1fa", "amr": []any{"pwd"}, "sid": string(r.session), "at_hash": leftHash("ES256", tok.AccessToken),
		}
		if d := cmp.Diff(want, idt); d != "" {
			t.Errorf("ID token (-want +got):\n%s", d)
		}
		if !r.active(c, tok.AccessToken) {
			t.Error("the access token is not active")
		}
	})
}

// TestToken_F5_PKCEStrip is fosite trap 1 (security case TK-06): a wrong verifier, then
// none, then the right one.
func TestToken_F5_PKCEStrip(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		lax := r.newClient(client.Web, func(m *client.Metadata) { m.RequirePKCE = false })
		for _, c := range []id.Client{r.newClient(client.Web, nil), r.newClient(client.SPA, nil), lax} {
			code := r.code(ask(c))
			for _, verifier := range []string{strings.Repeat("x", 43), "", testVerifier} {
				form := exchangeForm(code)
				form.Set("code_verifier", verifier)
				_, err := r.post(c, form)
				wantCode(t, err, InvalidGrant)
			}
		}
	})
}

// TestToken_Verifier is security case TK-05 (RFC 7636 §4.1, §4.6).
func TestToken_Verifier(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.SPA, nil)
	long := strings.Repeat("a", 129)
	short := strings.Repeat("a", 42)
	bad := strings.Repeat("a", 42) + "!"
	for name, tc := range map[string]struct{ challenge, verifier string }{
		"missing":       {testChallenge, ""},
		"wrong":         {testChallenge, strings.Repeat("a", 43)},
		"the challenge": {testChallenge, testChallenge},
		"too short":     {s256(short), short},
		"too long":      {s256(long), long},
		"illegal":       {s256(bad), bad},
		"newline":       {testChallenge, testVerifier + "\n"},
	} {
		form := exchangeForm(r.code(ask(c, "code_challenge", tc.challenge)))
		form.Set("code_verifier", tc.verifier)
		if _, err := r.post(c, form); err == nil || AsError(err).Code != InvalidGrant {
			t.Errorf("%s: %v", name, err)
		}
	}
	lax := r.newClient(client.Web, func(m *client.Metadata) { m.RequirePKCE = false })
	code := r.code(ask(lax, "code_challenge", "", "code_challenge_method", ""))
	_, err := r.exchange(lax, code) // RFC 9700 §4.8.2: a verifier without a challenge
	wantCode(t, err, InvalidGrant)
	form := exchangeForm(r.code(ask(lax, "code_challenge", "", "code_challenge_method", "")))
	form.Del("code_verifier")
	_, err = r.post(lax, form)
	wantCode(t, err, "")
}

// TestToken_ReusedCodeRevokesGrant: the second use of a code ends what the first gave (RFC 6749
// §4.1.2), and the revocation survives the error (fosite trap 4).
func TestToken_ReusedCodeRevokesGrant(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, scope := range []string{"openid offline_access", "openid"} {
			c := r.newClient(client.Web, nil)
			code := r.code(ask(c, "scope", scope))
			tok, err := r.exchange(c, code)
			check(t, err)
			before := r.audited("grant.revoked")
			r.clock.Advance(2 * time.Minute) // the code has expired, and its reuse still counts
			_, err = r.exchange(c, code)
			wantCode(t, err, InvalidGrant)
			if r.active(c, tok.AccessToken) {
				t.Errorf("%s: the access token outlives the reuse of its code", scope)
			}
			if tok.RefreshToken != "" {
				_, err = r.refresh(c, tok.RefreshToken)
				wantCode(t, err, InvalidGrant)
			}
			if r.audited("grant.revoked") != before+1 {
				t.Error("the reuse is not in the audit log")
			}
		}
	})
}

// TestToken_F16_ForeignClient is security case TK-02: another client's attempt, before or after
// redemption, has no effect on the owner (fosite trap 5).
func TestToken_F16_ForeignClient(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		owner, thief, public := r.newClient(client.Web, nil), r.newClient(client.Web, nil), r.newClient(client.SPA, nil)
		code := r.code(ask(owner))
		for _, c := range []id.Client{thief, public} {
			_, err := r.exchange(c, code)
			wantCode(t, err, InvalidGrant)
		}
		tok, err := r.exchange(owner, code)
		wantCode(t, err, "")
		for _, c := range []id.Client{thief, public} {
			_, err := r.exchange(c, code) // a used code
			wantCode(t, err, InvalidGrant)
			_, err = r.refresh(c, tok.RefreshToken)
			wantCode(t, err, InvalidGrant)
		}
		next, err := r.refresh(owner, tok.RefreshToken)
		wantCode(t, err, "")
		_, err = r.refresh(public, tok.RefreshToken) // a used refresh token
		wantCode(t, err, InvalidGrant)
		if !r.active(owner, tok.AccessToken) || !r.active(owner, next.AccessToken) {
			t.Error("a foreign client killed the owner's tokens")
		}
		if r.audited("grant.foreign") == 0 {
			t.Error("the attempts are not in the audit log")
		}
	})
}

// TestToken_ExpiredCode is security case TK-03.
func TestToken_ExpiredCode(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		for _, late := range []time.Duration{time.Minute, time.Minute + time.Second, 24 * time.Hour} {
			code := r.code(ask(c))
			r.clock.Advance(late)
			_, err := r.exchange(c, code)
			wantCode(t, err, InvalidGrant)
		}
		code := r.code(ask(c))
		r.clock.Advance(59 * time.Second)
		_, err := r.exchange(c, code)
		wantCode(t, err, "")
	})
}

// TestToken_RedirectURI is security case TK-04 (RFC 6749 §4.1.3).
func TestToken_RedirectURI(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	code := r.code(ask(c))
	for _, uri := range []string{"", testRedirect + "/2", strings.ToUpper(testRedirect), testRedirect + "?x=1"} {
		form := exchangeForm(code)
		form.Set("redirect_uri", uri)
		_, err := r.post(c, form)
		wantCode(t, err, InvalidGrant)
	}
}

// TestToken_BetweenIssueAndRedemption is security case TK-22: what happens meanwhile counts.
func TestToken_BetweenIssueAndRedemption(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for name, act := range map[string]func(c id.Client){
			"user disabled":   func(id.Client) { r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user)) },
			"client disabled": func(c id.Client) { check(t, r.clients.Disable(t.Context(), c)) },
			"consent revoked": func(c id.Client) { check(t, r.RevokeClient(t.Context(), r.user, c)) },
			"logged out":      func(id.Client) { r.signOut(t) },
		} {
			r.user = r.newUser()
			r.session = r.newSession(r.user)
			c := r.newClient(client.Web, nil)
			code := r.code(ask(c))
			tok := r.tokens(c)
			act(c)
			_, err := r.exchange(c, code)
			_, err2 := r.refresh(c, tok.RefreshToken)
			want := InvalidGrant
			if name == "client disabled" {
				want = InvalidClient
			}
			for _, e := range []error{err, err2} {
				if e == nil || AsError(e).Code != want {
					t.Errorf("%s: %v, want %s", name, e, want)
				}
			}
			if r.active(c, tok.AccessToken) {
				t.Errorf("%s: the access token is still active", name)
			}
		}
		c := r.newClient(client.Web, nil)
		r.user = r.newUser()
		r.session = r.newSession(r.user)
		code := r.code(ask(c))
		r.edit(c, func(m *client.Metadata) { m.Scopes = []string{"openid", "offline_access"} })
		tok, err := r.exchange(c, code)
		wantCode(t, err, "")
		if tok != nil && tok.Scope != "openid offline_access" {
			t.Errorf("scope %q is not narrowed to the client's", tok.Scope)
		}
	})
}

// TestToken_RevokedMeanwhile: a grant that is revoked between the reading and the writing of one
// request gives nothing.
func TestToken_RevokedMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.RefreshGrace = 0 })
		code, tok := r.code(ask(c)), r.tokens(c)
		for name, act := range map[string]func(d *rig) error{
			"exchange": func(d *rig) error { _, err := d.exchange(c, code); return err },
			"refresh":  func(d *rig) error { _, err := d.refresh(c, tok.RefreshToken); return err },
		} {
			hooked := r.db.Wrapped(func(q store.Querier) store.Querier {
				return &beforeWrite{q, func() { r.signOut(t) }}
			})
			err := act(r.again(r.db, hooked))
			if err == nil || AsError(err).Code != InvalidGrant {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestToken_DeletedMeanwhile: the same where the grant goes altogether, with its user or client.
func TestToken_DeletedMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		tok := r.tokens(c)
		_, err := r.refresh(c, tok.RefreshToken)
		check(t, err)
		hooked := r.db.Wrapped(func(q store.Querier) store.Querier {
			return &beforeWrite{q, func() { r.exec(`DELETE FROM oauth_grant WHERE client_id = $1`, string(c)) }}
		})
		_, err = r.again(r.db, hooked).refresh(c, tok.RefreshToken) // within the grace window
		wantCode(t, err, InvalidGrant)
	})
}

// beforeWrite runs fn before a step or an opaque token is written.
type beforeWrite struct {
	store.Querier
	fn func()
}

func (b *beforeWrite) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if sql == sqlInsertAccess {
		b.fn()
	}
	return b.Querier.Exec(ctx, sql, args...)
}

func (b *beforeWrite) QueryRow(ctx context.Context, sql string, args ...any) store.Row {
	if sql == sqlInsertStep {
		b.fn()
	}
	return b.Querier.QueryRow(ctx, sql, args...)
}

// TestToken_GrantTypes is security case TK-16; an unknown grant is unsupported_grant_type, which
// fosite never sends (docs/fosite.md).
func TestToken_GrantTypes(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	web, machine := r.newClient(client.Web, nil), r.newClient(client.Machine, nil)
	for grant, want := range map[string]string{
		"": InvalidRequest, "password": UnsupportedGrantType, "implicit": UnsupportedGrantType, "unknown": UnsupportedGrantType,
		"authorization_code refresh_token": UnsupportedGrantType, strings.Repeat("x", 1<<20): UnsupportedGrantType,
		"client_credentials": UnauthorizedClient,
	} {
		_, err := r.post(web, values("grant_type", grant))
		wantCode(t, err, want)
	}
	for _, grant := range []string{"authorization_code", "refresh_token"} {
		_, err := r.post(machine, values("grant_type", grant))
		wantCode(t, err, UnauthorizedClient)
	}
	form := values("grant_type", "client_credentials", "grant_type", "client_credentials")
	_, err := r.post(machine, form)
	wantCode(t, err, InvalidRequest)
}

// TestToken_HugeInput is security case TK-17: what is too long is refused whole, never dropped.
func TestToken_HugeInput(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	web, machine := r.newClient(client.Web, nil), r.newClient(client.Machine, nil)
	code, tok := r.code(ask(web)), r.tokens(web)
	for _, n := range []int{5_000, 5_000_000} {
		huge := strings.Repeat("a", n)
		for name, tc := range map[string]struct {
			by   id.Client
			form url.Values
			code string
		}{
			"code":          {web, exchangeForm(code + huge), InvalidGrant},
			"refresh token": {web, values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken+huge), InvalidGrant},
			"refresh scope": {web, values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken, "scope", "read "+huge), InvalidScope},
			"resource":      {web, values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken, "resource", testAPI+"/"+huge), InvalidTarget},
			"machine scope": {machine, credentialsForm("scope", "read "+huge), InvalidScope},
			"machine API":   {machine, credentialsForm("resource", testAPI+"/"+huge), InvalidTarget},
		} {
			if _, err := r.post(tc.by, tc.form); err == nil || AsError(err).Code != tc.code {
				t.Errorf("%s of %d: %v, want %s", name, n, err, tc.code)
			}
		}
		h, form := r.as(machine, credentialsForm("client_secret", huge))
		h.Del("Authorization")
		form.Set("client_id", string(machine))
		_, err := r.Token(t.Context(), post(h, form))
		wantCode(t, err, InvalidClient)
	}
	_, err := r.refresh(web, tok.RefreshToken) // none of it counted as a use
	wantCode(t, err, "")
	verifier := exchangeForm(code)
	verifier.Set("code_verifier", testVerifier+strings.Repeat("a", 5_000))
	_, err = r.post(web, verifier)
	wantCode(t, err, InvalidGrant)
}

// TestToken_ClientCredentials is security case TK-24 (RFC 6749 §4.4, RFC 9700 §4.15).
func TestToken_ClientCredentials(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.newClient(client.Machine, func(m *client.Metadata) { m.AccessTokenFormat = format })
			tok, err := r.post(c, values("grant_type", "client_credentials", "scope", "read"))
			check(t, err)
			if tok.IDToken != "" || tok.RefreshToken != "" || tok.Scope != "read" {
				t.Errorf("%+v", tok)
			}
			out, err := r.introspect(c, tok.AccessToken)
			check(t, err)
			if !out.Active || out.Subject != string(c) || !slices.Equal(out.Audience, []string{testAPI}) {
				t.Errorf("%s: %+v", format, out)
			}
			_, err = r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
			wantCode(t, err, InsufficientScope)
			all, err := r.post(c, values("grant_type", "client_credentials"))
			check(t, err)
			if all.Scope != "read write" {
				t.Errorf("default scope %q", all.Scope)
			}
			for _, scope := range []string{"openid", "offline_access", "profile", "other", "unknown", "re\"ad"} {
				_, err := r.post(c, values("grant_type", "client_credentials", "scope", scope))
				wantCode(t, err, InvalidScope)
			}
			for _, res := range []string{otherAPI, "https://nowhere.test", testIssuer, "relative", testAPI + "#f"} {
				_, err := r.post(c, values("grant_type", "client_credentials", "resource", res))
				wantCode(t, err, InvalidTarget)
			}
		}
	})
}

// TestToken_FreshClaimsPerToken is docs/fosite.md: iat and jti are never inherited (RT-10).
func TestToken_FreshClaimsPerToken(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	first := r.tokens(c)
	r.clock.Advance(time.Hour)
	second, err := r.refresh(c, first.RefreshToken)
	check(t, err)
	a, b := claimsOf(t, first.AccessToken), claimsOf(t, second.AccessToken)
	if a["jti"] == b["jti"] || b["iat"].(float64) != a["iat"].(float64)+3600 || a["auth_time"] != b["auth_time"] {
		t.Errorf("access tokens: %v then %v", a, b)
	}
	x, y := claimsOf(t, first.IDToken), claimsOf(t, second.IDToken)
	for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
		if d := cmp.Diff(x[same], y[same]); d != "" {
			t.Errorf("%s changed: %s", same, d)
		}
	}
	if _, again := y["nonce"]; again || y["iat"] == x["iat"] {
		t.Errorf("refreshed ID token: %v", y) // OIDC Core §12.2
	}
}

// TestToken_Algorithms: each client gets ID tokens in its algorithm, with the right at_hash
// (docs/fosite.md: SHA-512 for Ed25519).
func TestToken_Algorithms(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for _, alg := range []string{"", "RS256", "EdDSA", "PS256"} { // PS256 has no key yet: one is made
		c := r.newClient(client.Web, func(m *client.Metadata) { m.IDTokenAlg = alg })
		tok := r.tokens(c)
		if _, err := r.keys.Verify(tok.IDToken, "JWT"); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		got, _ := claimsOf(t, tok.IDToken)["at_hash"].(string)
		if size := map[bool]int{true: 43, false: 22}[alg == "EdDSA"]; len(got) != size || got != leftHash(alg, tok.AccessToken) {
			t.Errorf("%s: at_hash %q", alg, got)
		}
	}
}

// TestToken_OfflineAccess is security case RT-11.
func TestToken_OfflineAccess(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	if tok := r.tokens(c, "scope", "openid"); tok.RefreshToken != "" {
		t.Error("a refresh token that was not asked for")
	}
	never := r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes, m.Scopes = []string{client.GrantAuthorizationCode}, []string{"openid", "profile", "read"}
	})
	if tok := r.tokens(never); tok.RefreshToken != "" || strings.Contains(tok.Scope, ScopeOfflineAccess) {
		t.Errorf("a client that may not refresh got %+v", tok)
	}
	third := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
	_, err := r.tryCode(ask(third))
	wantCode(t, err, ConsentRequired)
}

func (r *rig) introspect(c id.Client, token string, pairs ...string) (*Introspection, error) {
	h, form := r.as(c, values(append([]string{"token", token}, pairs...)...))
	return r.Introspect(r.t.Context(), post(h, form))
}
