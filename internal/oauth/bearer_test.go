package oauth

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// RFC 7523 §2.1: an assertion of a trusted issuer gives an access token for its subject, on a grant that
// the user and an operator can end.
func TestBearer(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.bearer(func(m *client.Metadata) { m.AccessTokenFormat = format })
			got, err := r.assert(c, r.assertion(nil), "scope", "read", "resource", testAPI)
			check(t, err)
			if got.Scope != "read" || got.RefreshToken != "" || got.IDToken != "" {
				t.Errorf("%+v", got)
			}
			a, err := r.inspect(t.Context(), got.AccessToken)
			check(t, err)
			if a == nil || a.User != r.user || a.Grant == "" || a.Session != "" {
				t.Fatalf("%+v", a)
			}
			out, err := r.Introspect(t.Context(), post(basic(string(c), r.secrets[c]), values("token", got.AccessToken)))
			check(t, err)
			if out.AuthTime != 0 || out.ACR != "" {
				t.Errorf("nobody signed in: %+v", out)
			}
			check(t, r.RevokeUser(t.Context(), r.user, ""))
			if r.active(c, got.AccessToken) {
				t.Error("the token outlives its grant")
			}
		}
		c := r.bearer(nil)
		got, err := r.assert(c, r.assertion(func(m map[string]any) { m["auth_time"] = r.clock.Now().Unix() - 30 }))
		check(t, err)
		if claims := claimsOf(t, got.AccessToken); claims["auth_time"] != float64(r.clock.Now().Unix()-30) || claims["sub"] != string(r.user) {
			t.Errorf("%v", claims)
		}
		if r.audited("grant.asserted") != 3 {
			t.Error("an assertion is not on record")
		}
	})
}

// Security case TK-25, RFC 7523 §3: whatever is wrong with an assertion is the same invalid_grant.
func TestBearer_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c, bare := r.bearer(nil), r.newClient(client.Web, nil)
		set := func(name string, v any) string {
			return r.assertion(func(m map[string]any) {
				m[name] = v
				if v == nil {
					delete(m, name)
				}
			})
		}
		now := r.clock.Now()
		used := r.assertion(nil)
		_, err := r.assert(c, used)
		check(t, err)
		for name, assertion := range map[string]string{
			"used before": used, "garbage": "x", "our own token": r.tokens(bare, "scope", "openid").IDToken,
			"unknown issuer": set("iss", "https://who.test"), "issuer of another client": set("iss", "https://elsewhere.test"),
			"issuer of software": set("iss", "https://software.test"), "no issuer": set("iss", nil),
			"nobody": set("sub", id.New()), "no subject": set("sub", nil), "NUL": set("sub", "a\x00b"), "long subject": set("sub", strings.Repeat("s", 600)),
			"another audience": set("aud", "https://other.test"), "the token endpoint": set("aud", testIssuer+"/oauth2/token"),
			"a list as audience": set("aud", []string{testIssuer}), "no audience": set("aud", nil),
			"no expiry": set("exp", nil), "expired": set("exp", now.Add(-2*time.Minute).Unix()), "expires far off": set("exp", now.Add(2*time.Hour).Unix()),
			"from the future": set("iat", now.Add(2*time.Minute).Unix()), "not yet": set("nbf", now.Add(2*time.Minute).Unix()),
			"no jti": set("jti", nil), "long jti": set("jti", strings.Repeat("j", 300)),
			"a logout token":       set("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}),
			"typed logout token":   r.signed(map[jose.HeaderKey]any{"typ": "logout+jwt"}, nil),
			"typed access token":   r.signed(map[jose.HeaderKey]any{"typ": "at+jwt"}, nil),
			"key in the header":    r.signed(map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: &trustedKey().PublicKey}}, nil),
			"an assertion too big": set("note", strings.Repeat("n", 20000)),
		} {
			if _, err := r.assert(c, assertion); err == nil {
				t.Errorf("%s: accepted", name)
			} else if e := wantCode(t, err, InvalidGrant); e.Description != invalidGrant("").Description {
				t.Errorf("%s: says %q", name, e.Description)
			}
		}
		if _, err := r.assert(c, ""); err == nil || AsError(err).Code != InvalidRequest {
			t.Errorf("no assertion: %v", err)
		}
		for _, bad := range [][3]string{{InvalidScope, "scope", "openid"}, {InvalidScope, "scope", "offline_access"}, {InvalidScope, "scope", "admin"}, {InvalidTarget, "resource", testIssuer}} {
			_, err := r.assert(c, r.assertion(nil), bad[1], bad[2])
			wantCode(t, err, bad[0])
		}
		_, err = r.assert(bare, r.assertion(nil))
		wantCode(t, err, UnauthorizedClient)
		third := r.bearer(func(m *client.Metadata) { m.FirstParty = false })
		_, err = r.assert(third, r.assertion(nil), "scope", "read")
		wantCode(t, err, InvalidGrant) // nobody consented
		check(t, r.Approve(t.Context(), &Request{ClientID: third, Scopes: []string{"read"}}, r.user))
		_, err = r.assert(third, r.assertion(nil), "scope", "read")
		check(t, err)
		_, err = r.assert(third, r.assertion(nil), "scope", "read write")
		wantCode(t, err, InvalidGrant)
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		_, err = r.assert(c, r.assertion(nil))
		wantCode(t, err, InvalidGrant)
	})
}

// Where the registration demands two factors, an assertion, which proves none, opens nothing.
func TestBearer_TwoFactorsDemanded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	_, err := r.assert(r.bearer(func(m *client.Metadata) { m.RequireMFA = true }), r.assertion(nil), "scope", "read")
	wantCode(t, err, UnauthorizedClient)
}

// One assertion makes one grant, of any number of uses at once on two instances, and its mark outlives it.
func TestRace_OneAssertion(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := a.bearer(func(m *client.Metadata) { m.AccessTokenFormat = format; m.AccessTokenTTL = time.Minute })
			assertion := a.assertion(func(m map[string]any) { m["exp"] = a.clock.Now().Add(50 * time.Minute).Unix() })
			won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.assert(c, assertion) })
			if len(won) != 1 {
				t.Fatalf("%d tokens of one assertion", len(won))
			}
			onlyInvalidGrant(t, failed)
			if n := a.count(`SELECT COUNT(*) FROM oauth_grant WHERE client_id = $1`, string(c)); n != 1 {
				t.Errorf("%d grants", n)
			}
			a.clock.Advance(49 * time.Minute)
			_, err := b.DeleteExpired(t.Context(), 1000)
			check(t, err)
			_, err = b.assert(c, assertion)
			wantCode(t, err, InvalidGrant)
		}
	})
}

func FuzzBearer(f *testing.F) {
	r := sqliteRig(f)
	c := r.bearer(nil)
	f.Add(r.assertion(nil))
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NpLnRlc3QifQ.")
	f.Fuzz(func(t *testing.T, assertion string) {
		if _, err := r.assert(c, assertion); err != nil {
			if e := AsError(err); e.Status != 400 {
				t.Fatalf("%v (%d)", err, e.Status)
			}
		}
	})
}
