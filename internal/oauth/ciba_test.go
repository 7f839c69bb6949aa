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

// CIBA §7, §10.1: the whole way by polling, with what it leaves behind.
func TestCIBA_Flow(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for i, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.bank(func(m *client.Metadata) { m.AccessTokenFormat = format })
			a := r.askSomebody(c, "binding_message", "W4SCT", "resource", testAPI, "acr_values", "urn:signet:acr:2fa")
			if a.ExpiresIn != 300 || a.Interval != 5 || !strings.HasPrefix(a.AuthReqID, string(id.AuthRequest)) {
				t.Errorf("%+v", a)
			}
			_, err := r.pollAsked(c, a.AuthReqID)
			wantCode(t, err, AuthorizationPending)
			list, err := r.AskedOf(t.Context(), r.user)
			check(t, err)
			if n := must(r.AskedCount(t.Context(), r.user)); n != 1 || len(list) != 1 {
				t.Fatalf("%d and %d wait", n, len(list))
			}
			q := list[0]
			if q.Client != c || q.User != r.user || q.Message != "W4SCT" || !slices.Equal(q.Resources, []string{testAPI}) ||
				!slices.Equal(q.ACRValues, []string{"urn:signet:acr:2fa"}) || q.ExpiresAt.Sub(q.CreatedAt) != 5*time.Minute {
				t.Errorf("%+v", q)
			}
			if told := r.people.letters(); len(told) != i+1 || told[i].Page != AskedPath+"/"+q.ID || !told[i].Expires.Equal(q.ExpiresAt) {
				t.Errorf("%+v", told)
			}
			check(t, r.DecideAsked(t.Context(), q, r.login(), true))
			tok, err := r.pollAsked(c, a.AuthReqID)
			check(t, err)
			if tok.IDToken == "" || tok.RefreshToken == "" || !r.active(c, tok.AccessToken) {
				t.Errorf("%+v", tok)
			}
			if claims := claimsOf(t, tok.IDToken); claims["sub"] != string(r.user) || claims["sid"] != nil || claims["nonce"] != nil || claims["signet_account"] != nil {
				t.Errorf("%v", claims)
			}
			// The application is in no browser: it stays when the one that approved it signs out …
			_, err = r.RevokeSession(t.Context(), r.session)
			check(t, err)
			tok, err = r.refresh(c, tok.RefreshToken)
			check(t, err)
			// … but not when everything ends.
			check(t, r.RevokeUser(t.Context(), r.user, ""))
			if _, err = r.refresh(c, tok.RefreshToken); err == nil || r.active(c, tok.AccessToken) {
				t.Error("an application outlives the end of everything")
			}
			if n := must(r.AskedCount(t.Context(), r.user)); n != 0 {
				t.Errorf("%d wait after the answer", n)
			}
			wantCode(t, func() error { _, err := r.pollAsked(c, a.AuthReqID); return err }(), InvalidGrant)
		}
		if r.audited("ciba.asked") != 2 || r.audited("ciba.approved") != 2 {
			t.Error("a request or an approval is not on record")
		}
	})
}

// Security case CB-04, CIBA §11: as on devices, who asks too often is slowed down, and each end has its
// word; rows go.
func TestCIBA_Polling(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.bank(nil)
		a := r.askSomebody(c)
		r.slowedDown(func() (*Tokens, error) { return r.pollAsked(c, a.AuthReqID) })
		denied := r.askSomebody(c)
		check(t, r.answerAsked(r.user, false))
		_, err := r.pollAsked(c, denied.AuthReqID)
		wantCode(t, err, AccessDenied)
		late := r.askSomebody(c)
		check(t, r.answerAsked(r.user, true))
		list, err := r.AskedOf(t.Context(), r.user)
		check(t, err)
		r.clock.Advance(5 * time.Minute)
		for _, req := range []string{a.AuthReqID, late.AuthReqID} {
			_, err = r.pollAsked(c, req)
			wantCode(t, err, ExpiredToken)
		}
		if err := r.DecideAsked(t.Context(), list[0], r.login(), true); !errs.Is(err, errs.NotFound) {
			t.Errorf("an expired request was approved: %v", err)
		}
		if _, err := r.FindAsked(t.Context(), r.user, list[0].ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("an expired request is found: %v", err)
		}
		r.clock.Advance(11 * time.Minute)
		_, err = r.DeleteExpired(t.Context(), 100)
		check(t, err)
		if n := r.count(`SELECT COUNT(*) FROM ciba_request`); n != 0 {
			t.Errorf("%d rows stay", n)
		}
		_, err = r.pollAsked(c, a.AuthReqID)
		wantCode(t, err, InvalidGrant)
	})
}

// Security case CB-01: a request is for one account. To others it is not there, whatever they hold.
func TestCIBA_OnlyThePerson(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c, other := r.bank(nil), r.newUser()
		a := r.askSomebody(c)
		q := must(r.AskedOf(t.Context(), r.user))[0]
		if list := must(r.AskedOf(t.Context(), other)); len(list) != 0 || must(r.AskedCount(t.Context(), other)) != 0 {
			t.Error("somebody else sees it")
		}
		if _, err := r.FindAsked(t.Context(), other, q.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("somebody else finds it: %v", err)
		}
		for _, allow := range []bool{true, false} {
			if err := r.DecideAsked(t.Context(), q, r.loginOf(other), allow); !errs.Is(err, errs.NotFound) {
				t.Errorf("somebody else answers: %v", err)
			}
		}
		if n := r.count(`SELECT COUNT(*) FROM oauth_grant`) + r.count(`SELECT COUNT(*) FROM consent`); n != 0 {
			t.Errorf("%d rows of somebody else's yes", n)
		}
		// Nor does an ended session decide, nor one with less than the client demands.
		l := r.login()
		l.Session = id.Session(id.New())
		wantCode(t, r.DecideAsked(t.Context(), q, l, true), LoginRequired)
		r.edit(c, func(m *client.Metadata) { m.RequireMFA = true })
		wantCode(t, r.DecideAsked(t.Context(), q, r.login(), true), UnmetRequirements)
		_, err := r.pollAsked(c, a.AuthReqID)
		wantCode(t, err, AuthorizationPending)

		// Who is switched off will not decide, and the application hears it.
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		r.clock.Advance(6 * time.Second)
		_, err = r.pollAsked(c, a.AuthReqID)
		wantCode(t, err, AccessDenied)
		// And what waited for somebody goes with them.
		r.exec(`DELETE FROM account WHERE id = $1`, string(r.user))
		_, err = r.pollAsked(c, a.AuthReqID)
		wantCode(t, err, InvalidGrant)
	})
}

// Security case CB-03, CIBA §7.2, §13: who may ask at all, and what of a request is refused with which word.
func TestCIBA_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c, other := r.bank(nil), r.bank(nil)
		bare := func(form url.Values) error {
			_, err := r.Backchannel(t.Context(), Call{Method: http.MethodPost, Header: http.Header{}, Form: form})
			return err
		}
		if e := wantCode(t, bare(askForm(r, "client_id", string(c))), InvalidClient); e.Status != http.StatusUnauthorized {
			t.Errorf("%d", e.Status)
		}
		wantCode(t, bare(askForm(r, "client_id", "nobody")), InvalidClient)
		wantCode(t, bare(url.Values{"scope": {"openid", "read"}}), InvalidRequest)
		wantCode(t, func() error { _, err := r.tryAsk(r.newClient(client.Web, nil)); return err }(), UnauthorizedClient)
		wantCode(t, func() error { _, err := r.tryAsk(r.tv(nil)); return err }(), UnauthorizedClient)
		token := r.tokens(r.newClient(client.Web, nil)).IDToken
		for _, bad := range []struct {
			want  string
			pairs []string
		}{
			{InvalidRequest, []string{"login_hint", ""}},
			{InvalidRequest, []string{"id_token_hint", token}},
			{InvalidRequest, []string{"login_hint_token", "x"}},
			{InvalidRequest, []string{"login_hint", "", "login_hint_token", "x"}},
			{InvalidRequest, []string{"login_hint", "", "id_token_hint", token}}, // another client's
			{InvalidRequest, []string{"login_hint", "", "id_token_hint", "x.y.z"}},
			{InvalidRequest, []string{"login_hint", strings.Repeat("x", maxHint+1)}},
			{UnknownUserID, []string{"login_hint", "nobody"}},
			{InvalidScope, []string{"scope", ""}}, {InvalidScope, []string{"scope", "read"}}, {InvalidScope, []string{"scope", "openid admin"}},
			{InvalidTarget, []string{"resource", "https://nobody.test"}},
			{InvalidDetails, []string{"authorization_details", `[{"type":"payment"}]`}},
			{InvalidBindingMessage, []string{"binding_message", strings.Repeat("가", maxMessage+1)}},
			{InvalidBindingMessage, []string{"binding_message", "a\nb"}}, {InvalidBindingMessage, []string{"binding_message", "a\u202eb"}},
			{InvalidBindingMessage, []string{"binding_message", "a\u200bb"}}, {InvalidBindingMessage, []string{"binding_message", "a\xff"}},
			{InvalidBindingMessage, []string{"binding_message", " "}}, {InvalidBindingMessage, []string{"binding_message", "a "}},
			{InvalidBindingMessage, []string{"binding_message", "\u3164"}}, {InvalidBindingMessage, []string{"binding_message", "a\u115fb"}},
			{InvalidBindingMessage, []string{"binding_message", "a\ufe0f"}}, {InvalidBindingMessage, []string{"binding_message", "\u2800"}},
			{InvalidRequest, []string{"requested_expiry", "0"}}, {InvalidRequest, []string{"requested_expiry", "-5"}},
			{InvalidRequest, []string{"requested_expiry", "soon"}}, {InvalidRequest, []string{"requested_expiry", "99999999999"}},
			{InvalidRequest, []string{"request", "x.y.z"}},
		} {
			_, err := r.tryAsk(c, bad.pairs...)
			if e := wantCode(t, err, bad.want); e == nil || e.Status != http.StatusBadRequest {
				t.Errorf("%v: %v", bad.pairs, err)
			}
		}
		if n := r.count(`SELECT COUNT(*) FROM ciba_request`); n != 0 || len(r.people.letters()) != 0 {
			t.Errorf("%d requests, %d letters of what was refused", n, len(r.people.letters()))
		}
		a := r.askSomebody(c, "binding_message", strings.Repeat("가", maxMessage), "user_code", "1234") // a user code is not ours to judge
		check(t, r.answerAsked(r.user, true))
		before := r.audited("grant.foreign")
		_, err := r.pollAsked(other, a.AuthReqID)
		if e := wantCode(t, err, InvalidGrant); e.Status != http.StatusBadRequest || r.audited("grant.foreign") != before+1 {
			t.Error("another client's auth_req_id is not on record")
		}
		for _, bad := range []string{"", "x", id.NewToken(id.AuthRequest), id.NewToken(id.DeviceCode)} {
			_, err = r.pollAsked(c, bad)
			wantCode(t, err, InvalidGrant)
		}
		_, err = r.post(c, values("grant_type", client.GrantDeviceCode, "device_code", a.AuthReqID))
		wantCode(t, err, UnauthorizedClient)
		_, err = r.pollAsked(c, a.AuthReqID)
		check(t, err) // nobody else's attempt had an effect
	})
}

// CIBA §7.1: requested_expiry within the bounds of the deployment.
func TestCIBA_RequestedExpiry(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for asked, want := range map[string]int64{"": 300, "1": 10, "10": 10, "30": 30, "300": 300, "3600": 3600, "90000": 3600} {
		if a := r.askSomebody(r.bank(nil), "requested_expiry", asked); a.ExpiresIn != want {
			t.Errorf("%q gives %d", asked, a.ExpiresIn)
		}
	}
}

// Security case CB-05: a person is asked so often by one application, and by all together; so many requests
// wait at once; and an application may miss so often, whom it looks for or not.
func TestCIBA_Budgets(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		limited := func(err error) {
			t.Helper()
			if e := AsError(err); err == nil || e.Status != http.StatusTooManyRequests || e.RetryAfter <= 0 {
				t.Errorf("%v", err)
			}
		}
		c := r.bank(nil)
		for range maxAsked {
			r.askSomebody(c)
		}
		_, err := r.tryAsk(c) // as many wait
		limited(err)
		check(t, r.answerAsked(r.user, false))
		r.askSomebody(c)

		asked := maxAsked + 2 // also the one that did not fit
		for range r.ciba.terms.Prompts - asked {
			check(t, r.answerAsked(r.user, false))
			r.askSomebody(c)
		}
		check(t, r.answerAsked(r.user, false))
		_, err = r.tryAsk(c)
		limited(err)
		other := r.newUser()
		r.askSomebody(c, "login_hint", r.named(other)) // somebody else is not disturbed yet
		for range 2 {                                  // other applications may, until it is enough
			more := r.bank(nil)
			for range r.ciba.terms.Prompts {
				r.askSomebody(more)
				check(t, r.answerAsked(r.user, false))
			}
		}
		_, err = r.tryAsk(r.bank(nil))
		limited(err)
		if n := len(r.people.letters()); n != 3*r.ciba.terms.Prompts { // one did not fit, one went to somebody else
			t.Errorf("%d letters", n)
		}

		d := r.bank(nil)
		r.ciba.terms.Misses = 7 // an operator's choice: who only mistypes names must not close the endpoint to all
		for range r.ciba.terms.Misses {
			_, err := r.tryAsk(d, "login_hint", "nobody")
			wantCode(t, err, UnknownUserID)
		}
		_, err = r.tryAsk(d, "login_hint", r.named(other))
		limited(err)
		r.askSomebody(c, "login_hint", r.named(other))
		if n := r.count(`SELECT COUNT(*) FROM audit_event WHERE action = 'ciba.asked' AND result = 'refused' AND client_id = $1`, string(d)); n != int64(r.ciba.terms.Misses) {
			t.Errorf("%d misses on record", n)
		}
	})
}

// CIBA §7.1, §7.2: an ID token of the client leads to its person, also where every sector sees another sub,
// and also after its end; nobody else's does.
func TestCIBA_IDTokenHint(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		ciba := func(m *client.Metadata) { m.GrantTypes = append(m.GrantTypes, client.GrantCIBA) }
		public, pairwise := r.bank(nil), r.pairwiseClient("a.test", ciba)
		sibling, plain := r.pairwiseClient("a.test", ciba), r.pairwiseClient("b.test", nil)
		idToken := func(c id.Client, host string) string {
			form := exchangeForm(r.code(ask(c, "redirect_uri", "https://"+host+"/cb")))
			form.Set("redirect_uri", "https://"+host+"/cb")
			tok, err := r.post(c, form)
			check(t, err)
			return tok.IDToken
		}
		check(t, r.Approve(t.Context(), &Request{ClientID: public, Scopes: []string{"openid", "profile", "offline_access", "read"}}, r.user))
		tokens := map[id.Client]string{public: r.tokens(public).IDToken, pairwise: idToken(pairwise, "a.test"), sibling: idToken(sibling, "a.test")}
		if claimsOf(t, idToken(plain, "b.test"))["signet_account"] != nil {
			t.Error("a client that cannot ask anybody gets the account, too")
		}
		if mark := claimsOf(t, tokens[pairwise])["signet_account"]; mark == nil || strings.Contains(mark.(string), string(r.user)) {
			t.Errorf("%v", mark)
		}
		r.clock.Advance(2 * time.Hour) // they have expired
		for c, token := range tokens {
			a := r.askSomebody(c, "login_hint", "", "id_token_hint", token)
			q := must(r.AskedOf(t.Context(), r.user))
			if len(q) != 1 || q[0].Client != c {
				t.Fatalf("%+v", q)
			}
			check(t, r.answerAsked(r.user, true))
			tok, err := r.pollAsked(c, a.AuthReqID)
			check(t, err)
			if claimsOf(t, tok.IDToken)["sub"] != claimsOf(t, token)["sub"] {
				t.Error("another sub")
			}
		}
		_, err := r.tryAsk(pairwise, "login_hint", "", "id_token_hint", tokens[sibling])
		wantCode(t, err, InvalidRequest)
		// A token from before the client could ask anybody names an account that cannot be told from it.
		old := idToken(plain, "b.test")
		r.edit(plain, ciba)
		_, err = r.tryAsk(plain, "login_hint", "", "id_token_hint", old)
		wantCode(t, err, UnknownUserID)
		r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
		for _, c := range []id.Client{public, pairwise} {
			_, err = r.tryAsk(c, "login_hint", "", "id_token_hint", tokens[c])
			wantCode(t, err, UnknownUserID)
		}
		_, err = r.tryAsk(public)
		wantCode(t, err, UnknownUserID)
	})
}

// Between request, approval and redemption everything is read anew (security case TK-22).
func TestCIBA_ChangesMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		without := func(m *client.Metadata) {
			m.GrantTypes = slices.DeleteFunc(slices.Clone(m.GrantTypes), func(g string) bool { return g == client.GrantCIBA })
		}
		for name, change := range map[string]func(c id.Client){
			"user disabled": func(id.Client) {
				r.exec(`UPDATE account SET status = 'disabled' WHERE id = $1`, string(r.user))
			},
			"consent withdrawn": func(c id.Client) { check(t, r.RevokeClient(t.Context(), r.user, c)) },
			"grant taken away":  func(c id.Client) { r.edit(c, without) },
		} {
			c := r.bank(nil)
			a := r.askSomebody(c)
			check(t, r.answerAsked(r.user, true))
			change(c)
			if _, err := r.pollAsked(c, a.AuthReqID); err == nil {
				t.Errorf("%s: tokens all the same", name)
			}
			r.exec(`UPDATE account SET status = 'active' WHERE id = $1`, string(r.user))
		}
		c := r.bank(nil)
		r.askSomebody(c)
		r.edit(c, without)
		wantCode(t, r.answerAsked(r.user, true), InvalidClient)
		check(t, r.answerAsked(r.user, false)) // a no is always possible
		c = r.bank(nil)
		r.askSomebody(c)
		r.edit(c, func(m *client.Metadata) { m.Quarantined = true }) // it looks like another one by now
		wantCode(t, r.answerAsked(r.user, true), UnauthorizedClient)
		check(t, r.answerAsked(r.user, false))
		c = r.bank(nil)
		a := r.askSomebody(c)
		r.edit(c, func(m *client.Metadata) {
			m.Scopes = slices.DeleteFunc(slices.Clone(m.Scopes), func(s string) bool { return s == "read" })
		})
		check(t, r.answerAsked(r.user, true))
		tok, err := r.pollAsked(c, a.AuthReqID)
		check(t, err)
		if strings.Contains(tok.Scope, "read") {
			t.Errorf("scope %q", tok.Scope)
		}
	})
}

// Whoever registered itself asks nobody, unless the deployment says so (security case CB-03).
func TestCIBA_OperatorsClients(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.bank(func(m *client.Metadata) { m.Quarantined = true })
	_, err := r.tryAsk(c)
	wantCode(t, err, UnauthorizedClient)
	r.ciba.terms.Registered = true
	r.askSomebody(c)
}

// What a thief of the database finds opens nothing, and where the request came from is told as far as
// records may keep it.
func TestCIBA_StoresNoCode(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b := newBell(t, http.StatusNoContent)
	c := r.bank(b.pinging)
	h, form := r.as(c, askForm(r, "client_notification_token", testToken))
	a, err := r.Backchannel(audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.77", UserAgent: "Bank/1"}), post(h, form))
	check(t, err)
	all := ""
	scan := func(sql string) {
		t.Helper()
		var text string
		check(t, r.db.Q(t.Context()).QueryRow(t.Context(), sql).Scan(&text))
		all += text
	}
	scan(`SELECT code_hash || request || ping FROM ciba_request`)
	if q := must(r.AskedOf(t.Context(), r.user))[0]; q.IP != "192.0.2.77" {
		t.Errorf("%+v", q)
	}
	check(t, r.answerAsked(r.user, true))
	scan(`SELECT kind || recipient || last_error FROM outbox WHERE kind = 'ciba-ping'`)
	var payload []byte
	check(t, r.db.Q(t.Context()).QueryRow(t.Context(), `SELECT payload FROM outbox WHERE kind = 'ciba-ping'`).Scan(&payload))
	for _, secret := range []string{a.AuthReqID, testToken} {
		if strings.Contains(all+string(payload), secret) {
			t.Errorf("%q is in clear", secret)
		}
	}
	if n := r.count(`SELECT COUNT(*) FROM ciba_request WHERE ping <> ''`); n != 0 {
		t.Error("kept after the decision")
	}
}

// Without budgets, or without a way to tell people, nobody is asked.
func TestCIBA_NeedsItsParts(t *testing.T) {
	t.Parallel()
	for _, drop := range []func(*rig){
		func(r *rig) { r.limits = nil }, func(r *rig) { r.ciba.directory = nil }, func(r *rig) { r.ciba.outbox = nil },
	} {
		r := sqliteRig(t)
		c := r.bank(nil)
		drop(r)
		r.wire()
		_, err := r.tryAsk(c)
		wantCode(t, err, UnauthorizedClient)
		if slices.Contains(r.GrantTypes(), client.GrantCIBA) {
			t.Error("offered")
		}
		_, err = r.pollAsked(c, id.NewToken(id.AuthRequest))
		wantCode(t, err, UnsupportedGrantType)
	}
}

// What the tokens would be bound to is missed at the first poll, before the person has decided (FAPI-CIBA
// §5.2.2; fapi-ciba-id1-ensure-mtls-holder-of-key-required).
func TestCIBA_SenderFirst(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	bound := r.bank(func(m *client.Metadata) { m.CertificateBound = true })
	a := r.askSomebody(bound)
	_, err := r.pollAsked(bound, a.AuthReqID)
	wantCode(t, err, InvalidRequest)
	keyed := r.bank(func(m *client.Metadata) { m.DPoPBound = true })
	b := r.askSomebody(keyed)
	_, err = r.pollAsked(keyed, b.AuthReqID)
	wantCode(t, err, InvalidDPoPProof)

	cert := newCertificate(t, nil, nil)
	h, form := r.as(bound, values("grant_type", client.GrantCIBA, "auth_req_id", a.AuthReqID))
	poll := func() (*Tokens, error) {
		return r.Token(context.Background(), shown(post(h, form), cert.cert))
	}
	_, err = poll()
	wantCode(t, err, AuthorizationPending)
	q := must(r.AskedOf(t.Context(), r.user))
	check(t, r.DecideAsked(t.Context(), q[0], r.login(), true))
	tok, err := poll()
	check(t, err)
	if claimsOf(t, tok.AccessToken)["cnf"] == nil {
		t.Error("not bound")
	}
}
