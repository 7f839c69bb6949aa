package oauth

import (
	"strings"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// TestRefresh_GraceGivesTheSameSuccessor: an honest client that lost the answer gets on; after the
// window, which starts at the first use and is not renewed, the family dies (RFC 9700 §4.14.2).
func TestRefresh_GraceGivesTheSameSuccessor(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			first := r.tokens(c)
			second, err := r.refresh(c, first.RefreshToken)
			check(t, err)
			for range 3 {
				r.clock.Advance(3 * time.Second)
				again, err := r.refresh(c, first.RefreshToken)
				check(t, err)
				if again.RefreshToken != second.RefreshToken || again.AccessToken == second.AccessToken {
					t.Error("not the same successor with a fresh access token")
				}
			}
			third, err := r.refresh(c, second.RefreshToken)
			check(t, err)
			r.clock.Advance(time.Second) // the tenth since the first use
			_, err = r.refresh(c, first.RefreshToken)
			wantCode(t, err, InvalidGrant)
			_, err = r.refresh(c, third.RefreshToken)
			wantCode(t, err, InvalidGrant)
			for _, tok := range []*Tokens{first, second, third} {
				if r.active(c, tok.AccessToken) {
					t.Error("an access token outlives its family")
				}
			}
		}
		if n := r.audited("grant.revoked"); n != 2 {
			t.Errorf("%d audit events, want one per family", n)
		}
	})
}

// TestRefresh_StrictWithoutGrace: any second use ends the family at once, durably (RT-03: another
// instance knows).
func TestRefresh_StrictWithoutGrace(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.RefreshGrace = 0 })
		first := r.tokens(c)
		second, err := r.refresh(c, first.RefreshToken)
		check(t, err)
		other := r.again(r.db, r.db)
		_, err = other.refresh(c, first.RefreshToken)
		wantCode(t, err, InvalidGrant)
		_, err = r.refresh(c, second.RefreshToken)
		wantCode(t, err, InvalidGrant)
		if n := r.count(`SELECT COUNT(*) FROM refresh_token WHERE sealed <> ''`); n != 0 {
			t.Errorf("%d tokens sealed without need", n)
		}
	})
}

// TestRefresh_ReplayAfterSweep: a spent code or token stays known as spent for as long as it would
// have lived, also where its successor ends before it, and even if that is swept away (RT-03).
func TestRefresh_ReplayAfterSweep(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.RefreshGrace = 0 })
		first := r.tokens(c)
		r.edit(c, func(m *client.Metadata) { m.RefreshIdleTTL = time.Minute })
		_, err := r.refresh(c, first.RefreshToken)
		check(t, err)
		r.clock.Advance(time.Hour)
		_, err = r.DeleteExpired(t.Context(), 100)
		check(t, err)
		_, err = r.refresh(c, first.RefreshToken)
		wantCode(t, err, InvalidGrant)

		r.ttl.Code = 10 * time.Minute
		code := r.code(ask(c))
		_, err = r.exchange(c, code)
		check(t, err)
		r.clock.Advance(5 * time.Minute)
		_, err = r.DeleteExpired(t.Context(), 100)
		check(t, err)
		_, err = r.exchange(c, code)
		wantCode(t, err, InvalidGrant)

		r.clock.Advance(100 * 24 * time.Hour)
		_, err = r.DeleteExpired(t.Context(), 100)
		check(t, err)
		if n := r.count(`SELECT COUNT(*) FROM refresh_token`); n != 0 {
			t.Errorf("%d steps are never swept", n)
		}
	})
}

// TestRefresh_F12_AbsoluteEnd: the family's end never moves, whatever the rotations.
func TestRefresh_F12_AbsoluteEnd(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		const day = 24 * time.Hour
		c := r.newClient(client.Web, func(m *client.Metadata) { m.RefreshIdleTTL, m.RefreshAbsoluteTTL = 2*day, 3*day })
		began := r.clock.Now()
		tok := r.tokens(c)
		var err error
		for range 3 {
			r.clock.Advance(day - time.Minute)
			tok, err = r.refresh(c, tok.RefreshToken)
			check(t, err)
		}
		// The last access token ends with the family, not after it.
		if end := r.clock.Now().Add(time.Duration(tok.ExpiresIn) * time.Second); end.After(began.Add(3 * day)) {
			t.Errorf("an access token lives until %v", end)
		}
		r.clock.Advance(4 * time.Minute)
		_, err = r.refresh(c, tok.RefreshToken)
		wantCode(t, err, InvalidGrant)

		idle := r.tokens(c)
		r.clock.Advance(2 * day)
		_, err = r.refresh(c, idle.RefreshToken)
		wantCode(t, err, InvalidGrant)
	})
}

// TestRefresh_Narrowing is security case RT-07 (RFC 6749 §6, RFC 8707 §2.2). fosite ignores both
// (docs/fosite.md).
func TestRefresh_Narrowing(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	tok := r.tokens(c, "scope", "openid offline_access read write")
	var err error
	next := func(want, scope string, pairs ...string) {
		t.Helper()
		var got *Tokens
		if got, err = r.refresh(c, tok.RefreshToken, pairs...); err != nil {
			wantCode(t, err, want)
			return
		}
		if want != "" || got.Scope != scope {
			t.Errorf("%v: scope %q, want %q or error %q", pairs, got.Scope, scope, want)
		}
		tok = got
	}
	next("", "read", "scope", "read")
	if tok.IDToken != "" {
		t.Error("an ID token without openid")
	}
	next("", "openid offline_access read write") // narrowing held for that token only
	next(InvalidScope, "", "scope", "read other")
	next(InvalidScope, "", "scope", "read profile")
	next("", "read write", "resource", testAPI)
	if aud := claimsOf(t, tok.AccessToken)["aud"]; aud != testAPI {
		t.Errorf("aud %v", aud)
	}
	if _, err := r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken); AsError(err).Code != InvalidToken {
		t.Errorf("a token for an API opens userinfo: %v", err) // JW-13
	}
	next("", "openid offline_access", "resource", testIssuer)
	next(InvalidTarget, "", "resource", otherAPI)
	next("", "openid offline_access read write")
}

// TestRefresh_F17_Rereads is security case RT-06.
func TestRefresh_F17_Rereads(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for name, tc := range map[string]struct {
			act  func(c id.Client)
			code string
		}{
			"user disabled":   {func(id.Client) { r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user)) }, InvalidGrant},
			"user deleted":    {func(id.Client) { r.exec(`DELETE FROM account WHERE id = $1`, string(r.user)) }, InvalidGrant},
			"consent revoked": {func(c id.Client) { check(t, r.RevokeClient(t.Context(), r.user, c)) }, InvalidGrant},
			"consent deleted": {func(c id.Client) { r.exec(`DELETE FROM consent WHERE client_id = $1`, string(c)) }, InvalidGrant},
			"client disabled": {func(c id.Client) { check(t, r.clients.Disable(t.Context(), c)) }, InvalidClient},
			"grant removed": {func(c id.Client) {
				r.edit(c, func(m *client.Metadata) { m.GrantTypes, m.Scopes = m.GrantTypes[:1], []string{"openid"} })
			}, UnauthorizedClient},
			"session ended":   {func(id.Client) { r.signOut(t) }, InvalidGrant},
			"session expired": {func(id.Client) { r.exec(`DELETE FROM session WHERE id = $1`, string(r.session)) }, ""}, // idle expiry is no logout
		} {
			r.user = r.newUser()
			r.session = r.newSession(r.user)
			c := r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
			req, err := r.ParseAuthorize(t.Context(), ask(c))
			check(t, err)
			check(t, r.Approve(t.Context(), req, r.user))
			tok := r.tokens(c)
			tc.act(c)
			_, err = r.refresh(c, tok.RefreshToken)
			if got := wantCode(t, err, tc.code); got != nil && got.Code != tc.code {
				t.Errorf("%s", name)
			}
		}
	})
}

// TestRefresh_Malformed is security case RT-12.
func TestRefresh_Malformed(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
	tok := r.tokens(c)
	rt := tok.RefreshToken
	body := strings.TrimPrefix(rt, "sgn_rt_")
	flip := []byte(rt)
	flip[20] ^= 1
	for _, bad := range []string{
		"", rt[:len(rt)-1], rt + "A", string(flip), "sgn_at_" + body, "sgn_rt_" + body[24:] + body[:24], tok.AccessToken, id.Digest(rt), "spent:" + id.Digest(rt),
	} {
		_, err := r.refresh(c, bad)
		wantCode(t, err, InvalidGrant)
	}
	if a, _ := r.inspect(t.Context(), rt); a != nil {
		t.Error("a refresh token works as an access token")
	}
	_, err := r.refresh(c, rt)
	wantCode(t, err, "")
}

// TestStore_HoldsNoToken is security case RT-13: nothing that the database holds works as a token.
func TestStore_HoldsNoToken(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		code := r.code(ask(c))
		tok := r.tokens(c)
		for _, col := range []string{"oauth_grant.code_hash", "refresh_token.token_hash", "refresh_token.predecessor_hash", "refresh_token.sealed", "access_token.token_hash"} {
			table, name, _ := strings.Cut(col, ".")
			rows, err := r.db.Q(t.Context()).Query(t.Context(), `SELECT `+name+` FROM `+table)
			check(t, err)
			for rows.Next() {
				var v string
				check(t, rows.Scan(&v))
				for _, secret := range []string{code, tok.AccessToken, tok.RefreshToken} {
					if strings.Contains(v, secret) {
						t.Errorf("%s holds a token", col)
					}
				}
			}
			rows.Close()
		}
	})
}
