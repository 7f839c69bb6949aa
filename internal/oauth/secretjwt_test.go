package oauth

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// mac signs an assertion with a secret.
func mac(t testing.TB, alg jose.SignatureAlgorithm, secret string, claims map[string]any) string {
	t.Helper()
	return signJWS(t, jose.SigningKey{Algorithm: alg, Key: []byte(secret)}, must(json.Marshal(claims)), nil)
}

func asserted(assertion string, pairs ...string) Call {
	return post(http.Header{}, credentialsForm(append([]string{"client_assertion_type", assertionType, "client_assertion", assertion}, pairs...)...))
}

func (r *rig) present(assertion string, pairs ...string) error {
	r.t.Helper()
	_, err := r.Token(r.t.Context(), asserted(assertion, pairs...))
	return err
}

// TestClientSecretJWT: the secret is a key and never travels (OIDC Core §9); the same rules hold as for
// private_key_jwt.
func TestClientSecretJWT(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		jwt := func(m *client.Metadata) { m.AuthMethod = client.SecretJWT }
		c, victim := r.newClient(client.Machine, jwt), r.newClient(client.Machine, jwt)
		one := r.newClient(client.Machine, func(m *client.Metadata) { jwt(m); m.AuthSigningAlg = "HS384" })
		k := newClientKey(t)
		claims := func(c id.Client, edits ...func(m map[string]any)) map[string]any {
			return r.assertionClaims(c, func(m map[string]any) {
				for _, edit := range edits {
					edit(m)
				}
			})
		}
		wantCode(t, r.present(mac(t, jose.HS256, r.secrets[c], claims(c))), "")
		wantCode(t, r.present(mac(t, jose.HS384, r.secrets[c], claims(c))), "")
		wantCode(t, r.present(mac(t, jose.HS384, r.secrets[one], claims(one))), "")
		used := mac(t, jose.HS256, r.secrets[c], claims(c))
		wantCode(t, r.present(used), "")
		for name, bad := range map[string]string{
			"used":          used,
			"other secret":  mac(t, jose.HS256, r.secrets[victim], claims(c)),
			"other client":  mac(t, jose.HS256, r.secrets[c], claims(victim)),
			"hash as key":   mac(t, jose.HS256, id.Digest(r.secrets[c]), claims(c)), // what a dump of the database shows
			"empty key":     mac(t, jose.HS256, strings.Repeat("\x00", 32), claims(c)),
			"other alg":     mac(t, jose.HS256, r.secrets[one], claims(one)),
			"HS512":         mac(t, jose.HS512, r.secrets[c]+strings.Repeat("x", 32), claims(c)),
			"a signature":   k.assertion(t, claims(c), nil),
			"expired":       mac(t, jose.HS256, r.secrets[c], claims(c, set("exp", r.clock.Now().Add(-5*time.Minute).Unix()))),
			"audience list": mac(t, jose.HS256, r.secrets[c], claims(c, set("aud", []string{testIssuer}))),
			"no jti":        mac(t, jose.HS256, r.secrets[c], claims(c, set("jti", nil))),
		} {
			if e := wantCode(t, r.present(bad), InvalidClient); e == nil || e.Status != 401 {
				t.Errorf("%s: %v", name, e)
			}
		}
		// The secret itself is not the registered method.
		wantCode(t, second(r.Token(t.Context(), post(basic(string(c), r.secrets[c]), credentialsForm()))), InvalidClient)
		wantCode(t, second(r.Token(t.Context(), post(http.Header{}, credentialsForm("client_id", string(c), "client_secret", r.secrets[c])))), InvalidClient)
		// Nor is a MAC that of who registered a secret for the header, or a key (RFC 8725 §2.1).
		plain := r.newClient(client.Machine, nil)
		wantCode(t, r.present(mac(t, jose.HS256, r.secrets[plain], claims(plain))), InvalidClient)
	})
}

// TestClientSecretJWT_Secrets: the store holds the secret sealed, for these clients alone; it follows
// rotation and changes of the method.
func TestClientSecretJWT_Secrets(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		ctx := t.Context()
		c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod = client.SecretJWT })
		other := r.newClient(client.Machine, nil)
		sealed := func(c id.Client) int64 {
			return r.count(`SELECT COUNT(*) FROM client_secret WHERE client_id = $1 AND sealed <> ''`, string(c))
		}
		try := func(c id.Client, secret string) error {
			return r.present(mac(t, jose.HS256, secret, r.assertionClaims(c, nil)))
		}
		if sealed(c) != 1 || sealed(other) != 0 {
			t.Errorf("sealed: %d, %d", sealed(c), sealed(other))
		}
		if n := r.count(`SELECT COUNT(*) FROM client_secret WHERE sealed LIKE $1 OR hash LIKE $1`, "%"+r.secrets[c]+"%"); n != 0 {
			t.Error("the secret stands in the store")
		}
		old := r.secrets[c]
		next, err := r.clients.RotateSecret(ctx, c, time.Hour)
		check(t, err)
		wantCode(t, try(c, old), "")
		wantCode(t, try(c, next.Reveal()), "")
		r.clock.Advance(2 * time.Hour)
		wantCode(t, try(c, old), InvalidClient)
		wantCode(t, try(c, next.Reveal()), "")

		// Moved to another row, or to another client, a sealed secret opens nothing.
		r.exec(`UPDATE client_secret SET sealed = (SELECT s.sealed FROM client_secret s WHERE s.client_id = $1 AND s.expires_at = 0) WHERE client_id = $2`, string(c), string(other))
		r.exec(`UPDATE client SET metadata = REPLACE(metadata, 'client_secret_basic', 'client_secret_jwt') WHERE id = $1`, string(other))
		second := r.again(r.db, r.db)
		if err := second.present(mac(t, jose.HS256, next.Reveal(), r.assertionClaims(other, nil))); err == nil {
			t.Error("a secret of another row works")
		}

		// Away from the method, the copy goes; back to it, there is none, so a new secret is due.
		r.edit(c, func(m *client.Metadata) { m.AuthMethod = client.SecretBasic })
		if sealed(c) != 0 {
			t.Error("the sealed copy stays")
		}
		wantCode(t, try(c, next.Reveal()), InvalidClient)
		h := basic(string(c), next.Reveal())
		if _, err := r.Token(ctx, post(h, credentialsForm())); err != nil {
			t.Errorf("the secret does not work in the header: %v", err)
		}
		r.edit(c, func(m *client.Metadata) { m.AuthMethod = client.SecretJWT })
		wantCode(t, try(c, next.Reveal()), InvalidClient)
		got := must(r.clients.Get(ctx, c))
		if !got.NeedsSecret(r.clock.Now()) {
			t.Error("nobody is told that a secret is due")
		}
		fresh, err := r.clients.RotateSecret(ctx, c, 0)
		check(t, err)
		wantCode(t, try(c, fresh.Reveal()), "")
	})
}

// TestAssertion_Algorithms: the registration may name one algorithm, and then no other will do
// (OIDC Registration §2).
func TestAssertion_Algorithms(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	signer, jwks := withRSA(t, k)
	for alg, want := range map[string][2]string{"": {"", ""}, "ES256": {"", InvalidClient}, "RS256": {InvalidClient, ""}, "PS256": {InvalidClient, InvalidClient}} {
		c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS, m.AuthSigningAlg = client.PrivateKeyJWT, jwks, alg })
		wantCode(t, r.present(k.assertion(t, r.assertionClaims(c, nil), nil)), want[0])
		wantCode(t, r.present(signer.sign(t, r.assertionClaims(c, nil))), want[1])
	}
}

// TestAssertion_TokenAudience: the token endpoint as audience is for clients older than RFC 10070, where
// the deployment admits them, and never under FAPI (security case TK-13). The endpoint at which people
// are asked is one as well, for those who may ask (CIBA §7.1).
func TestAssertion_TokenAudience(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	jwt := func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(t) }
	plain := r.newClient(client.Machine, jwt)
	strict := r.newClient(client.Machine, func(m *client.Metadata) { jwt(m); m.Profile = client.ProfileFAPI2 })
	asking := r.newClient(client.Web, func(m *client.Metadata) { jwt(m); m.GrantTypes = append(m.GrantTypes, client.GrantCIBA) })
	r.policy.MTLS = "https://mtls.id.test"
	p := newProver(t)
	asks := func(c id.Client, aud string) bool {
		call := asserted(k.assertion(t, r.assertionClaims(c, set("aud", aud)), nil))
		_, err := r.authenticate(t.Context(), &call)
		return err == nil
	}
	try := func(c id.Client, aud any) error {
		call := asserted(k.assertion(t, r.assertionClaims(c, set("aud", aud)), nil))
		_, err := r.Token(t.Context(), proven(call, p.proof(r)))
		return err
	}
	for _, on := range []bool{false, true} {
		r.policy.TokenAudience = on
		for aud, want := range map[string]bool{
			testIssuer: true, testIssuer + pathToken: on, "https://mtls.id.test" + pathToken: on, testIssuer + "/": false,
			testIssuer + pathTestPAR: false, testIssuer + pathToken + "/": false, "https://mtls.id.test": false,
		} {
			if got := try(plain, aud) == nil; got != want {
				t.Errorf("switch %v, %s: accepted %v", on, aud, got)
			}
			if got := try(strict, aud) == nil; got != (aud == testIssuer) {
				t.Errorf("switch %v, FAPI, %s: accepted %v", on, aud, got)
			}
		}
		for _, aud := range []string{testIssuer + pathToken, testIssuer + pathBackchannel, "https://mtls.id.test" + pathBackchannel} {
			if got := asks(asking, aud); got != on {
				t.Errorf("switch %v, may ask people, %s: accepted %v", on, aud, got)
			}
		}
		if asks(plain, testIssuer+pathBackchannel) {
			t.Errorf("switch %v: the backchannel endpoint from a client that has no business there", on)
		}
		wantCode(t, try(plain, []string{testIssuer, testIssuer + pathToken}), InvalidClient)
	}
}

// FuzzSecretAssertion: nothing but what the secret made is accepted.
func FuzzSecretAssertion(f *testing.F) {
	r := sqliteRig(f)
	c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod = client.SecretJWT })
	good := mac(f, jose.HS256, r.secrets[c], r.assertionClaims(c, nil))
	f.Add(good)
	f.Add(mac(f, jose.HS256, rand.Text()+rand.Text(), r.assertionClaims(c, nil)))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, assertion string) {
		call := post(http.Header{}, url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}})
		cl, err := r.authenticate(t.Context(), &call)
		if err != nil {
			wantCode(t, err, InvalidClient)
			return
		}
		if cl.ID != c || strings.SplitN(assertion, ".", 3)[1] != strings.SplitN(good, ".", 3)[1] {
			t.Fatalf("accepted %q", assertion)
		}
	})
}
