package oauth

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// shop registers the application that people sign in to, whose tokens others exchange.
func (r *rig) shop(edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.Audiences = []string{testAPI, otherAPI}
		if edit != nil {
			edit(m)
		}
	})
}

// RFC 8693 §2.2.1, §4.1: what is given is for an API of the exchanging application, says who acts, opens
// no more, lives no longer, and is no ID or refresh token.
func TestExchange_Delegation(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			shop := r.shop(func(m *client.Metadata) { m.AccessTokenFormat = format; m.AccessTokenTTL = 5 * time.Minute })
			gateway := r.exchanger(func(m *client.Metadata) { m.AccessTokenFormat = format; m.AccessTokenTTL = time.Hour }, shop)
			tok := r.tokens(shop, "scope", "openid profile offline_access read write other")
			r.clock.Advance(time.Minute)
			got, err := r.trade(gateway, tok.AccessToken, "scope", "other", "resource", otherAPI)
			check(t, err)
			if got.IssuedTokenType != typeAccessToken || got.Scope != "other" || got.ExpiresIn != 240 || got.IDToken != "" || got.RefreshToken != "" {
				t.Errorf("%s: %+v", format, got)
			}
			a, err := r.inspect(t.Context(), got.AccessToken)
			check(t, err)
			if a == nil || a.Client != gateway || a.Owner != shop || a.User != r.user || !cmp.Equal(a.Audience, []string{otherAPI}) {
				t.Fatalf("%s: %+v", format, a)
			}
			if want := (&actor{Subject: string(gateway), ClientID: string(gateway)}); !cmp.Equal(a.Act, want) {
				t.Errorf("%s: act %+v", format, a.Act)
			}
			// The next in the chain keeps who acted before.
			next := r.exchanger(nil, gateway)
			again, err := r.trade(next, got.AccessToken)
			check(t, err)
			b, err := r.inspect(t.Context(), again.AccessToken)
			check(t, err)
			if b == nil || b.Act == nil || b.Act.Subject != string(next) || !cmp.Equal(b.Act.Act, a.Act) {
				t.Errorf("%s: chain %+v", format, b)
			}
			// Everything dies with the grant of the first.
			check(t, r.Revoke(t.Context(), post(basic(string(shop), r.secrets[shop]), values("token", tok.RefreshToken))))
			if r.active(gateway, got.AccessToken) || r.active(next, again.AccessToken) {
				t.Errorf("%s: an exchanged token outlives its grant", format)
			}
		}
	})
}

// Security case TK-25: what must not be exchanged, by whom, for what.
func TestExchange_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		shop, stranger := r.shop(nil), r.shop(nil)
		gateway := r.exchanger(func(m *client.Metadata) { m.Scopes, m.Audiences = []string{"read", "write"}, []string{testAPI} }, shop)
		elsewhere := r.exchanger(func(m *client.Metadata) { m.Scopes, m.Audiences = []string{"other"}, []string{otherAPI} }, shop)
		tok := r.tokens(shop, "scope", "openid offline_access read")
		good := tok.AccessToken
		_, err := r.trade(gateway, good)
		check(t, err)
		_, err = r.trade(elsewhere, good)
		wantCode(t, err, InvalidRequest) // the token was never for its API
		_, err = r.trade(gateway, r.tokens(stranger, "scope", "openid read").AccessToken)
		wantCode(t, err, InvalidRequest) // of a client that is not named
		machine := r.exchanger(nil)
		own, err := r.post(machine, values("grant_type", "client_credentials"))
		check(t, err)
		_, err = r.trade(machine, own.AccessToken)
		wantCode(t, err, InvalidRequest) // of nobody
		for _, c := range []struct {
			want  string
			pairs []string
		}{
			{InvalidRequest, []string{"subject_token", tok.IDToken}},
			{InvalidRequest, []string{"subject_token", tok.RefreshToken}},
			{InvalidRequest, []string{"subject_token", good[:len(good)-4] + "AAAA"}},
			{InvalidRequest, []string{"subject_token", strings.Repeat("a", 10000)}},
			{InvalidRequest, []string{"subject_token", ""}},
			{InvalidRequest, []string{"subject_token_type", ""}},
			{InvalidRequest, []string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}},
			{InvalidRequest, []string{"subject_token", tok.IDToken, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}},
			{InvalidRequest, []string{"subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}},
			{InvalidRequest, []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}},
			{InvalidRequest, []string{"requested_token_type", "urn:ietf:params:oauth:token-type:id_token"}},
			{InvalidRequest, []string{"actor_token", own.AccessToken}},
			{InvalidRequest, []string{"actor_token_type", typeAccessToken}},
			{InvalidRequest, []string{"actor_token", own.AccessToken, "actor_token_type", typeAccessToken}}, // another client's
			{InvalidScope, []string{"scope", "write"}},                                                      // not in the subject token
			{InvalidScope, []string{"scope", "openid"}},
			{InvalidScope, []string{"scope", "offline_access"}},
			{InvalidScope, []string{"scope", "re\"ad"}},
			{InvalidTarget, []string{"resource", otherAPI}},
			{InvalidTarget, []string{"audience", otherAPI}},
			{InvalidTarget, []string{"resource", testIssuer}},
			{InvalidTarget, []string{"audience", "api"}},
		} {
			if _, err := r.trade(gateway, good, c.pairs...); err == nil {
				t.Errorf("%v: exchanged", c.pairs)
			} else {
				wantCode(t, err, c.want)
			}
		}
		_, err = r.trade(shop, good)
		wantCode(t, err, UnauthorizedClient)
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		_, err = r.trade(gateway, good)
		wantCode(t, err, InvalidRequest)
		r.exec(`UPDATE account SET status = 'active' WHERE id = $1`, string(r.user))
		check(t, r.Revoke(t.Context(), post(basic(string(shop), r.secrets[shop]), values("token", good))))
		_, err = r.trade(gateway, good)
		wantCode(t, err, InvalidRequest)
		expired := r.tokens(shop, "scope", "openid read").AccessToken
		r.clock.Advance(time.Hour)
		_, err = r.trade(gateway, expired)
		wantCode(t, err, InvalidRequest)
	})
}

// Where the registration of the service demands two factors, the sign-in behind the token had them.
func TestExchange_TwoFactorsDemanded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
		shop := r.shop(func(m *client.Metadata) { m.AccessTokenFormat = format })
		gateway := r.exchanger(func(m *client.Metadata) { m.RequireMFA = true }, shop)
		_, err := r.trade(gateway, r.tokens(shop, "scope", "openid read").AccessToken)
		wantCode(t, err, InvalidRequest)
		req := must(r.ParseAuthorize(t.Context(), ask(shop, "scope", "openid read")))
		l := r.login()
		l.ACR, l.AMR = "urn:signet:acr:2fa", []string{"pwd", "otp", "mfa"}
		resp := must(r.Issue(t.Context(), req, l))
		_, err = r.trade(gateway, must(r.exchange(shop, resp.Params.Get("code"))).AccessToken)
		check(t, err)
	}
}

// Who may impersonate leaves no act behind, but a record; who signs in as an actor is named.
func TestExchange_Actors(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		shop := r.shop(nil)
		silent := r.exchanger(func(m *client.Metadata) { m.Impersonates = true }, shop)
		good := r.tokens(shop, "scope", "openid read").AccessToken
		got, err := r.trade(silent, good)
		check(t, err)
		if claims := claimsOf(t, got.AccessToken); claims["act"] != nil || claims["client_id"] != string(silent) {
			t.Errorf("%v", claims)
		}
		if !r.active(silent, got.AccessToken) || r.audited("token.impersonated") != 1 {
			t.Error("an impersonation is not on record, or not active")
		}
		own, err := r.post(silent, values("grant_type", "client_credentials"))
		check(t, err)
		got, err = r.trade(silent, good, "actor_token", own.AccessToken, "actor_token_type", typeAccessToken)
		check(t, err)
		if act, _ := claimsOf(t, got.AccessToken)["act"].(map[string]any); act["sub"] != string(silent) {
			t.Errorf("act %v", act)
		}
		if r.audited("token.impersonated") != 1 {
			t.Error("a delegation counts as impersonation")
		}
		// The chain has an end.
		for range maxActors - 1 {
			if got, err = r.trade(silent, got.AccessToken, "actor_token", own.AccessToken, "actor_token_type", typeAccessToken); err != nil {
				t.Fatal(err)
			}
		}
		_, err = r.trade(silent, got.AccessToken, "actor_token", own.AccessToken, "actor_token_type", typeAccessToken)
		wantCode(t, err, InvalidRequest)
	})
}

// An exchanged token ends with either application: the one that it was given to, and the one that the
// user let in.
func TestExchange_EndsWithItsApplications(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			for _, first := range []bool{true, false} {
				shop := r.shop(nil)
				gateway := r.exchanger(func(m *client.Metadata) { m.AccessTokenFormat = format }, shop)
				got, err := r.trade(gateway, r.tokens(shop, "scope", "openid read").AccessToken)
				check(t, err)
				if !r.active(gateway, got.AccessToken) {
					t.Fatal("not active")
				}
				who := gateway
				if first {
					who = shop
				}
				check(t, r.clients.Disable(t.Context(), who))
				if r.active(gateway, got.AccessToken) {
					t.Errorf("%s: active although %v is disabled", format, map[bool]string{true: "the owner", false: "the client"}[first])
				}
			}
		}
	})
}

// Security case TK-41: what later services made ends with one in the middle of the chain, whether it said
// that it acts or not, and is exchanged no further. It ends with no other.
func TestExchange_EndsWithWhoActed(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			for _, silent := range []bool{false, true} {
				for _, gone := range []func(id.Client){
					func(c id.Client) { check(t, r.clients.Disable(t.Context(), c)) },
					func(c id.Client) { check(t, r.clients.Delete(t.Context(), c)) },
				} {
					shop := r.shop(nil)
					as := func(m *client.Metadata) { m.AccessTokenFormat = format }
					middle := r.exchanger(func(m *client.Metadata) { as(m); m.Impersonates = silent }, shop)
					third, last, beyond := r.exchanger(as, middle), r.exchanger(as), r.exchanger(as)
					token := r.tokens(shop, "scope", "openid read").AccessToken
					chain := []id.Client{middle, third}
					for _, c := range chain {
						token = must(r.trade(c, token)).AccessToken
					}
					r.edit(last, func(m *client.Metadata) { m.ExchangeClients = []string{string(third)} })
					r.edit(beyond, func(m *client.Metadata) { m.ExchangeClients = []string{string(last)} })
					made := must(r.trade(last, token)).AccessToken
					check(t, r.clients.Disable(t.Context(), r.exchanger(as, shop))) // one that had no part in it
					if !r.active(last, made) {
						t.Fatalf("%s, silent %v: not active", format, silent)
					}
					gone(middle)
					if r.active(third, token) || r.active(last, made) {
						t.Errorf("%s, silent %v: a token outlives who acted in the middle", format, silent)
					}
					_, err := r.trade(beyond, made)
					wantCode(t, err, InvalidRequest)
				}
			}
		}
	})
}

// Security case TK-42: no exchange takes the binding off a token. Of the client's own tokens, given as subject or as
// actor, the key is proven (RFC 9449 §5); that of a token of its caller it cannot have.
func TestExchange_OwnTokensStayBound(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			as := func(m *client.Metadata) { m.AccessTokenFormat = format }
			shop := r.shop(as)
			gateway := r.exchanger(as, shop)
			p, other := newProver(t), newProver(t)
			callers, err := r.postProven(shop, exchangeForm(r.code(ask(shop, "scope", "openid read"))), other.proof(r))
			check(t, err)
			trade := func(token string, pairs []string, proofs ...string) (*Tokens, error) {
				form := values(append([]string{"grant_type", client.GrantTokenExchange, "subject_token", token, "subject_token_type", typeAccessToken}, pairs...)...)
				return r.postProven(gateway, form, proofs...)
			}
			plain, err := trade(callers.AccessToken, nil)
			check(t, err)
			own, err := trade(callers.AccessToken, nil, p.proof(r))
			check(t, err)
			actor, err := r.postProven(gateway, values("grant_type", "client_credentials"), p.proof(r))
			check(t, err)
			acting := []string{"actor_token", actor.AccessToken, "actor_token_type", typeAccessToken}
			elsewhere, err := r.postProven(gateway, values("grant_type", "client_credentials"), other.proof(r))
			check(t, err)
			for name, c := range map[string]struct {
				token string
				more  []string
				proof *prover
				want  string
			}{
				"subject without proof":   {own.AccessToken, nil, nil, InvalidDPoPProof},
				"subject by another key":  {own.AccessToken, nil, &other, InvalidGrant},
				"subject":                 {own.AccessToken, nil, &p, ""},
				"actor without proof":     {callers.AccessToken, acting, nil, InvalidDPoPProof},
				"actor by another key":    {plain.AccessToken, acting, &other, InvalidGrant},
				"actor":                   {plain.AccessToken, acting, &p, ""},
				"both":                    {own.AccessToken, acting, &p, ""},
				"both, of different keys": {own.AccessToken, []string{"actor_token", elsewhere.AccessToken, "actor_token_type", typeAccessToken}, &p, InvalidRequest},
				"unbound":                 {plain.AccessToken, nil, nil, ""},
			} {
				var proofs []string
				if c.proof != nil {
					proofs = append(proofs, c.proof.proof(r))
				}
				got, err := trade(c.token, c.more, proofs...)
				if (err == nil) != (c.want == "") || err != nil && AsError(err).Code != c.want || err == nil && c.proof != nil && got.TokenType != "DPoP" {
					t.Errorf("%s, %s: %+v %v, want %q", format, name, got, err, c.want)
				}
			}
		}
	})
}

// A service with pairwise subjects meets the user under its own sub, in the tokens that it is given too
// (OIDC Core §8.1).
func TestExchange_Pairwise(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	shop := r.shop(nil)
	gateway := r.shop(func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantTokenExchange)
		m.ExchangeClients, m.SubjectType = []string{string(shop)}, "pairwise"
	})
	got, err := r.trade(gateway, r.tokens(shop, "scope", "openid read").AccessToken)
	check(t, err)
	if sub := claimsOf(t, got.AccessToken)["sub"]; sub == string(r.user) || sub == "" {
		t.Errorf("sub %v", sub)
	}
	if !r.active(gateway, got.AccessToken) {
		t.Error("not active")
	}
}

// FuzzExchange: whatever comes as tokens and types, the answer is tokens for the one sound request or a
// refusal.
func FuzzExchange(f *testing.F) {
	r := sqliteRig(f)
	shop := r.shop(nil)
	gateway := r.exchanger(nil, shop)
	good := r.tokens(shop, "scope", "openid read").AccessToken
	f.Add(good, typeAccessToken, "", "", "read", testAPI)
	f.Add(good, typeAccessToken, good, typeAccessToken, "", "")
	f.Add("x", "urn:ietf:params:oauth:token-type:id_token", "", "y", "openid", testIssuer)
	f.Fuzz(func(t *testing.T, subject, kind, actor, actorKind, scope, resource string) {
		got, err := r.trade(gateway, subject, "subject_token_type", kind, "actor_token", actor, "actor_token_type", actorKind, "scope", scope, "resource", resource)
		if err != nil {
			if e := AsError(err); e.Status != 400 {
				t.Fatalf("%v (%d)", err, e.Status)
			}
			return
		}
		if a, err := r.inspect(t.Context(), got.AccessToken); err != nil || a == nil || a.User != r.user || !cmp.Equal(a.Audience, []string{testAPI}) || !cmp.Equal(a.Scopes, []string{"read"}) {
			t.Fatalf("%+v %v", a, err)
		}
	})
}
