package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// signer is a client that signs its authentication requests.
func (r *rig) signer(k clientKey, edit func(*client.Metadata)) id.Client {
	return r.bank(func(m *client.Metadata) {
		m.JWKS, m.CIBARequestAlg = k.jwks(r.t), "ES256"
		if edit != nil {
			edit(m)
		}
	})
}

func (r *rig) trySigned(c id.Client, object string, beside ...string) (*AuthRequest, error) {
	h, form := r.as(c, values(append([]string{"request", object}, beside...)...))
	return r.Backchannel(r.t.Context(), post(h, form))
}

// Security case CB-06, CIBA §7.1.1: what is inside counts and nothing else; requested_expiry is a number or a
// text (fapi-ciba-id1-ensure-requested-expiry-as-string-succeeds).
func TestCIBASigned_InsideCounts(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k := newClientKey(t)
		c := r.signer(k, nil)
		for i, typ := range []string{"", "JWT", "OautH-auThZ-REQ+jWt"} {
			head := map[jose.HeaderKey]any{}
			if typ != "" {
				head["typ"] = typ
			}
			expiry := []any{"30", 30, "30"}[i]
			a, err := r.trySigned(c, k.assertion(t, r.signedAsk(c, set("requested_expiry", expiry)), head),
				"scope", "openid admin", "login_hint", "nobody", "binding_message", "another", "requested_expiry", "60")
			check(t, err)
			q := must(r.AskedOf(t.Context(), r.user))[0]
			if a.ExpiresIn != 30 || q.Message != "W4SCT" || !slices.Equal(q.Scopes, []string{"openid", "read"}) {
				t.Errorf("%+v, %+v", a, q)
			}
			check(t, r.answerAsked(r.user, true))
			_, err = r.pollAsked(c, a.AuthReqID)
			check(t, err)
		}
		// What is missing inside is missing.
		_, err := r.trySigned(c, k.requestObject(t, r.signedAsk(c, set("login_hint", nil))), "login_hint", r.named(r.user))
		wantCode(t, err, InvalidRequest)
	})
}

// Each claim alone (fapi-ciba-id1-ensure-request-object-…-fails): all are invalid_request, as CIBA §13 has no
// other word.
func TestCIBASigned_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k, stranger := newClientKey(t), newClientKey(t)
		c, other := r.signer(k, nil), r.signer(newClientKey(t), nil)
		now := r.clock.Now()
		at := func(d time.Duration) int64 { return now.Add(d).Unix() }
		both := func(a, b func(map[string]any)) func(map[string]any) {
			return func(m map[string]any) { a(m); b(m) }
		}
		for name, edit := range map[string]func(map[string]any){
			"no iss": set("iss", nil), "another's iss": set("iss", string(other)),
			"no aud": set("aud", nil), "another's aud": set("aud", "https://elsewhere.test"),
			"no exp": set("exp", nil), "expired": set("exp", at(-time.Minute)), "exp in 70 min": set("exp", at(70*time.Minute)),
			"no nbf": set("nbf", nil), "nbf in 10 min": set("nbf", at(10*time.Minute)),
			"nbf 70 min ago": both(set("nbf", at(-70*time.Minute)), set("iat", at(-70*time.Minute))),
			"no iat":         set("iat", nil), "iat in 10 min": set("iat", at(10*time.Minute)),
			"no jti": set("jti", nil), "empty jti": set("jti", ""), "long jti": set("jti", strings.Repeat("x", maxJTI+1)),
			"an assertion": set("sub", string(c)), "nested": set("request", "x.y.z"), "number as text": set("binding_message", 5),
			"fraction": set("requested_expiry", 30.5), "two hints": set("id_token_hint", "x.y.z"),
		} {
			_, err := r.trySigned(c, k.requestObject(t, r.signedAsk(c, edit)))
			if e := AsError(err); err == nil || e.Code != InvalidRequest || e.Status != http.StatusBadRequest {
				t.Errorf("%s: %v", name, err)
			}
		}
		good := func() map[string]any { return r.signedAsk(c, nil) }
		text := k.requestObject(t, good())
		for name, object := range map[string]string{
			"unsecured": unsecured(good()), "another's key": stranger.requestObject(t, good()), "nonsense": "x",
			"a changed signature": text[:len(text)-6] + "AAAAAA",
			"another type":        k.assertion(t, good(), map[jose.HeaderKey]any{"typ": "at+jwt"}),
		} {
			if _, err := r.trySigned(c, object); AsError(err).Code != InvalidRequest {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.tryAsk(c); AsError(err).Code != InvalidRequest {
			t.Errorf("unsigned, although the client registered an algorithm: %v", err)
		}
		wrong := r.signer(k, func(m *client.Metadata) { m.CIBARequestAlg = "PS256" })
		_, err := r.trySigned(wrong, k.requestObject(t, r.signedAsk(wrong, nil)))
		wantCode(t, err, InvalidRequest)
		if n := r.count(`SELECT COUNT(*) FROM ciba_request`); n != 0 {
			t.Errorf("%d requests", n)
		}
		_, err = r.trySigned(c, text)
		check(t, err)
		// Once: neither again, nor after an answer, nor as the assertion that it is not.
		_, err = r.trySigned(c, text)
		wantCode(t, err, InvalidRequest)
		check(t, r.answerAsked(r.user, false))
		_, err = r.trySigned(c, text)
		wantCode(t, err, InvalidRequest)
		if n := r.count(`SELECT COUNT(*) FROM ciba_request`); n != 1 {
			t.Errorf("%d requests of one object", n)
		}
	})
}

// Under a FAPI profile requests are signed, in its algorithms, and can be told apart (FAPI-CIBA §5.2.2); others may sign without
// having registered an algorithm.
func TestCIBASigned_Profile(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	for _, edit := range []func(*client.Metadata){fapi(client.ProfileFAPI2), fapi(client.ProfileFAPI2Signing), func(m *client.Metadata) { m.RequireSignedRequest = true }} {
		c := r.bank(func(m *client.Metadata) {
			m.AuthMethod, m.JWKS, m.RedirectURIs, m.ResponseTypes = client.PrivateKeyJWT, k.jwks(t), nil, nil
			m.GrantTypes = []string{client.GrantCIBA, client.GrantRefreshToken}
			edit(m)
		})
		send := func(form url.Values) error {
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", k.assertion(t, r.assertionClaims(c, nil), nil))
			_, err := r.Backchannel(t.Context(), post(http.Header{}, form))
			return err
		}
		wantCode(t, send(askForm(r)), InvalidRequest)
		check(t, send(values("request", k.requestObject(t, r.signedAsk(c, nil)))))
		// What the person compares it by is demanded under FAPI (FAPI-CIBA §5.2.2).
		err := send(values("request", k.requestObject(t, r.signedAsk(c, set("binding_message", nil)))))
		if must(r.clients.Recorded(t.Context(), c)).Metadata.UnderFAPI() {
			wantCode(t, err, InvalidRequest)
		} else {
			check(t, err)
		}
	}
	free := r.signer(k, func(m *client.Metadata) { m.CIBARequestAlg = "" })
	_, err := r.trySigned(free, k.requestObject(t, r.signedAsk(free, nil)))
	check(t, err)
	r.askSomebody(free)
}

// A signed request is spent with what it asks for: of any number at once one is taken.
func TestRace_CIBASigned(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		k := newClientKey(t)
		c := a.signer(k, nil)
		for _, r := range []*rig{a, b} { // a hint that is being looked at counts as a miss until it was none
			r.ciba.terms.Prompts, r.ciba.terms.Misses = racers, racers
		}
		object := k.requestObject(t, a.signedAsk(c, nil))
		won, failed := race(a, b, func(r *rig) (*AuthRequest, error) { return r.trySigned(c, object) })
		if len(won) != 1 || a.count(`SELECT COUNT(*) FROM ciba_request`) != 1 {
			t.Fatalf("%d were taken", len(won))
		}
		for _, err := range failed {
			wantCode(t, err, InvalidRequest)
		}
	})
}

// FuzzBackchannel: whatever is sent, signed or not, somebody is asked in a way that their page can show, or
// the answer is an error of the vocabulary.
func FuzzBackchannel(f *testing.F) {
	r := sqliteRig(f)
	k := newClientKey(f)
	b := newBell(f, 204)
	c := r.bank(func(m *client.Metadata) { m.JWKS = k.jwks(f); b.pinging(m) })
	f.Add(askForm(r, "client_notification_token", testToken, "binding_message", "W4SCT", "requested_expiry", "30").Encode())
	f.Add(values("request", k.requestObject(f, r.signedAsk(c, set("client_notification_token", testToken)))).Encode())
	f.Add("scope=openid&login_hint=%00&login_hint_token=x&binding_message=%E2%80%AE")
	f.Add("request=a.b.c&id_token_hint=a.b.c")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil || form.Has("client_secret") || form.Has("client_assertion") || form.Has("client_assertion_type") {
			return
		}
		for _, sql := range []string{`DELETE FROM attempt_budget`, `DELETE FROM ciba_request`} {
			_, err := r.db.Q(t.Context()).Exec(t.Context(), sql)
			check(t, err)
		}
		h, form := r.as(c, form)
		a, err := r.Backchannel(t.Context(), post(h, form))
		if err != nil {
			if e := AsError(err); !slices.Contains(Codes, e.Code) || e.Status < 400 || e.Status > 499 || e.Redirect != nil {
				t.Fatalf("%v (%d)", err, e.Status)
			}
			return
		}
		list := must(r.AskedOf(t.Context(), r.user))
		if len(list) != 1 || !slices.Contains(list[0].Scopes, ScopeOpenID) || a.ExpiresIn < 10 || a.ExpiresIn > 3600 {
			t.Fatalf("%+v, %+v", a, list)
		}
		if text, err := readMessage(list[0].Message); err != nil || text != list[0].Message {
			t.Fatalf("%q", list[0].Message)
		}
	})
}
