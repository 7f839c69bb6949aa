package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store/storetest"
)

// pushAs sends a request the direct way, authenticated as the client does.
func (r *rig) pushAs(c id.Client, form url.Values) (*Pushed, error) {
	h, form := r.as(c, form)
	call := post(h, form)
	call.Path = "/oauth2/par"
	return r.Push(context.Background(), call)
}

// pushSigned is pushAs for a client of signing.
func (r *rig) pushSigned(k clientKey, c id.Client, form url.Values) (*Pushed, error) {
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", k.assertion(r.t, r.assertionClaims(c, nil), nil))
	return r.pushAs(c, form)
}

func (r *rig) push(c id.Client, pairs ...string) string {
	r.t.Helper()
	p, err := r.pushAs(c, ask(c, pairs...))
	check(r.t, err)
	return p.RequestURI
}

// open is what the browser brings (RFC 9126 §4).
func open(c id.Client, uri string, pairs ...string) url.Values {
	return values(append([]string{"client_id", string(c), "request_uri", uri}, pairs...)...)
}

// TestPush_Flow: client_id and request_uri suffice, the same address opens again until it is answered,
// and then never (RFC 9126 §2, §4, §7.3; fapi2 par-without-duplicate-parameters,
// par-ensure-reused-request-uri-prior-to-auth-completion-succeeds, par-attempt-reuse-request_uri).
func TestPush_Flow(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		p, err := r.pushAs(c, ask(c, "state", "s-1", "max_age", "10000"))
		check(t, err)
		if !strings.HasPrefix(p.RequestURI, "urn:ietf:params:oauth:request_uri:sgn_par_") || p.ExpiresIn < 60 || p.ExpiresIn > 600 {
			t.Fatalf("%+v", p)
		}
		for range 3 {
			req, err := r.ParseAuthorize(t.Context(), open(c, p.RequestURI))
			check(t, err)
			if req.State != "s-1" || *req.MaxAge != 10000 || req.CodeChallenge != testChallenge {
				t.Fatalf("%+v", req)
			}
		}
		code := r.code(open(c, p.RequestURI))
		if _, err := r.exchange(c, code); err != nil {
			t.Error(err)
		}
		_, err = r.ParseAuthorize(t.Context(), open(c, p.RequestURI))
		if e := wantCode(t, err, InvalidRequestURI); e.Redirect != nil {
			t.Error("a used request is told by redirect")
		}
		// A refusal is an answer as well.
		second := r.push(c)
		req, err := r.ParseAuthorize(t.Context(), open(c, second))
		check(t, err)
		resp, err := r.Refuse(t.Context(), req, AccessDenied, "")
		check(t, err)
		if resp.Params.Get("error") != AccessDenied || resp.Params.Get("state") != "st" {
			t.Errorf("%v", resp.Params)
		}
		_, err = r.Issue(t.Context(), req, r.login())
		if e := wantCode(t, err, InvalidRequestURI); e.Redirect == nil {
			t.Error("the application does not hear that it was answered")
		}
		if resp, err := r.Refuse(t.Context(), req, InvalidRequestURI, ""); err != nil || resp.Params.Get("error") != InvalidRequestURI {
			t.Errorf("who comes second: %v, %v", resp, err)
		}
	})
}

// TestPush_Foreign is security case AZ-26: another client's attempt fails and burns nothing, time ends
// it, and nothing can be added (RFC 9126 §2.2, §4; fapi2 par-attempt-to-use-request_uri-for-different-client,
// par-attempt-to-use-expired-request_uri).
func TestPush_Foreign(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c, other := r.newClient(client.Web, nil), r.newClient(client.Web, nil)
		uri := r.push(c)
		for name, form := range map[string]url.Values{
			"other client":  open(other, uri, "redirect_uri", testRedirect),
			"unknown":       open(c, pushedURN+id.NewToken(id.PushedRequest)),
			"not ours":      open(c, pushedURN+"short"),
			"other kind":    open(c, pushedURN+id.NewToken(id.AuthorizationCode)),
			"empty":         open(c, pushedURN),
			"with an extra": open(c, uri+"x"),
		} {
			_, err := r.ParseAuthorize(t.Context(), form)
			if e := AsError(err); err == nil || e.Code != InvalidRequestURI || e.Redirect != nil || e.Status != 400 {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := r.ParseAuthorize(t.Context(), values("request_uri", uri))
		wantCode(t, err, InvalidRequest)
		req, err := r.ParseAuthorize(t.Context(), open(c, uri, "scope", "openid write", "redirect_uri", testRedirect+"/2", "state", "outer",
			"prompt", "none", "response_mode", "fragment", "nonce", "outer", "code_challenge", ""))
		check(t, err)
		if req.RedirectURI != testRedirect || req.State != "st" || len(req.Prompt) > 0 || req.ResponseMode != ModeQuery || req.Nonce != "n-1" || len(req.Scopes) != 4 {
			t.Errorf("something was added: %+v", req)
		}
		r.clock.Advance(pushedLife - time.Second)
		r.code(open(c, uri)) // whoever came in time

		late := r.push(c)
		began, err := r.ParseAuthorize(t.Context(), open(c, late))
		check(t, err)
		r.clock.Advance(pushedLife)
		_, err = r.ParseAuthorize(t.Context(), open(c, late))
		wantCode(t, err, InvalidRequestURI)
		r.clock.Advance(25 * time.Minute) // a sign-in that began in time may take its time
		if _, err := r.Issue(t.Context(), began, r.login()); err != nil {
			t.Error(err)
		}
	})
}

// TestPush_Refuses: every check of the authorization endpoint is made at once, and none redirects
// (RFC 9126 §2.1, §2.3; fapi2 par-ensure-pkce-required, par-plain-pkce-rejected,
// par-authorization-request-containing-request_uri-form-param, ensure-registered-redirect-uri,
// ensure-redirect-uri-in-authorization-request, ensure-response-type-token-fails).
func TestPush_Refuses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, other := r.newClient(client.Web, nil), r.newClient(client.Web, nil)
	for name, tc := range map[string]struct {
		form url.Values
		code string
	}{
		"request_uri":       {ask(c, "request_uri", "urn:example:bad"), InvalidRequest},
		"own request_uri":   {open(c, r.push(c)), InvalidRequest},
		"no redirect":       {ask(c, "redirect_uri", ""), InvalidRequest},
		"foreign redirect":  {ask(c, "redirect_uri", "https://evil.test/cb"), InvalidRequest},
		"no PKCE":           {ask(c, "code_challenge", "", "code_challenge_method", ""), InvalidRequest},
		"plain PKCE":        {ask(c, "code_challenge_method", "plain"), InvalidRequest},
		"token":             {ask(c, "response_type", "token"), UnsupportedResponseType},
		"code id_token":     {ask(c, "response_type", "code id_token"), UnsupportedResponseType},
		"scope":             {ask(c, "scope", "nonsense"), InvalidScope},
		"long state":        {ask(c, "state", strings.Repeat("s", 3000)), InvalidRequest},
		"other client_id":   {ask(other), InvalidClient},
		"broken object":     {values("client_id", string(c), "request", "a.b.c"), InvalidRequestObject},
		"unsecured object":  {values("client_id", string(c), "request", unsecured(r.objectClaims(c, nil))), InvalidRequestObject},
		"unknown mode":      {ask(c, "response_mode", "web_message"), InvalidRequest},
		"registration":      {ask(c, "registration", "{}"), RegistrationUnsupported},
		"unsupported hints": {ask(c, "id_token_hint", "a.b.c"), InvalidRequest},
	} {
		p, err := r.pushAs(c, tc.form)
		if e := AsError(err); err == nil || e.Code != tc.code || e.Redirect != nil || e.Status < 400 || e.Status > 499 {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	twice := ask(c)
	twice.Add("scope", "openid")
	_, err := r.pushAs(c, twice)
	wantCode(t, err, InvalidRequest)
	_, err = r.Push(t.Context(), post(http.Header{}, ask(c)))
	wantCode(t, err, InvalidClient)
	if n := r.count(`SELECT COUNT(*) FROM one_time`); n != 1 {
		t.Errorf("%d rows, want that of the one good request", n)
	}
	form := ask(c)
	form.Del("client_id") // who authenticated is known
	if _, err := r.pushAs(c, form); err != nil {
		t.Error(err)
	}
	for _, state := range []string{"", strings.Repeat("s", 1000)} { // fapi2 ensure-authorization-request-with-long-state, -without-state
		req, err := r.ParseAuthorize(t.Context(), open(c, r.push(c, "state", state, "nonce", strings.Repeat("n", 384))))
		check(t, err)
		if resp, err := r.Issue(t.Context(), req, r.login()); err != nil || resp.Params.Get("state") != state || resp.Params.Has("state") != (state != "") {
			t.Errorf("state of %d characters: %v", len(state), err)
		}
	}
}

// TestPush_Required: where pushing is demanded nothing else will do, and the application hears it (RFC 9126
// §5, §6; fapi2 ensure-unsigned-authorization-request-without-using-par-fails).
func TestPush_Required(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	for name, c := range map[string]id.Client{
		"client": r.signing(k, func(m *client.Metadata) { m.RequirePAR = true }),
		"fapi2":  r.signing(k, fapi(client.ProfileFAPI2)),
		"server": r.signing(k, nil),
	} {
		r.policy.RequirePushed = name == "server"
		for what, form := range map[string]url.Values{
			"plain": ask(c), "object": byValue(c, k.requestObject(t, r.objectClaims(c, nil)), "redirect_uri", testRedirect, "state", "st"),
		} {
			_, err := r.ParseAuthorize(t.Context(), form)
			if e := wantCode(t, err, InvalidRequest); e == nil || e.Redirect == nil || e.Redirect.State != "st" {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		p, err := r.pushSigned(k, c, ask(c))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := r.ParseAuthorize(t.Context(), open(c, p.RequestURI)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPush_FAPI2Objects: what FAPI 2.0 Message Signing §5.3.1 says of request objects, each condition
// alone (fapi2 ensure-request-object-*, ensure-signed-request-object-with-RS256-fails,
// ensure-unsigned-request-at-par-endpoint-fails, ensure-matching-key-in-authorization-request,
// par-authorization-request-containing-request_uri, ensure-request-object-with-multiple-aud-succeeds,
// ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted).
func TestPush_FAPI2Objects(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k, foreign := newClientKey(t), newClientKey(t)
	c := r.signing(k, fapi(client.ProfileFAPI2Signing))
	now := r.clock.Now()
	send := func(object string) error {
		_, err := r.pushSigned(k, c, values("client_id", string(c), "request", object))
		return err
	}
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, edit := range map[string]func(map[string]any){
		"plain":         nil,
		"several aud":   set("aud", []string{"https://else.test", testIssuer}),
		"nbf ahead 8 s": set("nbf", at(8*time.Second)),
		"nbf 50 min":    func(m map[string]any) { m["nbf"], m["exp"] = at(-50*time.Minute), at(5*time.Minute) },
		"no state":      set("state", nil),
		"no nonce":      set("nonce", nil),
		"long nonce":    set("nonce", strings.Repeat("n", 384)),
		"long state":    set("state", strings.Repeat("s", 1000)),
		"jarm":          set("response_mode", "jwt"),
	} {
		if err := send(k.requestObject(t, r.objectClaims(c, edit))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, edit := range map[string]func(map[string]any){
		"no exp":      set("exp", nil),
		"no nbf":      set("nbf", nil),
		"no aud":      set("aud", nil),
		"bad aud":     set("aud", "https://else.test"),
		"expired":     set("exp", at(-5*time.Minute)),
		"exp 70 min":  set("exp", at(70*time.Minute)),
		"nbf 70 min":  func(m map[string]any) { m["nbf"], m["exp"] = at(-70*time.Minute), at(-10*time.Minute) },
		"nbf old":     func(m map[string]any) { m["nbf"], m["exp"] = at(-70*time.Minute), at(-10*time.Second) },
		"nbf ahead":   set("nbf", at(70*time.Second)),
		"request_uri": set("request_uri", "https://rp.test/r"),
	} {
		wantCode(t, send(k.requestObject(t, r.objectClaims(c, edit))), InvalidRequestObject)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	wantCode(t, send(k.requestObject(t, r.objectClaims(c, set("redirect_uri", nil)))), InvalidRequest)
	wantCode(t, send(foreign.requestObject(t, r.objectClaims(c, nil))), InvalidRequestObject)
	good := k.requestObject(t, r.objectClaims(c, nil))
	wantCode(t, send(good[:len(good)-6]+"AAAAAA"), InvalidRequestObject)
	for _, policy := range []string{"signed", "unsigned"} { // the switch for others does not weaken the profile
		r.policy.RequestObjects = policy
		wantCode(t, send(unsecured(r.objectClaims(c, nil))), InvalidRequestObject)
	}
	_, err := r.pushSigned(k, c, ask(c))
	wantCode(t, err, InvalidRequest) // no object at all
	_, err = r.pushSigned(k, c, values("client_id", string(c), "request", good, "request_uri", "https://rp.test/r"))
	wantCode(t, err, InvalidRequest)
	// Parameters beside the object are not used (RFC 9126 §3).
	p, err := r.pushSigned(k, c, values("client_id", string(c), "request", k.requestObject(t, r.objectClaims(c, set("state", nil))), "state", "outer"))
	check(t, err)
	req, err := r.ParseAuthorize(t.Context(), open(c, p.RequestURI, "state", "outer", "nonce", "outer"))
	check(t, err)
	if req.State != "" || req.Nonce != "n-1" {
		t.Errorf("state %q, nonce %q", req.State, req.Nonce)
	}
}

// TestPush_RS256UnderFAPI2: a key that could verify it is no reason (FAPI 2.0 Security Profile §5.4.1).
func TestPush_RS256UnderFAPI2(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	rsaKey, jwks := withRSA(t, k)
	plain := r.signing(k, func(m *client.Metadata) { m.JWKS = jwks })
	strict := r.signing(k, func(m *client.Metadata) { m.JWKS, m.Profile = jwks, client.ProfileFAPI2Signing })
	for c, code := range map[id.Client]string{plain: "", strict: InvalidRequestObject} {
		_, err := r.pushSigned(k, c, values("client_id", string(c), "request", rsaKey.sign(t, r.objectClaims(c, nil))))
		wantCode(t, err, code)
	}
}

// TestPush_KeepsNoCredentials is fosite trap 9: what is kept is the checked request, sealed.
func TestPush_KeepsNoCredentials(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.AuthMethod = client.SecretPost })
	form := ask(c, "state", "the-state")
	form.Set("client_secret", r.secrets[c])
	_, err := r.Push(t.Context(), post(http.Header{}, form))
	check(t, err)
	var hash, payload string
	check(t, r.db.QueryRow(t.Context(), `SELECT token_hash, CAST(payload AS TEXT) FROM one_time`).Scan(&hash, &payload))
	for _, secret := range []string{r.secrets[c], "the-state", "sgn_par_", testChallenge} {
		if strings.Contains(hash+payload, secret) {
			t.Errorf("%q stands in the row", secret)
		}
	}
}

// TestPush_PublicClientsAreBounded is security case AZ-30: anybody can push for a public client.
func TestPush_PublicClientsAreBounded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.limits = must(ratelimit.New(ratelimit.Deps{DB: r.db, Clock: r.clock, Key: make([]byte, 32)}))
	c, confidential := r.newClient(client.SPA, nil), r.newClient(client.Web, nil)
	ctx := audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.1"})
	h, form := r.as(c, ask(c))
	for i := range pushBudget.Limit + 1 {
		_, err := r.Push(ctx, post(h, form))
		if err == nil {
			continue
		}
		if i < pushBudget.Limit {
			t.Fatalf("push %d: %v", i, err)
		}
		if e := wantCode(t, err, TemporarilyUnavailable); e.Status != 429 || e.RetryAfter == 0 {
			t.Errorf("%+v", e)
		}
	}
	if _, err := r.Push(ctx, post(h, form)); err == nil {
		t.Error("no end to it")
	}
	h, form = r.as(confidential, ask(confidential))
	if _, err := r.Push(ctx, post(h, form)); err != nil {
		t.Errorf("an application that authenticated: %v", err)
	}
	r.clock.Advance(pushedKept)
	if n, err := r.things.DeleteExpired(t.Context(), 10000); err != nil || n != int64(pushBudget.Limit)+1 {
		t.Errorf("%d rows went, %v", n, err)
	}
}

// TestPush_StrangersAreBounded: who registered itself can authenticate, and is a stranger all the same
// (security case AZ-30).
func TestPush_StrangersAreBounded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.Quarantined, m.FirstParty = true, false })
	ctx := audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.1"})
	source := ratelimit.Key{Budget: pushBudget, Value: ratelimit.SourceNetwork("192.0.2.1")}
	for range pushBudget.Limit {
		must(r.limits.Reserve(ctx, source))
	}
	h, form := r.as(c, ask(c))
	_, err := r.Push(ctx, post(h, form))
	if e := wantCode(t, err, TemporarilyUnavailable); e != nil && e.Status != 429 {
		t.Errorf("%+v", e)
	}
}

// TestIssue_TwoFactorsDemandedSince: a request that was parked before the registration demanded two factors is
// no way around that; nor is a device.
func TestIssue_TwoFactorsDemandedSince(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.GrantTypes = append(m.GrantTypes, client.GrantDeviceCode) })
	req := must(r.ParseAuthorize(t.Context(), open(c, r.push(c))))
	found := must(r.FindDevice(t.Context(), r.user, r.startDevice(c).UserCode))
	r.edit(c, func(m *client.Metadata) { m.RequireMFA = true })
	_, err := r.Issue(t.Context(), req, r.login())
	wantCode(t, err, UnmetRequirements)
	wantCode(t, r.DecideDevice(t.Context(), found, r.login(), true), UnmetRequirements)
	l := r.login()
	l.AMR = []string{"pwd", "otp", "mfa"}
	_, err = r.Issue(t.Context(), req, l)
	check(t, err)
	check(t, r.DecideDevice(t.Context(), found, l, true))
}

// TestPush_ChangedRegistration: what was taken away since is not given.
func TestPush_ChangedRegistration(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, nil)
	uri := r.push(c)
	r.edit(c, func(m *client.Metadata) { m.RedirectURIs = []string{"https://rp.test/new"} })
	_, err := r.ParseAuthorize(t.Context(), open(c, uri))
	wantCode(t, err, InvalidRequestURI)
	check(t, r.clients.Disable(t.Context(), c))
	_, err = r.ParseAuthorize(t.Context(), open(c, uri))
	if e := wantCode(t, err, InvalidClient); e.Redirect != nil {
		t.Error("a redirect for a client that is switched off")
	}
}

// TestRace_OnePushedRequest is security case AZ-26: of many answers at once, from two instances, one is a
// code and the others are invalid_request_uri.
func TestRace_OnePushedRequest(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.newClient(client.Web, nil)
		for range 3 {
			form := open(c, a.push(c))
			reqs := map[*rig]*Request{a: must(a.ParseAuthorize(t.Context(), form)), b: must(b.ParseAuthorize(t.Context(), form))}
			before := a.count(`SELECT COUNT(*) FROM oauth_grant`)
			won, failed := race(a, b, func(r *rig) (*Response, error) {
				req := *reqs[r]
				return r.Issue(context.Background(), &req, r.login())
			})
			if len(won) != 1 || a.count(`SELECT COUNT(*) FROM oauth_grant`)-before != 1 {
				t.Errorf("%d answers won", len(won))
			}
			for _, err := range failed {
				if AsError(err).Code != InvalidRequestURI {
					t.Fatalf("a loser got %v", err)
				}
			}
			if _, err := a.exchange(c, won[0].Params.Get("code")); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestFaults_PushedRequest breaks every statement of answering one: nothing is written and nothing is
// spent, so that the same address opens again.
func TestFaults_PushedRequest(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); n < 20; n++ {
				uri := r.push(c)
				before := r.count(`SELECT COUNT(*) FROM oauth_grant`)
				broken, count := storetest.FailAt(r.db, n, mode)
				_, err := r.again(r.db, broken).tryCode(open(c, uri))
				if count.Load() < n {
					check(t, err)
					break
				}
				if e := AsError(err); err == nil || e.Code != TemporarilyUnavailable {
					t.Errorf("statement %d, mode %d: %v", n, mode, err)
				}
				if r.count(`SELECT COUNT(*) FROM oauth_grant`) != before {
					t.Errorf("statement %d, mode %d: half done", n, mode)
				}
				r.code(open(c, uri))
			}
		}
	})
}
