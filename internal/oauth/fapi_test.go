package oauth

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// The rules of the FAPI 2.0 Security Profile that concern tokens, proofs and client assertions, one
// test per section, each naming the modules of the conformance suite (fapi2-security-profile-final-…)
// that try it. Those about requests are in push_test.go and requestobject_test.go.

// banker is an application under FAPI with everything that it holds.
type banker struct {
	*rig
	id id.Client
	k  clientKey
	p  prover
}

func newBanker(r *rig, edit func(m *client.Metadata)) banker {
	k := newClientKey(r.t)
	c := r.signing(k, func(m *client.Metadata) {
		m.Profile = client.ProfileFAPI2
		if edit != nil {
			edit(m)
		}
	})
	return banker{r, c, k, newProver(r.t)}
}

// call authenticates a form at a path, and proves p there (nothing for nil).
func (b banker) call(path string, form url.Values, p *prover) Call {
	b.t.Helper()
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", b.k.assertion(b.t, b.assertionClaims(b.id, nil), nil))
	call := post(http.Header{}, form)
	call.Path = path
	if p != nil {
		call = proven(call, p.proof(b.rig, set("htu", testIssuer+path)))
	}
	return call
}

func (b banker) code(pairs ...string) string {
	b.t.Helper()
	pushed, err := b.Push(b.t.Context(), b.call(pathTestPAR, ask(b.id, pairs...), nil))
	check(b.t, err)
	return b.rig.code(open(b.id, pushed.RequestURI))
}

func (b banker) send(form url.Values, p *prover) (*Tokens, error) {
	b.t.Helper()
	return b.Token(b.t.Context(), b.call(pathToken, form, p))
}

func (b banker) refresh(token string, p *prover) (*Tokens, error) {
	return b.send(values("grant_type", "refresh_token", "refresh_token", token, "scope", "openid offline_access"), p)
}

// TestFAPI_SenderConstrained: no token without a proof or certificate (§5.3.2.1 no. 5;
// ensure-holder-of-key-required).
func TestFAPI_SenderConstrained(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBanker(r, nil)
		code := b.code()
		if e := wantCode(t, second(b.send(exchangeForm(code), nil)), InvalidDPoPProof); e == nil || e.Status != 400 {
			t.Errorf("no proof: %v", e)
		}
		tok, err := b.send(exchangeForm(code), &b.p)
		check(t, err)
		if tok.TokenType != "DPoP" {
			t.Error(tok.TokenType)
		}

		// By certificate: asked for at registration, or by a client that authenticates with one.
		cert := newCertificate(t, nil, nil)
		k := jose.JSONWebKey{Key: cert.key.Public(), KeyID: "c", Certificates: []*x509.Certificate{cert.cert}}
		set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}}))
		bound := newBanker(r, func(m *client.Metadata) { m.CertificateBound = true })
		code = bound.code()
		wantCode(t, second(bound.send(exchangeForm(code), nil)), InvalidRequest)
		tok, err = bound.Token(t.Context(), shown(bound.call(pathToken, exchangeForm(code), nil), cert.cert))
		check(t, err)
		if cnf := claimsOf(t, tok.AccessToken)["cnf"].(map[string]any); tok.TokenType != "Bearer" || cnf["x5t#S256"] != thumbprint(cert.cert) {
			t.Errorf("%+v %v", tok, cnf)
		}
		m := r.certified(client.SelfSignedTLS, func(m *client.Metadata) { m.JWKS, m.Profile = set, client.ProfileFAPI2 })
		call := func() Call { return post(http.Header{}, credentialsForm("client_id", string(m))) }
		wantCode(t, second(r.Token(t.Context(), call())), InvalidClient)
		tok, err = r.Token(t.Context(), shown(call(), cert.cert))
		check(t, err)
		if claimsOf(t, tok.AccessToken)["cnf"].(map[string]any)["x5t#S256"] != thumbprint(cert.cert) {
			t.Error("not bound to the certificate")
		}
		tok, err = r.Token(t.Context(), shown(proven(call(), b.p.proof(r)), cert.cert)) // or to a key, if it proves one
		check(t, err)
		if tok.TokenType != "DPoP" {
			t.Error(tok.TokenType)
		}
	})
}

// TestFAPI_RefreshTokensStay: they do not rotate, so that an answer which is lost locks nobody out; the
// proof is needed each time, by whichever key; another client cannot use them (§5.3.2.1 no. 9;
// refresh-token).
func TestFAPI_RefreshTokensStay(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			b := newBanker(r, func(m *client.Metadata) { m.AccessTokenFormat, m.RefreshIdleTTL = format, 24*time.Hour })
			other := newBanker(r, nil)
			tok, err := b.send(exchangeForm(b.code()), &b.p)
			check(t, err)
			seen := map[string]bool{tok.AccessToken: true}
			for range 3 {
				next := newProver(t) // a confidential client may change keys (RFC 9449 §5)
				r.clock.Advance(20 * time.Hour)
				r.session = r.newSession(r.user) // the login is of no concern to an offline token
				again, err := b.refresh(tok.RefreshToken, &next)
				check(t, err)
				if again.RefreshToken != "" || seen[again.AccessToken] || again.TokenType != "DPoP" || again.IDToken == "" {
					t.Errorf("%+v", again)
				}
				seen[again.AccessToken] = true
				wantCode(t, r.userinfo("DPoP", again.AccessToken, &next), "")
				wantCode(t, r.userinfo("DPoP", again.AccessToken, &b.p), InvalidToken)
			}
			if e := wantCode(t, second(b.refresh(tok.RefreshToken, nil)), InvalidDPoPProof); e == nil || e.Status != 400 {
				t.Errorf("no proof: %v", e)
			}
			if e := wantCode(t, second(other.refresh(tok.RefreshToken, &other.p)), InvalidGrant); e == nil || e.Status != 400 {
				t.Errorf("other client: %v", e)
			}
			form := values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken, "client_id", string(b.id))
			wantCode(t, second(r.Token(t.Context(), proven(post(http.Header{}, form), b.p.proof(r)))), InvalidClient) // no assertion
			r.clock.Advance(25 * time.Hour)
			wantCode(t, second(b.refresh(tok.RefreshToken, &b.p)), InvalidGrant) // idle for too long
		}
	})
}

// TestFAPI_RefreshEnds: what ends a grant ends the token that stays.
func TestFAPI_RefreshEnds(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBanker(r, func(m *client.Metadata) { m.RefreshAbsoluteTTL = 3 * 24 * time.Hour })
		start := func() string {
			tok, err := b.send(exchangeForm(b.code()), &b.p)
			check(t, err)
			return tok.RefreshToken
		}
		token := start()
		check(t, r.Revoke(t.Context(), b.call("/oauth2/revoke", values("token", token), nil)))
		wantCode(t, second(b.refresh(token, &b.p)), InvalidGrant)
		token = start()
		r.clock.Advance(2 * 24 * time.Hour)
		wantCode(t, second(b.refresh(token, &b.p)), "")
		r.clock.Advance(25 * time.Hour) // the absolute end does not move
		wantCode(t, second(b.refresh(token, &b.p)), InvalidGrant)
		r.session = r.newSession(r.user)
		token = start()
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		wantCode(t, second(b.refresh(token, &b.p)), InvalidGrant)
	})
}

// TestRace_KeptRefreshAgainstRevocation: whatever the order, nothing is alive afterwards, although the
// token itself is never spent.
func TestRace_KeptRefreshAgainstRevocation(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		x := newBanker(a, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		b.secrets = a.secrets
		tok, err := x.send(exchangeForm(x.code()), &x.p)
		check(t, err)
		type attempt struct{ call Call }
		calls := make(chan attempt, racers)
		for range racers {
			calls <- attempt{x.call(pathToken, values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken), &x.p)}
		}
		revoke := x.call("/oauth2/revoke", values("token", tok.RefreshToken), nil)
		done := make(chan error, 1)
		go func() { done <- a.Revoke(t.Context(), revoke) }()
		won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.Token(t.Context(), (<-calls).call) })
		check(t, <-done)
		onlyInvalidGrant(t, failed)
		for _, tok := range won {
			if a.active(x.id, tok.AccessToken) {
				t.Error("a token lives on after the revocation")
			}
		}
	})
}

// TestFAPI_KeepsAfterProfileChange: a token that was rotated before the client came under the profile
// stays used.
func TestFAPI_KeepsAfterProfileChange(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b := newBanker(r, func(m *client.Metadata) { m.Profile, m.RefreshGrace = "", 0 })
	code := r.code(ask(b.id))
	tok, err := b.send(exchangeForm(code), &b.p)
	check(t, err)
	next, err := b.refresh(tok.RefreshToken, &b.p)
	check(t, err)
	r.edit(b.id, func(m *client.Metadata) { m.Profile = client.ProfileFAPI2 })
	kept, err := b.refresh(next.RefreshToken, &b.p)
	check(t, err)
	if kept.RefreshToken != "" {
		t.Error("rotated under the profile")
	}
	wantCode(t, second(b.refresh(tok.RefreshToken, &b.p)), InvalidGrant)
	wantCode(t, second(b.refresh(next.RefreshToken, &b.p)), InvalidGrant) // and that was a replay, so the family is dead
}

// TestFAPI_Codes: a minute at most whatever the configuration says; one client, one use (§5.3.2.2;
// ensure-token-endpoint-fails-with-expired-auth-code, ensure-authorization-code-is-bound-to-client,
// attempt-reuse-authorization-code-after-one-second, ensure-client-id-in-token-endpoint).
func TestFAPI_Codes(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		r.ttl.Code = 10 * time.Minute
		b, other := newBanker(r, nil), newBanker(r, nil)
		code := b.code()
		r.clock.Advance(59 * time.Second)
		wantCode(t, second(b.send(exchangeForm(code), &b.p)), "")
		code = b.code()
		r.clock.Advance(60 * time.Second)
		wantCode(t, second(b.send(exchangeForm(code), &b.p)), InvalidGrant)

		code = b.code()
		wantCode(t, second(other.send(exchangeForm(code), &other.p)), InvalidGrant)
		form := exchangeForm(code)
		form.Set("client_id", string(other.id))
		if e := wantCode(t, second(b.send(form, &b.p)), InvalidClient); e == nil || e.Status != 401 {
			t.Errorf("client_id of another: %v", e)
		}
		tok, err := b.send(exchangeForm(code), &b.p)
		check(t, err)
		r.clock.Advance(time.Second)
		if e := wantCode(t, second(b.send(exchangeForm(code), &b.p)), InvalidGrant); e == nil || e.Status != 400 {
			t.Errorf("reuse: %v", e)
		}
		if err := r.userinfo("DPoP", tok.AccessToken, &b.p); err == nil { // RFC 6749 §4.1.2
			t.Error("the token of a reused code lives")
		}
	})
}

// TestFAPI_Verifier: PKCE whatever the registration says (§5.3.2.2 no. 5; ensure-pkce-code-verifier-required,
// incorrect-pkce-code-verifier-rejected, par-ensure-pkce-required, par-plain-pkce-rejected).
func TestFAPI_Verifier(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b := newBanker(r, func(m *client.Metadata) { m.RequirePKCE = false })
	for name, pairs := range map[string][]string{
		"none": {"code_challenge", "", "code_challenge_method", ""}, "plain": {"code_challenge_method", "plain"}, "no method": {"code_challenge_method", ""},
	} {
		if e := wantCode(t, second(b.Push(t.Context(), b.call(pathTestPAR, ask(b.id, pairs...), nil))), InvalidRequest); e == nil || e.Status != 400 {
			t.Errorf("%s: %v", name, e)
		}
	}
	for name, verifier := range map[string]string{"missing": "", "wrong": strings.Repeat("a", 43)} {
		form := exchangeForm(b.code())
		form.Set("code_verifier", verifier)
		if e := wantCode(t, second(b.send(form, &b.p)), InvalidGrant); e == nil || e.Status != 400 {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// TestFAPI_Assertions: audience, times and algorithms of client assertions, at the token and at the
// pushed request endpoint (§5.3.2.1 no. 8, no. 13; §5.4.1; ensure-client-assertion-…,
// ensure-signed-client-assertion-with-RS256-fails, par-test-array-as-audience-fails,
// par-test-par-endpoint-url-as-audience-fails, par-test-token-endpoint-url-as-audience-fails,
// par-ensure-jwt-client-assertions-nbf-…).
func TestFAPI_Assertions(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.TokenAudience = true // no switch opens it to clients under FAPI
	k := newClientKey(t)
	signer, jwks := withRSA(t, k)
	b := newBanker(r, nil)
	b.k = k
	r.edit(b.id, func(m *client.Metadata) { m.JWKS = jwks })
	now := r.clock.Now()
	ahead := func(d time.Duration) func(m map[string]any) {
		return func(m map[string]any) {
			m["iat"], m["nbf"], m["exp"] = now.Add(d).Unix(), now.Add(d).Unix(), now.Add(d+time.Minute).Unix()
		}
	}
	try := func(name, assertion string, want string) {
		for _, path := range []string{pathTestPAR, pathToken} {
			form := ask(b.id)
			if path == pathToken {
				form = exchangeForm(b.code())
			}
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", strings.Replace(assertion, "@", "", 1))
			call := post(http.Header{}, form)
			call.Path = path
			call = proven(call, b.p.proof(r, set("htu", testIssuer+path)))
			var err error
			if path == pathToken {
				_, err = r.Token(t.Context(), call)
			} else {
				_, err = r.Push(t.Context(), call)
			}
			if e := wantCode(t, err, want); e != nil && e.Status != 401 {
				t.Errorf("%s at %s: %v", name, path, e)
			}
			if want == "" {
				return // an assertion works once
			}
		}
	}
	claims := func(edit func(m map[string]any)) map[string]any { return r.assertionClaims(b.id, edit) }
	for name, edit := range map[string]func(m map[string]any){"plain": nil, "8 s ahead": ahead(8 * time.Second), "10 s ahead": ahead(10 * time.Second)} {
		try(name, k.assertion(t, claims(edit), nil), "")
	}
	for name, edit := range map[string]func(m map[string]any){
		"62 s ahead": ahead(62 * time.Second), "nbf 62 s ahead": set("nbf", now.Add(62*time.Second).Unix()), "iat 62 s ahead": set("iat", now.Add(62*time.Second).Unix()),
		"5 min past": set("exp", now.Add(-5*time.Minute).Unix()), "wrong aud": set("aud", "https://else.test"), "no sub": set("sub", nil), "no iss": set("iss", nil),
		"list": set("aud", []string{testIssuer}), "list of two": set("aud", []string{testIssuer, "https://else.test"}),
		"PAR as aud": set("aud", testIssuer+pathTestPAR), "token endpoint as aud": set("aud", testIssuer+pathToken), "issuer and slash": set("aud", testIssuer+"/"),
	} {
		try(name, k.assertion(t, claims(edit), nil), InvalidClient)
	}
	try("RS256", signer.sign(t, claims(nil)), InvalidClient)
	try("none", unsecured(claims(nil)), InvalidClient)
	form := exchangeForm(b.code())
	form.Set("client_id", string(b.id))
	wantCode(t, second(r.Token(t.Context(), proven(post(http.Header{}, form), b.p.proof(r)))), InvalidClient) // ensure-client-assertion-in-token-endpoint
}

// TestFAPI_Proofs: RS256 is for others (§5.4.1; dpop-negative-tests).
func TestFAPI_Proofs(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b, plain := newBanker(r, nil), newBanker(r, func(m *client.Metadata) { m.Profile = "" })
	signer, _ := withRSA(t, newClientKey(t))
	pub := jose.JSONWebKey{Key: signer.key.Public()}
	rs, ps := prover{jose.RS256, signer.key, pub}, prover{jose.PS256, signer.key, pub}
	wantCode(t, second(plain.send(exchangeForm(r.code(ask(plain.id))), &rs)), "")
	code := b.code()
	wantCode(t, second(b.send(exchangeForm(code), &rs)), InvalidDPoPProof)
	tok, err := b.send(exchangeForm(code), &ps)
	check(t, err)
	wantCode(t, r.userinfo("DPoP", tok.AccessToken, &rs), InvalidDPoPProof) // the same key
	wantCode(t, r.userinfo("DPoP", tok.AccessToken, &ps), "")
	wantCode(t, second(b.Push(t.Context(), b.call(pathTestPAR, ask(b.id), &rs))), InvalidDPoPProof)
	wantCode(t, second(b.Push(t.Context(), b.call(pathTestPAR, ask(b.id), &ps))), "")
}

// TestFAPI_CodeBinding: the key of the pushed request's proof is the one of the token request
// (§5.3.2.1 no. 12; ensure-mismatched-dpop-jkt-fails and its like).
func TestFAPI_CodeBinding(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b, other := newBanker(r, nil), newProver(t)
	push := func(p *prover, pairs ...string) (string, error) {
		pushed, err := b.Push(t.Context(), b.call(pathTestPAR, ask(b.id, pairs...), p))
		if err != nil {
			return "", err
		}
		return r.code(open(b.id, pushed.RequestURI)), nil
	}
	for name, code := range map[string]string{
		"proof": must(push(&b.p)), "dpop_jkt": must(push(nil, "dpop_jkt", b.p.jkt())), "both": must(push(&b.p, "dpop_jkt", b.p.jkt())),
	} {
		if e := wantCode(t, second(b.send(exchangeForm(code), &other)), InvalidGrant); e == nil || e.Status != 400 {
			t.Errorf("%s: %v", name, e)
		}
		wantCode(t, second(b.send(exchangeForm(code), &b.p)), "")
	}
	wantCode(t, second(push(&other, "dpop_jkt", b.p.jkt())), InvalidDPoPProof)
}

// TestFAPI_FrontChannel: nothing that was not pushed (§5.3.2.2 no. 3; ensure-unsigned-authorization-
// request-without-using-par-fails), code alone (ensure-response-type-code-idtoken-fails, -token-fails),
// under Message Signing nothing unsigned (ensure-unsigned-request-at-par-endpoint-fails).
func TestFAPI_FrontChannel(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.LegacyResponseTypes = true
	b := newBanker(r, nil)
	signs := newBanker(r, func(m *client.Metadata) { m.Profile = client.ProfileFAPI2Signing })
	wantCode(t, second(r.ParseAuthorize(t.Context(), ask(b.id))), InvalidRequest)
	wantCode(t, second(r.ParseAuthorize(t.Context(), byValue(signs.id, signs.k.requestObject(t, r.objectClaims(signs.id, nil))))), InvalidRequest)
	for _, rt := range []string{"code id_token", "token", "id_token"} {
		if err := second(b.Push(t.Context(), b.call(pathTestPAR, ask(b.id, "response_type", rt), nil))); err == nil {
			t.Errorf("%s: accepted", rt)
		}
	}
	wantCode(t, second(signs.Push(t.Context(), signs.call(pathTestPAR, ask(signs.id), nil))), InvalidRequest)
	form := values("client_id", string(signs.id), "request", signs.k.requestObject(t, r.objectClaims(signs.id, nil)))
	wantCode(t, second(signs.Push(t.Context(), signs.call(pathTestPAR, form, nil))), "")
}

// TestKeep_LooksAtTheGrantLast: what was revoked since the token was judged yields nothing.
func TestKeep_LooksAtTheGrantLast(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		ctx := t.Context()
		b := newBanker(r, nil)
		tok, err := b.send(exchangeForm(b.code()), &b.p)
		check(t, err)
		g, _, err := r.findRefresh(ctx, tok.RefreshToken)
		check(t, err)
		hash, _ := id.Hash(id.RefreshToken, tok.RefreshToken)
		judged := func() *flow {
			return &flow{
				grantType: client.GrantRefreshToken, client: must(r.clients.Get(ctx, b.id)), index: must(r.index(ctx)), now: r.clock.Now(),
				grant: *g, spends: hash, scopes: g.Scopes, call: &Call{},
			}
		}
		h := &refreshGrant{e: r.Engine}
		check(t, h.keep(ctx, judged(), fosite.NewAccessResponse()))
		check(t, r.revokeGrant(ctx, g, "test"))
		wantCode(t, h.keep(ctx, judged(), fosite.NewAccessResponse()), InvalidGrant)
	})
}
