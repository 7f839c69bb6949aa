package oauth

import (
	"slices"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

// pairwiseClient registers a client whose sector is the host of its redirect URI.
func (r *rig) pairwiseClient(host string, edit func(*client.Metadata)) id.Client {
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.RedirectURIs, m.SubjectType = []string{"https://" + host + "/cb"}, "pairwise"
		m.Audiences = []string{testAPI}
		if edit != nil {
			edit(m)
		}
	})
}

// known walks the code flow of a pairwise client and returns every sub and sid under which the client
// met the user.
func (r *rig) known(c id.Client, host string) (subs, sids []string) {
	t, uri := r.t, "https://"+host+"/cb"
	t.Helper()
	form := exchangeForm(r.code(ask(c, "redirect_uri", uri)))
	form.Set("redirect_uri", uri)
	tok, err := r.post(c, form)
	check(t, err)
	add := func(claims map[string]any) {
		subs = append(subs, claims["sub"].(string))
		if sid, ok := claims["sid"].(string); ok {
			sids = append(sids, sid)
		}
	}
	add(claimsOf(t, tok.IDToken))
	if len(tok.AccessToken) > 100 {
		add(claimsOf(t, tok.AccessToken))
	}
	add(must(r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)).Claims)
	a, err := r.inspect(t.Context(), tok.AccessToken)
	check(t, err)
	if a == nil || a.User != r.user || a.Session != r.session {
		t.Fatalf("inspected: %+v", a)
	}
	for _, form := range [][]string{{"token", tok.AccessToken}, {"token", tok.RefreshToken, "token_type_hint", "refresh_token"}} {
		h, f := r.as(c, values(form...))
		in, err := r.Introspect(t.Context(), post(h, f))
		check(t, err)
		if !in.Active {
			t.Fatal("not active")
		}
		claims := map[string]any{"sub": in.Subject}
		if in.Session != "" {
			claims["sid"] = in.Session
		}
		add(claims)
	}
	next, err := r.refresh(c, tok.RefreshToken)
	check(t, err)
	add(claimsOf(t, next.IDToken))
	return subs, sids
}

// TestPairwise_Everywhere: a client knows a person by one sub in every place, its sector knows the same
// one, and no other sector can tell that it is the same person (OIDC Core §8.1; security case JW-15).
func TestPairwise_Everywhere(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		seen := map[string]string{}
		for name, format := range map[string]string{"a": client.FormatJWT, "b": client.FormatOpaque} {
			host := name + ".rp.test"
			one := r.pairwiseClient(host, func(m *client.Metadata) { m.AccessTokenFormat = format })
			two := r.pairwiseClient(host, nil)
			subs, sids := r.known(one, host)
			more, moreSIDs := r.known(two, host)
			subs, sids = slices.Compact(append(subs, more...)), slices.Compact(append(sids, moreSIDs...))
			if len(subs) != 1 || len(sids) != 1 {
				t.Fatalf("%s: subs %v, sids %v", host, subs, sids)
			}
			if sub := subs[0]; sub == string(r.user) || sids[0] == string(r.session) || len(sub) != 43 || seen[sub] != "" || seen[sids[0]] != "" {
				t.Errorf("%s: sub %q, sid %q, seen in %q", host, sub, sids[0], seen[sub])
			}
			seen[subs[0]], seen[sids[0]] = host, host
		}
		r.user = r.newUser()
		r.session = r.newSession(r.user)
		c := r.pairwiseClient("a.rp.test", nil)
		if subs, _ := r.known(c, "a.rp.test"); seen[subs[0]] != "" {
			t.Error("two people have one sub")
		}
	})
}

// TestPairwise_Key: every instance with the master key computes the same, nobody without it.
func TestPairwise_Key(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := must(r.clients.Get(t.Context(), r.pairwiseClient("rp.test", nil)))
	want := r.subjectOf(c, r.user)
	if got := r.again(r.db, r.db).subjectOf(c, r.user); got != want {
		t.Errorf("another instance says %q, not %q", got, want)
	}
	other := must(seal.New(slices.Repeat([]byte{8}, 32)))
	if got := (&Engine{pairwise: other.Subkey("pairwise")}).subjectOf(c, r.user); got == want {
		t.Error("the sub does not depend on the master key")
	}
	// The parts of what is hashed cannot be shifted into each other.
	e := r.Engine
	if e.pseudonym("a", "bc") == e.pseudonym("ab", "c") || e.pseudonym("a", "") != "" || e.pseudonym("", "u") != "u" {
		t.Error("sector and user run together")
	}
}

// TestPairwise_Hint: a hint with a pairwise sub names its user and nobody else (OIDC Core §3.1.2.1).
// Conformance: oidcc-id-token-hint.
func TestPairwise_Hint(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, other := r.pairwiseClient("rp.test", nil), r.newUser()
	hint := r.tokens(c).IDToken
	req := must(r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", hint)))
	if !r.Hinted(req, r.user) || r.Hinted(req, other) || req.HintSubject == string(r.user) {
		t.Errorf("hint %q", req.HintSubject)
	}
	sub := claimsOf(t, hint)["sub"].(string)
	req = must(r.ParseAuthorize(t.Context(), ask(c, "claims", `{"id_token":{"sub":{"value":"`+sub+`"}}}`)))
	if !r.Hinted(req, r.user) || r.Hinted(req, other) {
		t.Error("a sub in claims is not understood")
	}
	// The id of a user means nothing to a pairwise client, and so gives nothing away.
	req = must(r.ParseAuthorize(t.Context(), ask(c, "claims", `{"id_token":{"sub":{"value":"`+string(r.user)+`"}}}`)))
	if r.Hinted(req, r.user) {
		t.Error("a pairwise client learns who has an id")
	}
}

// TestPairwise_Loopback: the loopback interface is nobody's host. Programs that have nothing in common but
// that they run on people's own machines do not know them by one sub.
func TestPairwise_Loopback(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	seen := map[any]string{}
	for _, uri := range []string{"http://127.0.0.1/cb", "http://localhost/cb", "http://[::1]/cb", "https://localhost/cb"} {
		for range 2 {
			c := r.newClient(client.Native, func(m *client.Metadata) {
				m.RedirectURIs, m.SubjectType = []string{uri}, "pairwise"
			})
			form := exchangeForm(r.code(ask(c, "redirect_uri", uri, "scope", "openid")))
			form.Set("redirect_uri", uri)
			sub := claimsOf(t, must(r.post(c, form)).IDToken)["sub"]
			if sub == string(r.user) || seen[sub] != "" {
				t.Errorf("%s: sub %v, seen at %q", uri, sub, seen[sub])
			}
			seen[sub] = uri
		}
	}
}

// TestPairwise_ForeignHost: a redirect URI proves a host by what arrives there alone. Who registered itself
// with another's and gets its tokens as a device does not see people as that host does (security case JW-15).
func TestPairwise_ForeignHost(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	subs, _ := r.known(r.pairwiseClient("shop.rp.test", nil), "shop.rp.test")
	for _, quarantined := range []bool{true, false} {
		c := r.pairwiseClient("shop.rp.test", func(m *client.Metadata) {
			m.GrantTypes, m.Quarantined, m.FirstParty = append(m.GrantTypes, client.GrantDeviceCode), quarantined, false
		})
		d := r.startDevice(c)
		found := must(r.FindDevice(t.Context(), r.user, d.UserCode))
		check(t, r.DecideDevice(t.Context(), found, r.login(), true))
		tok, err := r.poll(c, d.DeviceCode)
		check(t, err)
		if sub := claimsOf(t, tok.IDToken)["sub"]; (sub == subs[0]) == quarantined {
			t.Errorf("quarantined %v: sub %v, %v at the host", quarantined, sub, subs[0])
		}
	}
	// Nor who asks them elsewhere (CIBA), nor a document of another host.
	here := client.Metadata{RedirectURIs: []string{"https://shop.rp.test/cb"}}
	here.SubjectType = "pairwise"
	for _, test := range []struct {
		id          id.Client
		grant       string
		by          string
		quarantined bool
		proven      bool
	}{
		{"a", client.GrantCIBA, client.ManagedByItself, true, false},
		{"a", client.GrantCIBA, client.ManagedByItself, false, true},
		{"a", client.GrantAuthorizationCode, client.ManagedByItself, true, true},
		{"https://thief.test/app", client.GrantCIBA, client.ManagedByDocument, false, false},
		{"https://thief.test/app", client.GrantDeviceCode, client.ManagedByDocument, false, false},
		{"https://thief.test/app", client.GrantAuthorizationCode, client.ManagedByDocument, false, true},
		{"https://Shop.rp.test/app", client.GrantDeviceCode, client.ManagedByDocument, false, true},
	} {
		c := &client.Client{ID: test.id, ManagedBy: test.by, Metadata: here}
		c.Metadata.GrantTypes, c.Metadata.Quarantined = []string{test.grant}, test.quarantined
		if sector := sectorOf(c); (sector == "shop.rp.test") != test.proven {
			t.Errorf("%+v: sector %q", test, sector)
		}
	}
}

// TestPairwise_Audit: the record names the account, not what an application calls it.
func TestPairwise_Audit(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.SubjectType = "pairwise" })
		h, form := r.as(c, values("token", r.tokens(c).AccessToken))
		check(t, r.Revoke(t.Context(), post(h, form)))
		if n := r.count(`SELECT COUNT(*) FROM audit_event WHERE action = 'token.revoked' AND target = $1`, string(r.user)); n != 1 {
			t.Errorf("%d records about the account", n)
		}
	})
}

// TestPairwise_Switched: a JWT that knows the user by another sub than its client does now is not
// active: its two readers would take it for two people.
func TestPairwise_Switched(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c)
		r.edit(c, func(m *client.Metadata) { m.SubjectType = "pairwise" })
		if r.active(c, tok.AccessToken) {
			t.Error("a token with the public sub is active")
		}
		_, err := r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
		wantCode(t, err, InvalidToken)
		next, err := r.refresh(c, tok.RefreshToken)
		check(t, err)
		if !r.active(c, next.AccessToken) || claimsOf(t, next.AccessToken)["sub"] == string(r.user) {
			t.Error("the next token is not pairwise")
		}
	})
}

// TestPairwise_Legacy: what goes through the browser knows the person by the same sub (OIDC Core
// §3.3.3.6).
func TestPairwise_Legacy(t *testing.T) {
	t.Parallel()
	r := legacy(sqliteRig(t))
	c := r.hybridClient(func(m *client.Metadata) { m.SubjectType = "pairwise" })
	p := r.answer(ask(c, "response_type", "code id_token token")).Params
	tok := must(r.exchange(c, p.Get("code")))
	want := claimsOf(t, tok.IDToken)["sub"]
	for _, token := range []string{p.Get("id_token"), p.Get("access_token"), tok.AccessToken} {
		if got := claimsOf(t, token)["sub"]; got != want || got == string(r.user) {
			t.Errorf("sub %v, want %v", got, want)
		}
	}
}
