package oauth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store/storetest"
)

// TestIntrospect_F8_Callers: only confidential clients, only about their own tokens or those for
// an API that they are registered with (fosite trap 7).
func TestIntrospect_F8_Callers(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			owner := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			api := r.newClient(client.Machine, nil)
			stranger := r.newClient(client.Machine, func(m *client.Metadata) { m.Scopes = []string{"other"} })
			public := r.newClient(client.SPA, nil)
			tok := r.tokens(owner)
			for _, c := range []id.Client{owner, api} {
				out, err := r.introspect(c, tok.AccessToken)
				check(t, err)
				if !out.Active || out.Subject != string(r.user) || out.ClientID != string(owner) || out.Scope != tok.Scope ||
					out.Expires-out.IssuedAt != 600 || !slices.Contains(out.Audience, testAPI) || out.Session != string(r.session) || out.AuthTime == 0 {
					t.Errorf("%s: %+v", format, out)
				}
			}
			out, err := r.introspect(stranger, tok.AccessToken)
			check(t, err)
			if b := must(json.Marshal(out)); string(b) != `{"active":false}` { // RFC 7662 §2.2
				t.Errorf("to a stranger: %s", b)
			}
			_, err = r.introspect(public, tok.AccessToken)
			wantCode(t, err, InvalidClient)
		}
	})
}

// TestIntrospect_Inactive is security case IN-02, and fosite trap 10: an ID token is never
// an access token.
func TestIntrospect_Inactive(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c)
		revoked, denied := r.tokens(c), r.tokens(c)
		h, form := r.as(c, values("token", revoked.RefreshToken))
		check(t, r.Revoke(t.Context(), post(h, form)))
		h, form = r.as(c, values("token", denied.AccessToken))
		check(t, r.Revoke(t.Context(), post(h, form)))
		body, _ := json.Marshal(accessClaims{Issuer: "https://evil.test", Subject: string(r.user), ClientID: string(c), Expires: 1 << 40, ID: "x"})
		foreign := must(r.keys.Sign(keys.ES256, typAccess, body))
		for name, token := range map[string]string{
			"ID token": tok.IDToken, "refresh token": tok.RefreshToken, "revoked grant": revoked.AccessToken, "denied": denied.AccessToken,
			"malformed": "a.b.c", "1 MB": strings.Repeat("x", 1<<20), "unknown opaque": id.NewToken(id.AccessToken), "foreign issuer": foreign,
		} {
			out, err := r.introspect(c, token)
			check(t, err)
			if d := cmp.Diff(&Introspection{}, out); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
		if out, _ := r.introspect(c, tok.RefreshToken, "token_type_hint", "refresh_token"); !out.Active {
			t.Error("a refresh token is inactive to its own client, though the hint names it")
		}
		if out, _ := r.introspect(c, tok.AccessToken, "token_type_hint", "refresh_token"); !out.Active {
			t.Error("a wrong hint hides an access token (RFC 7662 §2.1)")
		}
		r.clock.Advance(10 * time.Minute)
		if out, _ := r.introspect(c, tok.AccessToken); out.Active {
			t.Error("an expired token is active")
		}
		_, err := r.introspect(c, "")
		wantCode(t, err, InvalidRequest)
	})
}

// TestRevoke_OwnOnly is security case IN-04 (RFC 7009 §2.1, §2.2).
func TestRevoke_OwnOnly(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			edit := func(m *client.Metadata) { m.AccessTokenFormat = format }
			c, other := r.newClient(client.Web, edit), r.newClient(client.Web, edit)
			revoke := func(by id.Client, token string, pairs ...string) {
				t.Helper()
				h, form := r.as(by, values(append([]string{"token", token}, pairs...)...))
				check(t, r.Revoke(t.Context(), post(h, form)))
			}
			tok := r.tokens(c)
			revoke(other, tok.AccessToken)
			revoke(other, tok.RefreshToken)
			revoke(c, "unknown")
			revoke(c, id.NewToken(id.RefreshToken))
			if !r.active(c, tok.AccessToken) {
				t.Fatalf("%s: revoked by a stranger", format)
			}
			tok2, err := r.refresh(c, tok.RefreshToken)
			check(t, err)
			revoke(c, tok.AccessToken, "token_type_hint", "refresh_token") // wrong hint
			revoke(c, tok.AccessToken)                                     // twice
			if r.active(c, tok.AccessToken) || !r.active(c, tok2.AccessToken) {
				t.Errorf("%s: revoking one access token: it %v, the next %v", format, r.active(c, tok.AccessToken), r.active(c, tok2.AccessToken))
			}
			revoke(c, tok2.RefreshToken)
			_, err = r.refresh(c, tok2.RefreshToken)
			wantCode(t, err, InvalidGrant)
			if r.active(c, tok2.AccessToken) {
				t.Errorf("%s: an access token outlives its refresh token's revocation", format)
			}
		}
	})
}

// TestStoreDown_F6_NoFalseAnswer is security case IN-05: without the store nothing is claimed.
func TestStoreDown_F6_NoFalseAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c)
		code := r.code(ask(c))
		for name, act := range map[string]func(d *rig) error{
			"revoke refresh": func(d *rig) error {
				h, f := r.as(c, values("token", tok.RefreshToken))
				return d.Revoke(t.Context(), post(h, f))
			},
			"revoke access": func(d *rig) error {
				h, f := r.as(c, values("token", tok.AccessToken))
				return d.Revoke(t.Context(), post(h, f))
			},
			"introspect": func(d *rig) error { _, err := d.introspect(c, tok.AccessToken); return err },
			"userinfo":   func(d *rig) error { _, err := d.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken); return err },
			"exchange":   func(d *rig) error { _, err := d.exchange(c, code); return err },
			"refresh":    func(d *rig) error { _, err := d.refresh(c, tok.RefreshToken); return err },
		} {
			down, _ := storetest.FailAt(r.db, 1, storetest.Before)
			err := act(r.again(r.db, down))
			if !errs.Is(err, errs.Unavailable) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if e := AsError(err); e.Code != TemporarilyUnavailable || e.Status != 503 || e.RetryAfter == 0 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if !r.active(c, tok.AccessToken) {
			t.Error("a failed revocation had an effect")
		}
	})
}

// TestUserinfo_ByScope is security case JW-14 (OIDC Core §5.4): only granted scopes, typed values.
func TestUserinfo_ByScope(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		for scope, want := range map[string][]string{
			"openid": {"sub"}, "openid email": {"email", "email_verified", "sub"}, "openid address": {"address", "sub"},
			"openid phone": {"phone_number", "phone_number_verified", "sub"}, "openid profile": {"locale", "name", "sub", "updated_at"},
		} {
			got, err := r.Userinfo(t.Context(), Call{}, "Bearer", r.tokens(c, "scope", scope).AccessToken)
			check(t, err)
			var names []string
			for n := range got.Claims {
				names = append(names, n)
			}
			slices.Sort(names)
			if d := cmp.Diff(want, names); d != "" || got.Claims["sub"] != string(r.user) {
				t.Errorf("%s: %s", scope, d)
			}
		}
		_, err := r.Userinfo(t.Context(), Call{}, "Bearer", r.tokens(c, "scope", "read").AccessToken)
		if code := AsError(err).Code; code != InvalidToken && code != InsufficientScope {
			t.Errorf("without openid: %v", err)
		}
		tok := r.tokens(c)
		_, err = r.Userinfo(t.Context(), Call{}, "Bearer", tok.IDToken)
		wantCode(t, err, InvalidToken)
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		_, err = r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
		if e := wantCode(t, err, InvalidToken); e.Challenge != "Bearer" || e.Status != 401 {
			t.Errorf("%+v", e)
		}
	})
}

// TestDeleteExpired removes what is over and nothing else, in batches.
func TestDeleteExpired(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		const tables = `SELECT (SELECT COUNT(*) FROM oauth_grant) + (SELECT COUNT(*) FROM refresh_token) + (SELECT COUNT(*) FROM access_token)
			+ (SELECT COUNT(*) FROM token_denylist) + (SELECT COUNT(*) FROM client_assertion)`
		short := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		long := r.newClient(client.Web, nil)
		for range 3 {
			r.tokens(short, "scope", "openid")
		}
		keep := r.tokens(long)
		h, form := r.as(long, values("token", r.tokens(long).AccessToken))
		check(t, r.Revoke(t.Context(), post(h, form)))
		before := r.count(tables)
		n, err := r.DeleteExpired(t.Context(), 100)
		if err != nil || n != 0 || r.count(tables) != before {
			t.Fatalf("deleted %d of what is alive (%v)", n, err)
		}
		r.clock.Advance(time.Hour)
		n, err = r.DeleteExpired(t.Context(), 2)
		check(t, err)
		if n > 10 {
			t.Errorf("%d rows in one batch of 2 per table", n)
		}
		for n > 0 {
			n, err = r.DeleteExpired(t.Context(), 2)
			check(t, err)
		}
		if got := r.count(`SELECT COUNT(*) FROM oauth_grant`); got != 2 {
			t.Errorf("%d grants left, want the two with refresh tokens", got)
		}
		if got := r.count(`SELECT COUNT(*) FROM token_denylist`) + r.count(`SELECT COUNT(*) FROM access_token`); got != 0 {
			t.Errorf("%d expired rows left", got)
		}
		_, err = r.refresh(long, keep.RefreshToken)
		wantCode(t, err, "")
	})
}

// TestInspect_SuccessorOfADeletedClient: tokens do not pass to another client that gets the id of a
// deleted one. Grants go with their client; a machine's tokens hang on nothing.
func TestInspect_SuccessorOfADeletedClient(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.newClient(client.Machine, func(m *client.Metadata) { m.AccessTokenFormat = format })
			old, err := r.clients.Get(t.Context(), c)
			check(t, err)
			tok, err := r.post(c, credentialsForm())
			check(t, err)
			check(t, r.clients.Delete(t.Context(), c))
			r.clock.Advance(2 * time.Minute)
			_, secret, err := r.clients.Create(t.Context(), client.NewClient{ID: c, Name: "Another", Kind: client.Machine, Metadata: old.Metadata})
			check(t, err)
			r.secrets[c] = secret.Reveal()
			if r.active(c, tok.AccessToken) {
				t.Errorf("%s: a token of the deleted client is active", format)
			}
			fresh, err := r.post(c, credentialsForm())
			check(t, err)
			if !r.active(c, fresh.AccessToken) {
				t.Errorf("%s: a token of the new client is not", format)
			}
		}
	})
}
