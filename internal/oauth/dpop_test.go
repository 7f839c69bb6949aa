package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/store/storetest"
)

const (
	pathTestUserinfo = "/oauth2/userinfo"
	pathTestPAR      = "/oauth2/par"
)

// prover is who holds a DPoP key.
type prover struct {
	alg jose.SignatureAlgorithm
	key any
	pub jose.JSONWebKey
}

func newProver(t testing.TB) prover {
	t.Helper()
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return prover{jose.ES256, k, jose.JSONWebKey{Key: k.Public()}}
}

func (p prover) jkt() string { return encode64(must(p.pub.Thumbprint(crypto.SHA256))) }

// proofClaims are those of a sound proof; edit changes them.
func (r *rig) proofClaims(method, path string, edit func(m map[string]any)) map[string]any {
	m := map[string]any{"jti": id.New(), "htm": method, "htu": testIssuer + path, "iat": r.clock.Now().Unix()}
	if edit != nil {
		edit(m)
	}
	return m
}

func (p prover) sign(t testing.TB, claims map[string]any, header map[jose.HeaderKey]any) string {
	t.Helper()
	head := map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": p.pub}
	maps.Copy(head, header)
	maps.DeleteFunc(head, func(_ jose.HeaderKey, v any) bool { return v == nil })
	return signJWS(t, jose.SigningKey{Algorithm: p.alg, Key: p.key}, must(json.Marshal(claims)), head)
}

// proof is a sound one for the token endpoint.
func (p prover) proof(r *rig, edits ...func(m map[string]any)) string {
	r.t.Helper()
	return p.sign(r.t, r.proofClaims("POST", pathToken, func(m map[string]any) {
		for _, edit := range edits {
			edit(m)
		}
	}), nil)
}

// proven adds a proof to a call.
func proven(call Call, proofs ...string) Call {
	call.Header = maps.Clone(call.Header)
	if len(proofs) > 0 {
		call.Header["Dpop"] = proofs
	}
	return call
}

// postProven is post with a proof.
func (r *rig) postProven(c id.Client, form url.Values, proofs ...string) (*Tokens, error) {
	h, form := r.as(c, form)
	return r.Token(r.t.Context(), proven(post(h, form), proofs...))
}

// userinfo calls userinfo with a token of a type, and a proof of p for it (none for nil).
func (r *rig) userinfo(scheme, token string, p *prover, edits ...func(m map[string]any)) error {
	r.t.Helper()
	call := Call{Method: "GET", Path: pathTestUserinfo, Header: http.Header{}, Reply: http.Header{}}
	if p != nil {
		claims := r.proofClaims("GET", pathTestUserinfo, func(m map[string]any) {
			m["ath"] = id.Digest(token)
			for _, edit := range edits {
				edit(m)
			}
		})
		call = proven(call, p.sign(r.t, claims, nil))
	}
	_, err := r.Userinfo(r.t.Context(), call, scheme, token)
	return err
}

// TestDPoP_TokenIsBound: the token carries the key's thumbprint, is of the type DPoP, and works with a
// proof by that key alone (RFC 9449 §5, §6, §7; fapi2 dpop-negative-tests: ath, other key, no proof,
// Bearer).
func TestDPoP_TokenIsBound(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			p, other := newProver(t), newProver(t)
			tok, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r))
			check(t, err)
			if tok.TokenType != "DPoP" {
				t.Errorf("token_type %q", tok.TokenType)
			}
			if format == client.FormatJWT && claimsOf(t, tok.AccessToken)["cnf"].(map[string]any)["jkt"] != p.jkt() {
				t.Errorf("cnf %v", claimsOf(t, tok.AccessToken)["cnf"])
			}
			in, err := r.introspect(c, tok.AccessToken)
			check(t, err)
			if in.TokenType != "DPoP" || in.Confirm == nil || in.Confirm.JKT != p.jkt() { // RFC 9449 §6.2
				t.Errorf("introspection: %+v", in)
			}
			wantCode(t, r.userinfo("DPoP", tok.AccessToken, &p), "")
			for name, err := range map[string]error{
				"as bearer token":     r.userinfo("Bearer", tok.AccessToken, nil), // RFC 9449 §7.2
				"as bearer, proven":   r.userinfo("Bearer", tok.AccessToken, &p),
				"other key":           r.userinfo("DPoP", tok.AccessToken, &other),
				"no proof":            r.userinfo("DPoP", tok.AccessToken, nil),
				"hash of another":     r.userinfo("DPoP", tok.AccessToken, &p, set("ath", id.Digest("x"))),
				"no hash":             r.userinfo("DPoP", tok.AccessToken, &p, set("ath", nil)),
				"for token endpoint":  r.userinfo("DPoP", tok.AccessToken, &p, set("htu", testIssuer+pathToken)),
				"for another method":  r.userinfo("DPoP", tok.AccessToken, &p, set("htm", "PUT")),
				"an hour old":         r.userinfo("DPoP", tok.AccessToken, &p, set("iat", r.clock.Now().Add(-time.Hour).Unix())),
				"an hour from future": r.userinfo("DPoP", tok.AccessToken, &p, set("iat", r.clock.Now().Add(time.Hour).Unix())),
			} {
				if err == nil {
					t.Errorf("%s: accepted", name)
					continue
				}
				if e := AsError(err); e.Status != 401 || e.Challenge != "DPoP" || e.Code != InvalidToken && e.Code != InvalidDPoPProof {
					t.Errorf("%s: %v (%d %s)", name, e, e.Status, e.Challenge)
				}
			}
			wantCode(t, r.userinfo("DPoP", tok.AccessToken, &p), "") // nothing above has used it up

			bearer := r.tokens(c)
			if bearer.TokenType != "Bearer" {
				t.Errorf("without a proof: %q", bearer.TokenType)
			}
			wantCode(t, r.userinfo("DPoP", bearer.AccessToken, &p), InvalidToken) // bound to no key: no DPoP token
		}
	})
}

// TestDPoP_ProofRules is RFC 9449 §4.3 with each condition alone, as the FAPI 2.0 suite tries them
// (dpop-negative-tests, check-dpop-proof-nbf-exp, ensure-dpopproof-with-iat-10seconds-before/after).
func TestDPoP_ProofRules(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Machine, nil)
	p := newProver(t)
	send := func(proofs ...string) error {
		_, err := r.postProven(c, credentialsForm(), proofs...)
		return err
	}
	now := r.clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	htu := testIssuer + pathToken
	for name, edit := range map[string]func(m map[string]any){
		"plain": nil, "10 s old": set("iat", at(-10*time.Second)), "10 s ahead": set("iat", at(10*time.Second)),
		"nbf and exp": func(m map[string]any) { m["nbf"], m["exp"] = at(0), at(5*time.Minute) },
		"query":       set("htu", htu+"?a=b#c"), "upper case": set("htu", "HTTPS://ID.TEST"+pathToken), "port": set("htu", "https://id.test:443"+pathToken),
		"more claims": set("tx_id_key", 1), "unasked nonce": set("nonce", "x"),
	} {
		if err := send(p.proof(r, func(m map[string]any) {
			if edit != nil {
				edit(m)
			}
		})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := send(p.sign(t, r.proofClaims("POST", pathToken, nil), map[jose.HeaderKey]any{"tx_id": 1})); err != nil {
		t.Errorf("more headers: %v", err)
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	for name, k := range map[string]prover{
		"PS256": {jose.PS256, rsaKey, jose.JSONWebKey{Key: rsaKey.Public()}}, "RS256": {jose.RS256, rsaKey, jose.JSONWebKey{Key: rsaKey.Public()}},
		"EdDSA": {jose.EdDSA, ed, jose.JSONWebKey{Key: ed.Public()}},
	} {
		if err := send(k.proof(r)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	marks := r.count(`SELECT COUNT(*) FROM proof_mark`)
	for name, edit := range map[string]func(m map[string]any){
		"no jti": set("jti", nil), "no htm": set("htm", nil), "no htu": set("htu", nil), "no iat": set("iat", nil),
		"long jti": set("jti", strings.Repeat("j", 300)), "other method": set("htm", "GET"), "method in lower case": set("htm", "post"),
		"other address": set("htu", htu+"ohnonotagain"), "other host": set("htu", "https://else.test"+pathToken),
		"user info": set("htu", "https://a@id.test"+pathToken), "http": set("htu", "http://id.test"+pathToken), "other port": set("htu", "https://id.test:8443"+pathToken),
		"relative": set("htu", pathToken), "escaped": set("htu", testIssuer+"/oauth2%2Ftoken"), "no URL": set("htu", "%zz"), "empty": set("htu", ""),
		"hour old": set("iat", at(-time.Hour)), "hour ahead": set("iat", at(time.Hour)), "61 s old": set("iat", at(-61*time.Second)), "61 s ahead": set("iat", at(61*time.Second)),
		"iat text": set("iat", "now"), "iat negative": set("iat", -1), "nbf ahead": set("nbf", at(5*time.Minute)), "expired": set("exp", at(-5*time.Minute)),
		"htm a list": set("htm", []string{"POST"}),
	} {
		if e := wantCode(t, send(p.proof(r, edit)), InvalidDPoPProof); e == nil || e.Status != 400 {
			t.Errorf("%s: %v", name, e)
		}
	}
	good := p.proof(r)
	parts := strings.Split(good, ".")
	raw := must(json.Marshal(r.proofClaims("POST", pathToken, nil)))
	head := func(edits map[jose.HeaderKey]any) string {
		return p.sign(t, r.proofClaims("POST", pathToken, nil), edits)
	}
	mac := []byte(strings.Repeat("k", 32))
	for name, proofs := range map[string][]string{
		"two proofs": {p.proof(r), p.proof(r)}, "two in one line": {p.proof(r) + ", " + p.proof(r)}, "empty": {""},
		"two parts": {parts[0] + "." + parts[1]}, "five parts": {"a.b.c.d.e"}, "dots": {strings.Repeat(".", 10000)}, "8 MB": {strings.Repeat("a", 8<<20)},
		"no typ": {head(map[jose.HeaderKey]any{"typ": nil})}, "other typ": {head(map[jose.HeaderKey]any{"typ": "dpop+jwt+wrongyousee"})}, "typ JWT": {head(map[jose.HeaderKey]any{"typ": "JWT"})},
		"no jwk": {head(map[jose.HeaderKey]any{"jwk": nil})}, "private jwk": {head(map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: p.key}})},
		"secret jwk": {head(map[jose.HeaderKey]any{"jwk": map[string]string{"kty": "oct", "k": "a2V5"}})},
		"other jwk":  {head(map[jose.HeaderKey]any{"jwk": newProver(t).pub})},
		"jku":        {head(map[jose.HeaderKey]any{"jku": "https://evil.test/k"})}, "crit": {head(map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1})},
		"no alg":       {encode64([]byte(`{"typ":"dpop+jwt"}`)) + "." + parts[1] + "." + parts[2]},
		"alg none":     {encode64([]byte(`{"alg":"none","typ":"dpop+jwt"}`)) + "." + encode64(raw) + "."},
		"HS256":        {signJWS(t, jose.SigningKey{Algorithm: jose.HS256, Key: mac}, raw, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": p.pub})},
		"changed":      {parts[0] + "." + encode64(raw) + "." + parts[2]},
		"no signature": {parts[0] + "." + parts[1] + "."},
		"duplicates":   {signJWS(t, jose.SigningKey{Algorithm: p.alg, Key: p.key}, []byte(`{"htm":"GET",`+string(raw[1:])), map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": p.pub})},
	} {
		if e := wantCode(t, send(proofs...), InvalidDPoPProof); e == nil || e.Status != 400 {
			t.Errorf("%s: %v", name, e)
		}
	}
	if n := r.count(`SELECT COUNT(*) FROM proof_mark`); n != marks {
		t.Errorf("%d refused proofs were written down", n-marks)
	}
	wantCode(t, send(good), "") // it was never the key
}

// TestDPoP_ShortKeys: keys that no client may register prove nothing either.
func TestDPoP_ShortKeys(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Machine, nil)
	for _, bad := range []string{
		`{"kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(slices.Repeat([]byte{0xff}, 128)) + `","e":"AQAB"}`, // 1024 bits
		`{"kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(slices.Repeat([]byte{0xff}, 2049)) + `","e":"AQAB"}`,
		`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, `{"kty":"oct","k":"AA"}`, `{"kty":"OKP","crv":"Ed448","x":"AA"}`, `[]`, `"x"`, `null`,
	} {
		p := newProver(t)
		_, err := r.postProven(c, credentialsForm(), p.sign(t, r.proofClaims("POST", pathToken, nil), map[jose.HeaderKey]any{"jwk": json.RawMessage(bad)}))
		wantCode(t, err, InvalidDPoPProof)
	}
	weak := must(rsa.GenerateKey(rand.Reader, 1024)) // its signature is right
	_, err := r.postProven(c, credentialsForm(), prover{jose.RS256, weak, jose.JSONWebKey{Key: weak.Public()}}.proof(r))
	wantCode(t, err, InvalidDPoPProof)
}

// TestDPoP_Replay: a proof works once, at whichever instance, and per key (RFC 9449 §11.1; fapi2
// dpop-negative-tests, second use of the same jti).
func TestDPoP_Replay(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Machine, nil)
		p, other := newProver(t), newProver(t)
		proof := p.proof(r, set("jti", "one"))
		second := r.again(r.db, r.db)
		send := func(r *rig, proof string) error {
			_, err := r.postProven(c, credentialsForm(), proof)
			return err
		}
		wantCode(t, send(r, proof), "")
		wantCode(t, send(r, proof), InvalidDPoPProof)
		wantCode(t, send(second, proof), InvalidDPoPProof)
		wantCode(t, send(second, p.proof(r, set("jti", "one"))), InvalidDPoPProof) // signed anew
		wantCode(t, send(second, other.proof(r, set("jti", "one"))), "")           // nobody can use up another's jti

		tok, err := r.postProven(r.newClient(client.Web, nil), exchangeForm("x"), p.proof(r))
		if tok != nil || err == nil {
			t.Fatal("a made-up code")
		}
		web := r.newClient(client.Web, nil)
		tok, err = r.postProven(web, exchangeForm(r.code(ask(web))), p.proof(r))
		check(t, err)
		same := set("jti", "two")
		wantCode(t, r.userinfo("DPoP", tok.AccessToken, &p, same), "")
		wantCode(t, second.userinfo("DPoP", tok.AccessToken, &p, same), InvalidDPoPProof)

		// A mark stays until its proof is too old, then it goes.
		r.clock.Advance(proofSkew)
		must(r.DeleteExpired(t.Context(), 100))
		wantCode(t, send(r, proof), InvalidDPoPProof)
		r.clock.Advance(markLife)
		must(r.DeleteExpired(t.Context(), 100))
		if n := r.count(`SELECT COUNT(*) FROM proof_mark`); n != 0 {
			t.Errorf("%d marks stay", n)
		}
		wantCode(t, send(r, proof), InvalidDPoPProof)
	})
}

// TestRace_Proof: of many uses at once, on two instances, one succeeds.
func TestRace_Proof(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.newClient(client.Machine, nil)
		proof := newProver(t).proof(a)
		b.secrets = a.secrets
		won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.postProven(c, credentialsForm(), proof) })
		if len(won) != 1 {
			t.Errorf("one proof worked %d times", len(won))
		}
		for _, err := range failed {
			wantCode(t, err, InvalidDPoPProof)
		}
	})
}

// TestDPoP_CodeBinding: a code is bound by dpop_jkt or by the proof of the pushed request, and then
// works with that key only (RFC 9449 §10; fapi2 ensure-dpop-auth-code-binding-success,
// ensure-dpopproof-at-par-endpoint-binding-success, ensure-mismatched-dpop-jkt-fails,
// ensure-token-endpoint-fails-with-mismatched-dpop-jkt, -proof-jkt).
func TestDPoP_CodeBinding(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		p, other := newProver(t), newProver(t)
		push := func(form url.Values, k *prover, edits ...func(m map[string]any)) (string, error) {
			h, form := r.as(c, form)
			call := post(h, form)
			call.Path = pathTestPAR
			if k != nil {
				call = proven(call, k.proof(r, append(edits, set("htu", testIssuer+pathTestPAR))...))
			}
			pushed, err := r.Push(t.Context(), call)
			if err != nil {
				return "", err
			}
			return pushed.RequestURI, nil
		}
		redeem := func(code string, proofs ...string) error {
			_, err := r.postProven(c, exchangeForm(code), proofs...)
			return err
		}
		try := func(name string, form url.Values) {
			code := r.code(form)
			wantCode(t, redeem(code), InvalidDPoPProof)
			if e := wantCode(t, redeem(code, other.proof(r)), InvalidGrant); e == nil || e.Status != 400 {
				t.Errorf("%s: other key: %v", name, e)
			}
			wantCode(t, redeem(code, p.proof(r)), "") // what failed was nobody's use of it
			wantCode(t, redeem(code, p.proof(r)), InvalidGrant)
		}
		try("dpop_jkt", ask(c, "dpop_jkt", p.jkt()))
		for name, form := range map[string]url.Values{"proof": ask(c), "both": ask(c, "dpop_jkt", p.jkt())} {
			uri, err := push(form, &p)
			check(t, err)
			try("pushed with "+name, open(c, uri))
		}
		uri, err := push(ask(c, "dpop_jkt", p.jkt()), nil)
		check(t, err)
		try("pushed without proof", open(c, uri))

		for name, err := range map[string]error{
			"other key": second(push(ask(c, "dpop_jkt", p.jkt()), &other)),
			"old proof": second(push(ask(c), &p, set("iat", r.clock.Now().Add(-time.Hour).Unix()))),
			"for token": second(push(ask(c), &p, set("htm", "GET"))),
		} {
			if e := wantCode(t, err, InvalidDPoPProof); e == nil || e.Status != 400 {
				t.Errorf("%s: %v", name, e)
			}
		}
		for _, bad := range []string{"x", p.jkt() + "=", strings.Repeat("!", 43), p.jkt() + p.jkt()} {
			_, err := r.ParseAuthorize(t.Context(), ask(c, "dpop_jkt", bad))
			wantCode(t, err, InvalidRequest)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestDPoP_RefreshTokens: a public client's refresh token is bound to its key for good, a confidential
// client's to the client, which may change keys (RFC 9449 §5; fapi2 refresh-token changes them).
func TestDPoP_RefreshTokens(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		spa, web := r.newClient(client.SPA, nil), r.newClient(client.Web, nil)
		strict := r.newClient(client.Web, func(m *client.Metadata) { m.DPoPBound = true })
		p, other := newProver(t), newProver(t)
		start := func(c id.Client) string {
			tok, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r))
			check(t, err)
			return tok.RefreshToken
		}
		refresh := func(c id.Client, token string, proofs ...string) (*Tokens, error) {
			return r.postProven(c, values("grant_type", "refresh_token", "refresh_token", token), proofs...)
		}
		token := start(spa)
		wantCode(t, second(refresh(spa, token)), InvalidDPoPProof)
		wantCode(t, second(refresh(spa, token, other.proof(r))), InvalidGrant)
		for range 2 { // the next one is bound as well
			tok, err := refresh(spa, token, p.proof(r))
			check(t, err)
			if tok.TokenType != "DPoP" || claimsOf(t, tok.AccessToken)["cnf"].(map[string]any)["jkt"] != p.jkt() {
				t.Errorf("%+v", tok)
			}
			token = tok.RefreshToken
			wantCode(t, second(refresh(spa, token)), InvalidDPoPProof)
		}

		tok, err := refresh(web, start(web), other.proof(r))
		check(t, err)
		if claimsOf(t, tok.AccessToken)["cnf"].(map[string]any)["jkt"] != other.jkt() {
			t.Error("the new token is not bound to the new key")
		}
		// dpop_bound_access_tokens: nothing without a proof (RFC 9449 §5.2).
		wantCode(t, second(r.exchange(strict, r.code(ask(strict)))), InvalidDPoPProof)
		token = start(strict)
		wantCode(t, second(refresh(strict, token)), InvalidDPoPProof)
		wantCode(t, second(refresh(strict, token, p.proof(r))), "")
	})
}

// TestDPoP_GraceWindow: a repeated refresh gives the successor to the holder of the key only.
func TestDPoP_GraceWindow(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	spa := r.newClient(client.SPA, nil)
	p, thief := newProver(t), newProver(t)
	tok, err := r.postProven(spa, exchangeForm(r.code(ask(spa))), p.proof(r))
	check(t, err)
	form := func() url.Values { return values("grant_type", "refresh_token", "refresh_token", tok.RefreshToken) }
	first, err := r.postProven(spa, form(), p.proof(r))
	check(t, err)
	wantCode(t, second(r.postProven(spa, form(), thief.proof(r))), InvalidGrant)
	wantCode(t, second(r.postProven(spa, form())), InvalidDPoPProof)
	again, err := r.postProven(spa, form(), p.proof(r))
	check(t, err)
	if again.RefreshToken != first.RefreshToken || again.TokenType != "DPoP" {
		t.Errorf("%+v", again)
	}
}

// TestDPoP_Nonce: where the policy demands one, a proof without our nonce gets it and nothing is used
// up; every instance knows the nonces of the others; with one, the client's clock is of no concern
// (RFC 9449 §8, §9, §11.1).
func TestDPoP_Nonce(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k := newClientKey(t)
		c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(t) })
		web := r.newClient(client.Web, nil)
		b := r.again(r.db, r.db)
		r.policy.DPoPNonce, b.policy.DPoPNonce = true, true
		p := newProver(t)
		assertion := k.assertion(t, r.assertionClaims(c, nil), nil)
		send := func(r *rig, assertion string, edits ...func(m map[string]any)) (string, error) {
			call := proven(post(http.Header{}, credentialsForm("client_assertion_type", assertionType, "client_assertion", assertion)), p.proof(r, edits...))
			_, err := r.Token(t.Context(), call)
			return call.Reply.Get("DPoP-Nonce"), err
		}
		nonce, err := send(r, assertion)
		if e := wantCode(t, err, UseDPoPNonce); e.Status != 400 || nonce == "" || strings.ContainsAny(nonce, `"\ `) {
			t.Fatalf("%v, nonce %q", e, nonce)
		}
		// The assertion is still good, the other instance knows the nonce, and an hour does not matter.
		newest, err := send(b, assertion, set("nonce", nonce), set("iat", r.clock.Now().Add(-time.Hour).Unix()))
		wantCode(t, err, "")
		if newest != "" {
			t.Error("the newest nonce is sent again")
		}
		fresh := func() string { return k.assertion(t, r.assertionClaims(c, nil), nil) }
		for _, bad := range []string{"x", nonce + "x", nonces{[]byte("other")}.at(r.clock.Now())} {
			_, err := send(r, fresh(), set("nonce", bad))
			wantCode(t, err, UseDPoPNonce)
		}
		r.clock.Advance(nonceWindow)
		newest, err = send(r, fresh(), set("nonce", nonce))
		wantCode(t, err, "")
		if newest == "" || newest == nonce { // §8.2: the next one comes before it is needed
			t.Errorf("no newer nonce: %q", newest)
		}
		r.clock.Advance(nonceWindow)
		_, err = send(r, fresh(), set("nonce", nonce))
		wantCode(t, err, UseDPoPNonce)

		// At userinfo it is a challenge (§9).
		tok, err := r.postProven(web, exchangeForm(r.code(ask(web))), p.proof(r, set("nonce", r.nonces.at(r.clock.Now()))))
		check(t, err)
		if e := wantCode(t, r.userinfo("DPoP", tok.AccessToken, &p), UseDPoPNonce); e.Status != 401 || e.Challenge != "DPoP" {
			t.Errorf("%+v", e)
		}
		wantCode(t, r.userinfo("DPoP", tok.AccessToken, &p, set("nonce", r.nonces.at(r.clock.Now()))), "")
	})
}

// TestNonces_OutliveNoMark: a proof cannot be used any more when its mark may be deleted.
func TestNonces_OutliveNoMark(t *testing.T) {
	t.Parallel()
	n := nonces{[]byte("k")}
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)).Now()
	for s := range int(nonceWindow / time.Second) {
		issued := now.Add(time.Duration(s) * time.Second)
		nonce := n.at(issued)
		if ok, newest := n.check(nonce, issued); !ok || !newest {
			t.Fatal("a nonce is not known when it is issued")
		}
		// Used as early as another instance with a late clock may see it.
		for _, d := range []time.Duration{-nonceWindow, 0} {
			if ok, _ := n.check(nonce, issued.Add(d).Add(markLife)); ok {
				t.Fatalf("a nonce of second %d outlives the mark of a proof used %s after it", s, d)
			}
		}
	}
	if ok, _ := n.check("", now); ok {
		t.Error("an empty nonce")
	}
}

// TestDPoP_Statements: a proof costs one statement, and what uses none costs nothing more.
func TestDPoP_Statements(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		machine, web := r.newClient(client.Machine, nil), r.newClient(client.Web, nil)
		p := newProver(t)
		code := r.code(ask(web))
		for name, tc := range map[string]struct {
			want int64
			act  func(d *rig) error
		}{
			"client_credentials": {1, func(d *rig) error { return second(d.postProven(machine, credentialsForm(), p.proof(d))) }},
			"code":               {3, func(d *rig) error { return second(d.postProven(web, exchangeForm(code), p.proof(d))) }},
		} {
			counted, n := storetest.FailAt(r.db, 0, storetest.Before)
			d := r.again(r.db, counted)
			for _, c := range []id.Client{web, machine} {
				must(d.clients.Get(t.Context(), c))
			}
			must(d.clients.APIs(t.Context()))
			if err := tc.act(d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n.Load() != tc.want {
				t.Errorf("%s: %d statements, want %d", name, n.Load(), tc.want)
			}
		}
		// The store fails where the proof is spent: no token, and no false word about the proof.
		faulty, _ := storetest.FailAt(r.db, 1, storetest.Before)
		d := r.again(r.db, faulty)
		must(d.clients.Get(t.Context(), machine))
		must(d.clients.APIs(t.Context()))
		proof := p.proof(d)
		tok, err := d.postProven(machine, credentialsForm(), proof)
		if e := wantCode(t, err, TemporarilyUnavailable); tok != nil || e.Status != 503 {
			t.Errorf("%v %v", tok, e)
		}
		wantCode(t, second(r.postProven(machine, credentialsForm(), proof)), "")
	})
}

// FuzzProof: what is accepted is a proof for this request, made now, by whoever holds the key in it.
func FuzzProof(f *testing.F) {
	r := sqliteRig(f)
	p := newProver(f)
	good := p.proof(r)
	f.Add(good)
	f.Add("a.b.c")
	f.Add(encode64([]byte(`{"alg":"none","typ":"dpop+jwt"}`)) + ".e30.")
	f.Add(strings.Replace(good, ".", ".e30.", 1))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := r.readProof(&Call{Method: "POST", Path: pathToken, Header: http.Header{"Dpop": {text}}})
		if err != nil {
			wantCode(t, err, InvalidDPoPProof)
			return
		}
		m := claimsOf(t, text)
		if len(got.jkt) != jktLength || m["jti"] != got.jti || got.jti == "" || m["htm"] != "POST" || m["iat"].(float64) < float64(r.clock.Now().Add(-2*proofSkew).Unix()) {
			t.Fatalf("accepted %q: %+v", text, got)
		}
	})
}

func FuzzSameEndpoint(f *testing.F) {
	r := sqliteRig(f)
	for _, s := range []string{testIssuer + pathToken, "HTTPS://ID.TEST:443/oauth2/token?x#y", "https://id.test@evil.test/oauth2/token", "https://id.test\\@evil.test/oauth2/token"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, htu string) {
		if !r.sameEndpoint(htu, pathToken) {
			return
		}
		u, err := url.Parse(htu)
		if err != nil || !strings.EqualFold(u.Hostname(), "id.test") || !strings.EqualFold(u.Scheme, "https") || u.Path != pathToken || u.User != nil {
			t.Fatalf("%q accepted", htu)
		}
	})
}
