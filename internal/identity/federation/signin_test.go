package federation

import (
	"maps"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/identity/federation/federationtest"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestSignIn_OIDC(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		got, err := r.whole("corp", func(s *Start) { s.Hint, s.Locale = "ada@corp.example", "ko" })
		r.must(err)
		want := Answer{
			Journey: "journey-1", At: r.clock.Now(),
			Identity: Identity{Provider: "corp", Issuer: r.op.URL, Subject: "1234", Email: "ada@corp.example", Verified: true, Name: "Ada Example", Username: "ada"},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		q := r.op.Last()
		for name, want := range map[string]string{
			"response_type": "code", "scope": "openid email profile", "redirect_uri": "https://id.example/upstream/corp/callback",
			"code_challenge_method": "S256", "login_hint": "ada@corp.example", "ui_locales": "ko", "max_age": "", "client_id": federationtest.ClientID,
		} {
			if q.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, q.Get(name), want)
			}
		}
		if len(q.Get("nonce")) != 43 || len(q.Get("code_challenge")) != 43 {
			t.Errorf("nonce %q, challenge %q", q.Get("nonce"), q.Get("code_challenge"))
		}
	})
}

func TestSignIn_GitHub(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		got, err := r.whole("hub")
		r.must(err)
		want := Identity{Provider: "hub", Issuer: r.op.URL, Subject: "1234", Email: "ada@corp.example", Verified: true, Name: "Ada Example", Username: "ada"}
		if d := cmp.Diff(want, got.Identity); d != "" {
			t.Error(d)
		}
		if s := r.op.Last().Get("scope"); s != "read:user user:email" {
			t.Errorf("scope %q", s)
		}
	})
}

// The primary address or none, and only if GitHub verified it; never the public one.
func TestSignIn_GitHubAddress(t *testing.T) {
	t.Parallel()
	r := one(t)
	for name, c := range map[string]struct {
		emails   any
		email    string
		verified bool
	}{
		"not verified":       {[]any{map[string]any{"email": "ada@corp.example", "primary": true, "verified": false}}, "ada@corp.example", false},
		"verified, not main": {[]any{map[string]any{"email": "ada@corp.example", "primary": false, "verified": true}}, "", false},
		"verified not told":  {[]any{map[string]any{"email": "ada@corp.example", "primary": true}}, "ada@corp.example", false},
		"none":               {[]any{}, "", false},
	} {
		r.says(func(o *federationtest.OP) { o.Emails = c.emails })
		a, err := r.whole("hub")
		if err != nil || a.Identity.Email != c.email || a.Identity.Verified != c.verified {
			t.Errorf("%s: %+v %v", name, a.Identity, err)
		}
	}
	r.says(func(o *federationtest.OP) {
		o.Emails = []any{map[string]any{"email": "ada@corp.example", "primary": true, "verified": "true"}}
	})
	if a, err := r.whole("hub"); err == nil {
		t.Errorf("a verified that is text: %+v", a.Identity)
	}
	r.says(func(o *federationtest.OP) { o.User = map[string]any{"login": "ada"} })
	a, err := r.whole("hub")
	r.refuses("no id", a, err, KeyRefused)
	a, err = r.whole("hub", func(s *Start) { s.Fresh = true })
	r.refuses("a fresh sign-in, which GitHub cannot give", a, err, KeyNotFresh)
}

// A state is good for one answer (RFC 9700 §4.7), and a reload finds the journey again.
func TestCallback_ReplayedAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		q := r.start("corp")
		if _, err := r.callback("corp", q); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a, err := r.callback("corp", q)
			if !errs.Is(err, errs.Conflict) || a.Journey != "journey-1" || a.Identity != (Identity{}) {
				t.Errorf("again: %+v %v", a, err)
			}
		}
		// Used up by an answer that did not hold, too.
		q = r.start("corp")
		bad := maps.Clone(q)
		bad.Set("iss", "https://evil.example")
		a, err := r.callback("corp", bad)
		r.refuses("first", a, err, KeyRefused)
		if _, err = r.callback("corp", q); !errs.Is(err, errs.Conflict) {
			t.Errorf("second: %v", err)
		}
	})
}

func TestCallback_OneWinner(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		q := r.start("corp")
		others := []*Service{r.Service, r.service(r.db)}
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				switch _, err := others[i%2].Callback(t.Context(), "corp", r.browser, q); {
				case err == nil:
					won.Add(1)
				case errs.Is(err, errs.Conflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 11 || r.op.Asked("/token") != 1 {
			t.Errorf("%d won, %d lost, %d codes redeemed", won.Load(), lost.Load(), r.op.Asked("/token"))
		}
	})
}

// The answer must come in the browser that left, for the provider that was asked, in time.
func TestCallback_ForeignState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		q := r.start("corp")
		for name, try := range map[string]func() (Answer, error){
			"another browser":  func() (Answer, error) { return r.Callback(t.Context(), "corp", id.NewToken(id.BrowserCookie), q) },
			"no browser":       func() (Answer, error) { return r.Callback(t.Context(), "corp", "", q) },
			"another provider": func() (Answer, error) { return r.callback("hub", q) },
			"no state":         func() (Answer, error) { return r.callback("corp", url.Values{"code": q["code"]}) },
			"two states": func() (Answer, error) {
				return r.callback("corp", url.Values{"code": q["code"], "iss": q["iss"], "state": {q.Get("state"), q.Get("state")}})
			},
			"made up": func() (Answer, error) {
				return r.callback("corp", url.Values{"code": q["code"], "state": {id.NewToken(id.UpstreamState)}})
			},
			"of another kind": func() (Answer, error) {
				return r.callback("corp", url.Values{"code": q["code"], "state": {id.NewToken(id.MailLink)}})
			},
		} {
			a, err := try()
			r.refuses(name, a, err, KeyStale)
			if a.Journey != "" {
				t.Errorf("%s: tells the journey", name)
			}
		}
		// None of them used the state up for the one who may.
		if _, err := r.callback("corp", q); err != nil {
			t.Error(err)
		}
		q = r.start("corp")
		r.clock.Advance(stateLife)
		a, err := r.callback("corp", q)
		r.refuses("late", a, err, KeyStale)
		if _, err := r.callback("nobody", q); !errs.Is(err, errs.NotFound) {
			t.Errorf("a provider that does not exist: %v", err)
		}
	})
}

// RFC 9207 §2.4, and what an answer may not have at once.
func TestCallback_Answers(t *testing.T) {
	t.Parallel()
	r := one(t)
	for name, c := range map[string]struct {
		change func(url.Values)
		key    string
	}{
		"issuer of another":         {func(q url.Values) { q.Set("iss", "https://other.example") }, KeyRefused},
		"issuer with a slash":       {func(q url.Values) { q.Set("iss", r.op.URL+"/") }, KeyRefused},
		"issuer not named":          {func(q url.Values) { q.Del("iss") }, KeyRefused},
		"issuer empty":              {func(q url.Values) { q.Set("iss", "") }, KeyRefused},
		"two issuers":               {func(q url.Values) { q.Add("iss", q.Get("iss")) }, KeyRefused},
		"code and error":            {func(q url.Values) { q.Set("error", "access_denied") }, KeyRefused},
		"two codes":                 {func(q url.Values) { q.Add("code", "x") }, KeyRefused},
		"no code":                   {func(q url.Values) { q.Del("code") }, KeyRefused},
		"a code of somebody else":   {func(q url.Values) { q.Set("code", "code-x") }, KeyRefused},
		"a very long code":          {func(q url.Values) { q.Set("code", string(make([]byte, 5000))) }, KeyRefused},
		"denied":                    {func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, KeyDenied},
		"denied by another issuer":  {func(q url.Values) { q.Del("code"); q.Set("error", "x"); q.Set("iss", "https://other.example") }, KeyRefused},
		"denied, issuer not named":  {func(q url.Values) { q.Del("code"); q.Del("iss"); q.Set("error", "access_denied") }, KeyRefused},
		"error with a line break\n": {func(q url.Values) { q.Del("code"); q.Set("error", "a\nb") }, KeyDenied},
	} {
		q := r.start("corp")
		c.change(q)
		a, err := r.callback("corp", q)
		r.refuses(name, a, err, c.key)
		if a.Journey != "journey-1" {
			t.Errorf("%s: the journey is not told to who may know it", name)
		}
	}
	// A provider that does not name itself in answers is not asked to.
	r.says(func(o *federationtest.OP) {
		o.Metadata = map[string]any{"authorization_response_iss_parameter_supported": nil}
		o.Answer = func(q url.Values) { q.Del("iss") }
	})
	r.clock.Advance(stale)
	if _, err := r.whole("corp"); err != nil {
		t.Error(err)
	}
}

// A mix-up: the code of one provider is brought to the callback of another, with the state that
// belongs there. It dies at the token endpoint that did not issue it, and the issuer gives it away
// before that (RFC 9700 §4.4).
func TestCallback_MixUp(t *testing.T) {
	t.Parallel()
	r := one(t)
	evil := federationtest.New(t)
	evil.Change(func(o *federationtest.OP) { o.Now = r.clock.Now })
	r.Service = r.service(r.db, func(d *Deps) {
		p := d.Providers[0]
		p.Name, p.Issuer, p.Domains = "evil", evil.URL, nil
		d.Providers = append(d.Providers, p)
	})
	honest := r.start("corp")
	to, err := r.Start(t.Context(), Start{Provider: "evil", Browser: r.browser, Journey: "journey-1"})
	r.must(err)
	q := evil.Visit(t, to)
	q.Set("code", honest.Get("code"))
	q.Set("iss", honest.Get("iss"))
	a, err := r.callback("evil", q)
	r.refuses("mixed up", a, err, KeyRefused)
	if evil.Asked("/token") != 0 {
		t.Error("the code was sent to the other provider")
	}
}

func TestSignIn_TokenEndpointAuthentication(t *testing.T) {
	t.Parallel()
	for name, methods := range map[string]any{"basic": []string{"client_secret_post", "client_secret_basic"}, "post": []string{"client_secret_post"}, "not said": nil} {
		r := one(t)
		r.says(func(o *federationtest.OP) {
			o.Metadata = map[string]any{"token_endpoint_auth_methods_supported": methods}
		})
		if _, err := r.whole("corp"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := one(t)
	r.says(func(o *federationtest.OP) {
		o.Metadata = map[string]any{"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}
	})
	a, err := r.whole("corp")
	r.refuses("none that we have", a, err, KeyUnreachable)
	r = one(t, func(d *Deps) { d.Providers[0].ClientSecret = "wrong" })
	a, err = r.whole("corp")
	r.refuses("wrong secret", a, err, KeyRefused)
}

// The provider must have let the person prove it after they left here (OIDC Core §3.1.2.1, max_age).
func TestSignIn_Fresh(t *testing.T) {
	t.Parallel()
	r := one(t)
	again := func(s *Start) { s.Fresh = true }
	if _, err := r.whole("corp", again); err != nil {
		t.Error(err)
	}
	if r.op.Last().Get("max_age") != "0" {
		t.Error("not asked for")
	}
	for name, at := range map[string]any{"hours ago": r.clock.Now().Add(-3 * time.Hour).Unix(), "not told": nil, "text": "now"} {
		r.says(func(o *federationtest.OP) { o.IDToken = map[string]any{"auth_time": at} })
		a, err := r.whole("corp", again)
		r.refuses(name, a, err, KeyNotFresh)
	}
	// Not asked for, it is still told onwards as it is.
	earlier := r.clock.Now().Add(-time.Hour).Truncate(time.Second)
	r.says(func(o *federationtest.OP) { o.IDToken = map[string]any{"auth_time": earlier.Unix()} })
	if a, err := r.whole("corp"); err != nil || !a.At.Equal(earlier) {
		t.Errorf("%v %v", a.At, err)
	}
	r.says(func(o *federationtest.OP) {
		o.IDToken = map[string]any{"auth_time": r.clock.Now().Add(time.Hour).Unix()}
	})
	if a, err := r.whole("corp"); err != nil || a.At.After(r.clock.Now()) {
		t.Errorf("a sign-in in the future: %v %v", a.At, err)
	}
}

// Its word on a second factor counts where the operator says so.
func TestSignIn_MFA(t *testing.T) {
	t.Parallel()
	r := one(t)
	trusting := r.service(r.db, func(d *Deps) { d.Providers[0].TrustMFA = true })
	for _, c := range []struct {
		amr          any
		trusted, mfa bool
	}{
		{[]string{"pwd", "mfa"}, true, true}, {[]string{"pwd", "mfa"}, false, false}, {[]string{"pwd"}, true, false}, {nil, true, false},
		{"mfa", true, true}, {map[string]any{"mfa": true}, true, false}, {[]any{"mfa", 1}, true, false},
	} {
		r.says(func(o *federationtest.OP) { o.IDToken = map[string]any{"amr": c.amr} })
		q := r.start("corp")
		s := r.Service
		if c.trusted {
			s = trusting
		}
		if a, err := s.Callback(t.Context(), "corp", r.browser, q); err != nil || a.MFA != c.mfa {
			t.Errorf("%v, trusted %v: %v %v", c.amr, c.trusted, a.MFA, err)
		}
	}
}

func TestStart_IsBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.Service = r.service(r.db, func(d *Deps) { d.Budgets.Start = ratelimit.Budget{Name: "upstream-source", Limit: 2, Per: time.Hour} })
		r.start("corp")
		r.start("corp")
		_, err := r.Start(t.Context(), Start{Provider: "corp", Browser: r.browser, Journey: "journey-1"})
		if !errs.Is(err, errs.Limited) || errs.As(err).RetryAfter <= 0 {
			t.Errorf("the third: %v", err)
		}
		if _, err := r.Start(t.Context(), Start{Provider: "nobody", Browser: r.browser}); !errs.Is(err, errs.NotFound) {
			t.Errorf("unknown provider: %v", err)
		}
	})
}

// Whichever statement fails, a state never serves twice and nothing is signed in by half.
func TestCallback_Faults(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		good := newRig(t, db)
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				if n > 20 {
					t.Fatal("too many statements")
				}
				q := good.start("corp")
				broken, seen := storetest.FailAt(db, n, mode)
				_, err := good.service(broken).Callback(t.Context(), "corp", good.browser, q)
				if seen.Load() < n {
					good.must(err)
					break
				}
				if !errs.Is(err, errs.Unavailable) {
					t.Errorf("statement %d: %v", n, err)
				}
				_, again := good.callback("corp", q)
				if mode == storetest.After && !errs.Is(again, errs.Conflict) || mode == storetest.Before && again != nil {
					t.Errorf("statement %d, then again: %v", n, again)
				}
			}
		}
	})
}
