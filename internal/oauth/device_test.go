package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// tv registers a client that may use the device grant: public, without any redirect.
func (r *rig) tv(edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	return r.newClient(client.Native, func(m *client.Metadata) {
		m.GrantTypes = []string{client.GrantDeviceCode, client.GrantRefreshToken}
		m.RedirectURIs, m.PostLogoutRedirectURIs, m.ResponseTypes = nil, nil, nil
		if edit != nil {
			edit(m)
		}
	})
}

func (r *rig) tryDevice(ctx context.Context, c id.Client, pairs ...string) (*DeviceCodes, error) {
	h, form := r.as(c, values(pairs...))
	return r.Device(ctx, Call{Method: http.MethodPost, Path: "/oauth2/device_authorization", Header: h, Form: form, Reply: http.Header{}})
}

func (r *rig) startDevice(c id.Client, pairs ...string) *DeviceCodes {
	r.t.Helper()
	d, err := r.tryDevice(context.Background(), c, append([]string{"scope", "openid offline_access read"}, pairs...)...)
	check(r.t, err)
	return d
}

func (r *rig) poll(c id.Client, device string, pairs ...string) (*Tokens, error) {
	return r.post(c, values(append([]string{"grant_type", client.GrantDeviceCode, "device_code", device}, pairs...)...))
}

func (r *rig) decide(user id.User, code string, allow bool) error {
	d, err := r.FindDevice(context.Background(), user, code)
	if err != nil {
		return err
	}
	return r.DecideDevice(context.Background(), d, r.loginOf(user), allow)
}

func (r *rig) loginOf(user id.User) Login {
	l := r.login()
	if user != r.user {
		l.User, l.Session = user, r.newSession(user)
	}
	return l
}

// slowedDown polls too fast now and then: each time the interval grows, lastingly.
func (r *rig) slowedDown(poll func() (*Tokens, error)) {
	r.t.Helper()
	for _, step := range []struct {
		wait time.Duration
		want string
	}{
		{0, AuthorizationPending}, {time.Second, SlowDown}, {6 * time.Second, SlowDown}, {15 * time.Second, AuthorizationPending},
		{14 * time.Second, SlowDown}, {20 * time.Second, AuthorizationPending},
	} {
		r.clock.Advance(step.wait)
		_, err := poll()
		wantCode(r.t, err, step.want)
	}
}

// RFC 8628 §3: the whole way, with what it leaves behind.
func TestDevice_Flow(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.tv(func(m *client.Metadata) { m.AccessTokenFormat = format })
			d := r.startDevice(c, "resource", testAPI)
			if d.VerificationURI != testIssuer+"/device" || d.VerificationURIComplete != d.VerificationURI+"?user_code="+d.UserCode ||
				d.ExpiresIn != 600 || d.Interval != 5 {
				t.Errorf("%+v", d)
			}
			_, err := r.poll(c, d.DeviceCode)
			wantCode(t, err, AuthorizationPending)
			check(t, r.decide(r.user, strings.ToLower(d.UserCode), true))
			tok, err := r.poll(c, d.DeviceCode)
			check(t, err)
			if tok.IDToken == "" || tok.RefreshToken == "" || !r.active(c, tok.AccessToken) {
				t.Errorf("%+v", tok)
			}
			if claims := claimsOf(t, tok.IDToken); claims["sub"] != string(r.user) || claims["sid"] != nil || claims["nonce"] != nil {
				t.Errorf("%v", claims)
			}
			// The device stays signed in when the browser that approved it signs out …
			_, err = r.RevokeSession(t.Context(), r.session)
			check(t, err)
			tok, err = r.refresh(c, tok.RefreshToken)
			check(t, err)
			// … but not when everything ends, from a browser or not.
			check(t, r.RevokeUser(t.Context(), r.user, ""))
			if _, err = r.refresh(c, tok.RefreshToken); err == nil || r.active(c, tok.AccessToken) {
				t.Error("a device outlives the end of everything")
			}
		}
		if n := r.count(`SELECT COUNT(*) FROM device_request WHERE user_code IS NOT NULL`); n != 0 {
			t.Errorf("%d user codes of decided requests", n)
		}
		if r.audited("device.approved") != 2 {
			t.Error("an approval is not on record")
		}
	})
}

// Security case DV-04, RFC 8628 §3.5: who asks too often is slowed down, lastingly; an expired code says
// so, a denied one too, and rows go.
func TestDevice_Polling(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.tv(nil)
		d := r.startDevice(c)
		r.slowedDown(func() (*Tokens, error) { return r.poll(c, d.DeviceCode) })
		denied := r.startDevice(c)
		check(t, r.decide(r.user, denied.UserCode, false))
		_, err := r.poll(c, denied.DeviceCode)
		wantCode(t, err, AccessDenied)
		if err := r.decide(r.user, denied.UserCode, true); !errs.Is(err, errs.NotFound) {
			t.Errorf("a denied device was approved: %v", err)
		}
		late := r.startDevice(c)
		check(t, r.decide(r.user, late.UserCode, true))
		r.clock.Advance(10 * time.Minute)
		for _, code := range []string{d.DeviceCode, late.DeviceCode} {
			_, err = r.poll(c, code)
			wantCode(t, err, ExpiredToken)
		}
		if err := r.decide(r.user, d.UserCode, true); !errs.Is(err, errs.NotFound) {
			t.Errorf("an expired device was approved: %v", err)
		}
		r.clock.Advance(11 * time.Minute)
		_, err = r.DeleteExpired(t.Context(), 100)
		check(t, err)
		if n := r.count(`SELECT COUNT(*) FROM device_request`); n != 0 {
			t.Errorf("%d rows stay", n)
		}
		_, err = r.poll(c, d.DeviceCode)
		wantCode(t, err, InvalidGrant)
	})
}

// Security case DV-01: five wrong codes per account and lifetime, however many sessions it has; a right
// one costs nothing. The network is bounded too.
func TestDevice_Guessing(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		from := func(ip string) context.Context { return audit.WithSource(t.Context(), audit.Source{IP: ip}) }
		c := r.tv(nil)
		right := r.startDevice(c).UserCode
		wrong := func(i int) string { return strings.Repeat(string("BCDFGHJKLM"[i%10]), 8) }
		for range 20 {
			_, err := r.FindDevice(from("192.0.2.1"), r.user, right)
			check(t, err)
		}
		for i := range r.budgetCodes().Limit {
			if _, err := r.FindDevice(from("192.0.2."+string(rune('1'+i))), r.user, wrong(i)); !errs.Is(err, errs.NotFound) {
				t.Fatalf("try %d: %v", i, err)
			}
		}
		if _, err := r.FindDevice(from("198.51.100.1"), r.user, right); !errs.Is(err, errs.Limited) {
			t.Errorf("after %d tries: %v", r.budgetCodes().Limit, err)
		}
		for i := range r.budgetCodesNetwork().Limit {
			_, _ = r.FindDevice(from("203.0.113.9"), r.newUser(), wrong(i))
		}
		if _, err := r.FindDevice(from("203.0.113.9"), r.newUser(), right); !errs.Is(err, errs.Limited) {
			t.Errorf("many accounts of one network: %v", err)
		}
		if _, err := r.FindDevice(from("198.51.100.2"), "", right); !errs.Is(err, errs.NotFound) {
			t.Errorf("nobody tried a code: %v", err)
		}
		// A network cannot fill the table either.
		for range 200 {
			if _, err := r.tryDevice(from("192.0.2.77"), c, "scope", "openid"); err != nil {
				if e := AsError(err); e.Status != http.StatusTooManyRequests || e.RetryAfter <= 0 {
					t.Errorf("%v", err)
				}
				return
			}
		}
		t.Error("200 requests of one network in a moment")
	})
}

// Security case DV-03: whose code it is, how the client proves itself, what it may do, and PKCE where it
// was sent.
func TestDevice_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c, other := r.tv(nil), r.tv(nil)
		confidential := r.newClient(client.Web, func(m *client.Metadata) { m.GrantTypes = append(m.GrantTypes, client.GrantDeviceCode) })
		plain := r.newClient(client.Web, nil)
		bare := func(form url.Values) error {
			_, err := r.Device(t.Context(), Call{Method: http.MethodPost, Header: http.Header{}, Form: form})
			return err
		}
		wantCode(t, bare(values("scope", "openid", "client_id", string(confidential))), InvalidClient)
		wantCode(t, bare(values("scope", "openid", "client_id", "nobody")), InvalidClient)
		wantCode(t, bare(url.Values{"scope": {"openid", "read"}}), InvalidRequest)
		for _, bad := range []struct{ want, name, value string }{
			{InvalidScope, "scope", ""}, {InvalidScope, "scope", "admin"}, {InvalidTarget, "resource", "https://nobody.test"},
			{InvalidRequest, "code_challenge", testChallenge}, {InvalidRequest, "code_challenge_method", "plain"},
			{InvalidDetails, "authorization_details", `[{"type":"payment"}]`},
		} {
			form := values("scope", "openid")
			form.Set(bad.name, bad.value)
			h, form := r.as(c, form)
			_, err := r.Device(t.Context(), post(h, form))
			wantCode(t, err, bad.want)
		}
		_, err := r.tryDevice(t.Context(), plain, "scope", "openid")
		wantCode(t, err, UnauthorizedClient)
		d := r.startDevice(c)
		check(t, r.decide(r.user, d.UserCode, true))
		before := r.audited("grant.foreign")
		_, err = r.poll(other, d.DeviceCode)
		wantCode(t, err, InvalidGrant)
		if r.audited("grant.foreign") != before+1 {
			t.Error("a foreign device code is not on record")
		}
		for _, bad := range []string{"", "x", id.NewToken(id.DeviceCode), id.NewToken(id.AuthorizationCode), d.UserCode} {
			_, err = r.poll(c, bad)
			wantCode(t, err, InvalidGrant)
		}
		_, err = r.post(plain, values("grant_type", client.GrantDeviceCode, "device_code", d.DeviceCode))
		wantCode(t, err, UnauthorizedClient)
		_, err = r.poll(c, d.DeviceCode)
		check(t, err) // nobody else's attempt had an effect
		_, err = r.poll(c, d.DeviceCode)
		wantCode(t, err, InvalidGrant)

		proof := r.startDevice(c, "code_challenge", testChallenge, "code_challenge_method", "S256")
		check(t, r.decide(r.user, proof.UserCode, true))
		_, err = r.poll(c, proof.DeviceCode)
		wantCode(t, err, InvalidGrant)
		_, err = r.poll(c, proof.DeviceCode, "code_verifier", testVerifier)
		wantCode(t, err, InvalidGrant) // one failed verifier kills the code
		proof = r.startDevice(c, "code_challenge", testChallenge, "code_challenge_method", "S256")
		check(t, r.decide(r.user, proof.UserCode, true))
		_, err = r.poll(c, proof.DeviceCode, "code_verifier", testVerifier)
		check(t, err)
	})
}

// Between approval and redemption, and between request and approval, everything is read anew (security
// cases TK-22, DV-03).
func TestDevice_ChangesMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for name, change := range map[string]func(c id.Client, u id.User){
			"user disabled": func(_ id.Client, u id.User) {
				r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(u))
			},
			"consent withdrawn": func(c id.Client, u id.User) { check(t, r.RevokeClient(t.Context(), u, c)) },
			"grant taken away": func(c id.Client, _ id.User) {
				r.edit(c, func(m *client.Metadata) {
					m.GrantTypes = []string{client.GrantAuthorizationCode}
					m.Scopes = []string{"openid"}
					m.RedirectURIs = []string{testRedirect}
					m.ResponseTypes = []string{"code"}
				})
			},
		} {
			c := r.tv(func(m *client.Metadata) { m.FirstParty = false })
			u := r.newUser()
			d := r.startDevice(c)
			check(t, r.decide(u, d.UserCode, true))
			change(c, u)
			if _, err := r.poll(c, d.DeviceCode); err == nil {
				t.Errorf("%s: tokens all the same", name)
			}
		}
		c := r.tv(func(m *client.Metadata) { m.FirstParty = false })
		d := r.startDevice(c)
		r.edit(c, func(m *client.Metadata) {
			m.Scopes = slices.DeleteFunc(m.Scopes, func(s string) bool { return s == "read" })
		})
		check(t, r.decide(r.user, d.UserCode, true))
		tok, err := r.poll(c, d.DeviceCode)
		check(t, err)
		if strings.Contains(tok.Scope, "read") {
			t.Errorf("scope %q", tok.Scope)
		}
		// A session that ended, or somebody who may not sign in any more, approves nothing.
		c = r.tv(nil)
		d = r.startDevice(c)
		found, err := r.FindDevice(t.Context(), r.user, d.UserCode)
		check(t, err)
		l := r.login()
		l.Session = id.Session(id.New())
		wantCode(t, r.DecideDevice(t.Context(), found, l, true), LoginRequired)
		if r.count(`SELECT COUNT(*) FROM device_request WHERE status = 'approved' AND id = $1`, found.ID) != 0 {
			t.Error("approved without a session")
		}
	})
}

// Security case DV-02: the first decision counts, and one set of tokens comes out, of any number at once
// on two instances.
func TestRace_DeviceDecisions(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.tv(func(m *client.Metadata) { m.FirstParty = false })
		d := a.startDevice(c)
		users := []id.User{a.user, a.newUser(), a.newUser(), a.newUser()}
		var finds []*DeviceRequest
		logins := map[id.User]Login{}
		for _, u := range users {
			f, err := a.FindDevice(t.Context(), u, d.UserCode)
			check(t, err)
			finds, logins[u] = append(finds, f), a.loginOf(u)
		}
		turn := make(chan int, racers)
		for i := range racers {
			turn <- i
		}
		won, failed := race(a, b, func(r *rig) (id.User, error) {
			i := <-turn
			u := users[i%len(users)]
			return u, r.DecideDevice(t.Context(), finds[i%len(users)], logins[u], i%3 != 0)
		})
		if len(won) != 1 {
			t.Fatalf("%d decisions", len(won))
		}
		for _, err := range failed {
			if !errs.Is(err, errs.NotFound) {
				t.Fatalf("a loser got %v", err)
			}
		}
		if n := a.count(`SELECT COUNT(*) FROM audit_event WHERE action IN ('device.approved', 'device.denied')`); n != 1 {
			t.Errorf("%d decisions on record", n)
		}
		var status, who string
		check(t, a.db.Q(t.Context()).QueryRow(t.Context(), `SELECT status, account_id FROM device_request`).Scan(&status, &who))
		if id.User(who) != won[0] {
			t.Error("somebody else's decision was kept")
		}
		if n := a.count(`SELECT COUNT(*) FROM oauth_grant`); (n == 1) != (status == "approved") {
			t.Errorf("%s with %d grants", status, n)
		}
	})
}

func TestRace_DevicePolls(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := a.tv(func(m *client.Metadata) { m.AccessTokenFormat = format })
			d := a.startDevice(c)
			check(t, a.decide(a.user, d.UserCode, true))
			won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.poll(c, d.DeviceCode) })
			if len(won) != 1 {
				t.Fatalf("%s: %d sets of tokens", format, len(won))
			}
			onlyInvalidGrant(t, failed)
			if !b.active(c, won[0].AccessToken) {
				t.Error("the device lost its token because it asked twice")
			}
		}
		// Nobody decided: of many polls at once one is in time.
		c := a.tv(nil)
		d := a.startDevice(c)
		_, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.poll(c, d.DeviceCode) })
		pending := 0
		for _, err := range failed {
			switch AsError(err).Code {
			case AuthorizationPending:
				pending++
			case SlowDown:
			default:
				t.Fatal(err)
			}
		}
		if pending != 1 {
			t.Errorf("%d polls were in time", pending)
		}
	})
}

// What a thief of the database finds is no code.
func TestDevice_StoresNoCode(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	d := r.startDevice(r.tv(nil))
	var all string
	check(t, r.db.Q(t.Context()).QueryRow(t.Context(), `SELECT code_hash || ' ' || user_code || ' ' || request FROM device_request`).Scan(&all))
	for _, secret := range []string{d.DeviceCode, d.UserCode, strings.ReplaceAll(d.UserCode, "-", ""), id.Digest(strings.ReplaceAll(d.UserCode, "-", ""))} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in clear", secret)
		}
	}
}

// Without budgets there is no device grant: codes of eight letters would be guessed.
func TestDevice_NeedsLimits(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.tv(nil)
	r.limits = nil
	r.wire()
	_, err := r.tryDevice(t.Context(), c, "scope", "openid")
	wantCode(t, err, UnauthorizedClient)
	_, err = r.poll(c, id.NewToken(id.DeviceCode))
	wantCode(t, err, UnsupportedGrantType)
	if slices.Contains(r.GrantTypes(), client.GrantDeviceCode) {
		t.Error("on offer all the same")
	}
}

func TestUserCode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"BCDF-GHJK": "BCDFGHJK", "bcdf ghjk": "BCDFGHJK", "  b.c-d_f g/h j:k ": "BCDFGHJK", "BCDFGHJK": "BCDFGHJK",
		"BCDF-GHJ": "", "BCDF-GHJKL": "", "ACDF-GHJK": "", "BCDF-GHJ1": "", "": "", "브CDF-GHJK": "", strings.Repeat("-", 60) + "BCDFGHJK": "",
	} {
		if code, ok := ParseUserCode(typed); ok != (want != "") || ok && code != want {
			t.Errorf("%q gives %q, %v", typed, code, ok)
		}
	}
	seen := map[string]bool{}
	for range 200 {
		code, err := newUserCode()
		check(t, err)
		if back, ok := ParseUserCode(ShowUserCode(code)); !ok || back != code || seen[code] {
			t.Fatalf("%q", code)
		}
		seen[code] = true
	}
}

func FuzzParseUserCode(f *testing.F) {
	f.Add("BCDF-GHJK")
	f.Add("ＢＣＤＦ－ＧＨＪＫ")
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := ParseUserCode(typed)
		if !ok {
			return
		}
		if len(code) != userCodeLength || strings.Trim(code, userCodeLetters) != "" {
			t.Fatalf("%q gives %q", typed, code)
		}
		if again, ok := ParseUserCode(ShowUserCode(code)); !ok || again != code {
			t.Fatalf("%q does not come back", code)
		}
	})
}
