package passkey

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/identity/session"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestLogin_TellsWhoItIs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, alg := range []int64{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
			a := passkeytest.New(issuer)
			a.Alg = alg
			made := f.add(alice, a)
			f.clock.Advance(time.Hour)
			var told id.User
			var event session.Event
			c, e, err := f.Login(t.Context(), journey, a.Get(t, f.options()), func(ctx context.Context, u id.User, e session.Event) error {
				store.MustTx(ctx)
				told, event = u, e
				return nil
			})
			if err != nil {
				t.Fatalf("algorithm %d: %v", alg, err)
			}
			if c.ID != made.ID || told != alice || event != e {
				t.Errorf("signed in as %s with %s, want %s with %s", told, c.ID, alice, made.ID)
			}
			if want := (session.Event{Method: session.Passkey, At: f.clock.Now(), Verified: true, Credential: made.ID}); e != want {
				t.Errorf("event %+v, want %+v", e, want)
			}
			kept, err := f.ByID(t.Context(), alice, made.ID)
			if err != nil || !kept.LastUsedAt.Equal(f.clock.Now()) {
				t.Errorf("last used %v (%v), want %v", kept.LastUsedAt, err, f.clock.Now())
			}
		}
	})
}

// WebAuthn Level 3 §7.2: every comparison, each broken alone.
func TestLogin_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a, other := passkeytest.New(issuer), passkeytest.New(issuer)
		f.add(alice, a)
		f.add(bob, other)
		foreign := passkeytest.NewKey(t, passkeytest.ES256)
		for name, bend := range map[string]passkeytest.Bend{
			"the hash of another relying party":   func(an *passkeytest.Answer) { an.RPID = "example.com" },
			"a creation's type":                   func(an *passkeytest.Answer) { an.Type = "webauthn.create" },
			"no type":                             func(an *passkeytest.Answer) { an.Type = "" },
			"another origin":                      func(an *passkeytest.Answer) { an.Origin = "https://id.example.com.evil.test" },
			"another scheme":                      func(an *passkeytest.Answer) { an.Origin = "http://id.example.com" },
			"another port":                        func(an *passkeytest.Answer) { an.Origin = issuer + ":8443" },
			"a sibling origin":                    func(an *passkeytest.Answer) { an.Origin = "https://www.example.com" },
			"a frame of another site":             func(an *passkeytest.Answer) { an.CrossOrigin = true },
			"a top origin":                        func(an *passkeytest.Answer) { an.CrossOrigin, an.TopOrigin = true, issuer },
			"nobody present":                      func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UP },
			"nobody verified":                     func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UV },
			"another's key":                       func(an *passkeytest.Answer) { an.Key = other.Keys[0] },
			"an unknown key under a known id":     func(an *passkeytest.Answer) { an.Key = foreign },
			"an empty signature":                  func(an *passkeytest.Answer) { an.Signature = []byte{} },
			"a short signature":                   func(an *passkeytest.Answer) { an.Signature = []byte{0x30, 0x06, 2, 1, 1, 2, 1, 1} },
			"another's handle":                    func(an *passkeytest.Answer) { an.UserHandle = []byte(bob) },
			"no handle":                           func(an *passkeytest.Answer) { an.UserHandle = nil },
			"an empty handle":                     func(an *passkeytest.Answer) { an.UserHandle = []byte{} },
			"backed up without being able to be":  func(an *passkeytest.Answer) { an.Flags |= passkeytest.BS },
			"a key and data of another algorithm": func(an *passkeytest.Answer) { an.Key = passkeytest.NewKey(t, passkeytest.EdDSA) },
		} {
			_, _, err := f.login(a, bend)
			if err == nil {
				t.Errorf("%s was accepted", name)
				continue
			}
			t.Run(name, func(t *testing.T) { f.refused(t, err, KeyFailed, "mismatch") })
		}
		// None of that locked the owner out or broke anything.
		if _, _, err := f.login(a); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		for _, r := range f.records("passkey.login") {
			if r.Result != audit.Refused || r.Target != string(alice) || r.Detail["reason"] != "mismatch" {
				t.Errorf("record %+v", r)
			}
		}
		if n := len(f.records("passkey.login")); n != 20 {
			t.Errorf("%d records", n)
		}
	})
}

func TestLogin_Malformed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		good := func() []byte { return a.Get(t, f.options()) }
		response := func(name string, v any) []byte {
			return edit(t, good(), func(m map[string]any) { m["response"].(map[string]any)[name] = v })
		}
		for name, answer := range map[string][]byte{
			"nothing":                   nil,
			"no JSON":                   []byte("{"),
			"a list":                    []byte("[]"),
			"two values":                append(good(), good()...),
			"no id":                     edit(t, good(), func(m map[string]any) { delete(m, "id") }),
			"another rawId":             edit(t, good(), func(m map[string]any) { m["rawId"] = "AAAA" }),
			"no rawId":                  edit(t, good(), func(m map[string]any) { delete(m, "rawId") }),
			"another type":              edit(t, good(), func(m map[string]any) { m["type"] = "password" }),
			"id not base64url":          edit(t, good(), func(m map[string]any) { m["id"], m["rawId"] = "a+/b", "a+/b" }),
			"truncated data":            response("authenticatorData", "AAAA"),
			"no data":                   response("authenticatorData", ""),
			"client data not JSON":      response("clientDataJSON", "AAAA"),
			"client data nested":        response("clientDataJSON", encode([]byte(strings.Repeat("[", 5000)))),
			"one megabyte":              response("signature", strings.Repeat("A", 1<<20)),
			"data after what belongs":   a.Get(t, f.options(), func(an *passkeytest.Answer) { an.Extra = []byte{1} }),
			"extensions promised":       a.Get(t, f.options(), func(an *passkeytest.Answer) { an.Flags |= passkeytest.ED }),
			"a credential promised":     a.Get(t, f.options(), func(an *passkeytest.Answer) { an.Flags |= passkeytest.AT }),
			"a map nested to no end":    a.Get(t, f.options(), func(an *passkeytest.Answer) { an.Flags |= passkeytest.ED; an.Extra = nested(200) }),
			"extensions cut off":        a.Get(t, f.options(), func(an *passkeytest.Answer) { an.Flags |= passkeytest.ED; an.Extra = []byte{0xbb, 0xff} }),
			"a response that is a list": edit(t, good(), func(m map[string]any) { m["response"] = []any{} }),
		} {
			_, _, err := f.Login(t.Context(), journey, answer)
			if err == nil {
				t.Errorf("%s was accepted", name)
				continue
			}
			t.Run(name, func(t *testing.T) { f.refused(t, err, KeyFailed, "malformed") })
		}
	})
}

func nested(n int) []byte {
	b := passkeytest.Int(1)
	for range n {
		b = passkeytest.Map(passkeytest.Text("a"), b)
	}
	return b
}

// WebAuthn Level 3 §13.4.3: a challenge is good for one ceremony, in one journey, for five minutes.
func TestLogin_ChallengeOfSomethingElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		ctx := t.Context()
		second, err := f.SecondOptions(ctx, journey, alice, false)
		if err != nil {
			t.Fatal(err)
		}
		creation, err := f.RegisterOptions(ctx, Owner{User: alice, Name: "alice"}, journey)
		if err != nil {
			t.Fatal(err)
		}
		for name, o := range map[string][]byte{"the second factor's": second, "a new passkey's": creation} {
			// The answer is for us and signed; only its challenge was for something else.
			_, _, err := f.Login(ctx, journey, a.Get(t, o, func(an *passkeytest.Answer) { an.RPID = f.RPID() }))
			if err == nil {
				t.Fatalf("%s challenge was accepted", name)
			}
			f.refused(t, err, KeyStale, "challenge")
		}
		_, _, err = f.Login(ctx, "journey-2", a.Get(t, f.options()))
		f.refused(t, err, KeyStale, "challenge")
		for _, made := range []string{"", "AAAA", encode(make([]byte, 56)), strings.Repeat("A", 3000)} {
			_, _, err = f.login(a, func(an *passkeytest.Answer) { an.Challenge = made })
			f.refused(t, err, KeyStale, "challenge")
		}
		_, _, err = f.Second(ctx, journey, alice, a.Get(t, f.options()))
		f.refused(t, err, KeyStale, "challenge")

		other := newFixture(t, f.db, func(d *Deps) { d.Key = []byte(strings.Repeat("another key", 4)) })
		_, _, err = other.Login(ctx, journey, a.Get(t, f.options()))
		other.refused(t, err, KeyStale, "challenge")
	})
}

func TestLogin_ChallengeEnds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		o := f.options()
		f.clock.Advance(Life)
		_, _, err := f.Login(t.Context(), journey, a.Get(t, o))
		f.refused(t, err, KeyStale, "stale")
		o = f.options()
		f.clock.Advance(Life - 2*time.Second)
		if _, _, err := f.Login(t.Context(), journey, a.Get(t, o)); err != nil {
			t.Errorf("just before the end: %v", err)
		}
	})
}

// A challenge is used once, on whichever instance, and stays used after a restart.
func TestLogin_SameChallengeTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		o := f.options()
		answer := a.Get(t, o)
		if _, _, err := f.Login(t.Context(), journey, answer); err != nil {
			t.Fatal(err)
		}
		restarted := newFixture(t, f.db)
		for _, replay := range [][]byte{answer, a.Get(t, o)} { // the same answer, and a new one to the old question
			_, _, err := restarted.Login(t.Context(), journey, replay)
			restarted.refused(t, err, KeyStale, "replayed")
		}
	})
}

func TestLogin_OneChallengeTwentyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		second := newFixture(t, f.db)
		answer := a.Get(t, f.options())
		var won, ran atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			s := f.Service
			if i%2 == 1 {
				s = second.Service
			}
			wg.Go(func() {
				_, _, err := s.Login(t.Context(), journey, answer, func(context.Context, id.User, session.Event) error { ran.Add(1); return nil })
				switch {
				case err == nil:
					won.Add(1)
				case errs.As(err).Key != KeyStale && errs.As(err).Key != KeyFailed:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 20 signed in", won.Load())
		}
		if db := f.db; db.Engine() == "sqlite" && ran.Load() != 1 { // Postgres may run a transaction again
			t.Errorf("what follows ran %d times", ran.Load())
		}
	})
}

// WebAuthn Level 3 §6.1.1: zero for ever, or ever more.
func TestLogin_Counter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		count := func(n uint32) passkeytest.Bend { return func(an *passkeytest.Answer) { an.Count = n } }
		none := passkeytest.New(issuer)
		f.add(bob, none)
		for range 2 {
			if _, _, err := f.login(none, count(0)); err != nil {
				t.Fatalf("an authenticator without a counter: %v", err)
			}
		}
		a := passkeytest.New(issuer)
		made := f.add(alice, a, count(3))
		for _, n := range []uint32{4, 9, 1<<32 - 1} {
			if _, _, err := f.login(a, count(n)); err != nil {
				t.Fatalf("counter %d: %v", n, err)
			}
		}
		for _, n := range []uint32{1<<32 - 1, 9, 1, 0} {
			_, _, err := f.login(a, count(n))
			f.refused(t, err, KeyFailed, "counter")
		}
		kept, err := f.ByID(t.Context(), alice, made.ID)
		if err != nil || kept.signCount != 1<<32-1 {
			t.Errorf("counter %d is kept (%v)", kept.signCount, err)
		}
		list := f.records("passkey.login")
		if len(list) != 4 || list[0].Detail["reason"] != "counter" || list[0].Target != string(alice) {
			t.Errorf("records %+v", list)
		}
	})
}

// WebAuthn Level 3 §6.1.3: eligibility for backup never changes; whether it was may, and is noted.
func TestLogin_BackupFlags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		flags := func(set byte) passkeytest.Bend { return func(an *passkeytest.Answer) { an.Flags |= set } }
		bound, synced := passkeytest.New(issuer), passkeytest.New(issuer)
		b := f.add(alice, bound)
		s := f.add(bob, synced, flags(passkeytest.BE))
		if !b.DeviceBound() || s.DeviceBound() || s.BackedUp {
			t.Errorf("bound %+v, synced %+v", b, s)
		}
		_, _, err := f.login(bound, flags(passkeytest.BE|passkeytest.BS))
		f.refused(t, err, KeyFailed, "backup_flag")
		_, _, err = f.login(synced)
		f.refused(t, err, KeyFailed, "backup_flag")
		if c, _, err := f.login(synced, flags(passkeytest.BE|passkeytest.BS)); err != nil || !c.BackedUp {
			t.Errorf("backed up meanwhile: %+v %v", c, err)
		}
		kept, err := f.ByID(t.Context(), bob, s.ID)
		if err != nil || !kept.BackedUp || !kept.Synced {
			t.Errorf("kept %+v (%v)", kept, err)
		}
		if list := f.records("passkey.backup"); len(list) != 1 || list[0].Detail["backed_up"] != "true" {
			t.Errorf("records %+v", list)
		}
	})
}

func TestLogin_UnknownCredential(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		c := f.add(alice, a)
		if err := f.Remove(t.Context(), alice, c.ID); err != nil {
			t.Fatal(err)
		}
		answer := a.Get(t, f.options())
		_, _, err := f.Login(t.Context(), journey, answer)
		f.refused(t, err, KeyUnknown, "unknown")
		if got := KeyOf(answer); got != c.Key {
			t.Errorf("the answer is about %q, want %q", got, c.Key)
		}
		if got := KeyOf([]byte(`{"id":`)); got != "" {
			t.Errorf("garbage is about %q", got)
		}
	})
}

func TestLogin_DisabledAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		f.add(alice, a)
		f.active = false
		_, _, err := f.login(a)
		f.refused(t, err, KeyFailed, "disabled")
	})
}

func TestSecond_OnlyTheSameUser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		a, other := passkeytest.New(issuer), passkeytest.New(issuer)
		c := f.add(alice, a)
		f.add(bob, other)
		o, err := f.SecondOptions(ctx, journey, alice, false)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(o), c.Key) || strings.Contains(string(o), encode(other.Keys[0].ID)) {
			t.Errorf("options %s", o)
		}
		_, _, err = f.Second(ctx, journey, alice, other.Get(t, o))
		f.refused(t, err, KeyFailed, "other_user")
		_, _, err = f.Second(ctx, journey, bob, other.Get(t, o)) // bob answers what was asked of alice
		f.refused(t, err, KeyStale, "challenge")
		_, _, err = f.Second(ctx, journey, "", a.Get(t, o))
		if errs.As(err).Key != KeyFailed {
			t.Errorf("nobody's second factor: %v", err)
		}
		// Presence is enough here, and told apart from verification.
		_, e, err := f.Second(ctx, journey, alice, a.Get(t, o, func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UV; an.UserHandle = nil }))
		if err != nil || e.Verified {
			t.Errorf("presence alone: %+v %v", e, err)
		}
		o, err = f.SecondOptions(ctx, journey, alice, false)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.Second(ctx, journey, alice, a.Get(t, o, func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UP }))
		f.refused(t, err, KeyFailed, "mismatch")
		if _, e, err := f.Second(ctx, journey, alice, a.Get(t, o)); err != nil || !e.Verified {
			t.Errorf("verified: %+v %v", e, err)
		}
	})
}

func TestSecondOptions_NobodyWithoutOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		if _, err := f.SecondOptions(t.Context(), journey, alice, true); !errs.Is(err, errs.NotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// WebAuthn Level 3 §14.6.2: what a stranger gets says nothing about any account.
func TestLoginOptions_NameNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		before := f.options()
		f.add(alice, passkeytest.New(issuer))
		after := f.options()
		if len(before) != len(after) || strings.Contains(string(after), "allowCredentials") {
			t.Errorf("before %s\nafter %s", before, after)
		}
	})
}

func TestLogin_RelatedOrigin(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		f := newFixture(t, db, func(d *Deps) { d.Related = []string{"https://id.example.net"} })
		here, there := passkeytest.New(issuer), passkeytest.New("https://id.example.net")
		f.add(alice, here)
		f.add(bob, there)
		for _, a := range []*passkeytest.Authenticator{here, there} {
			if _, _, err := f.login(a); err != nil {
				t.Errorf("on %s: %v", a.Origin, err)
			}
		}
		elsewhere := passkeytest.New("https://www.example.net")
		elsewhere.Keys = here.Keys
		_, _, err := f.login(elsewhere)
		f.refused(t, err, KeyFailed, "mismatch")
	})
}

// After a move the passkeys of the old domain go on, on the new one and on no other.
func TestLogin_MovedDomain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		before := newFixture(t, db, func(d *Deps) { d.RPID = "example.com" })
		a := passkeytest.New(issuer)
		before.add(alice, a)
		moved := newFixture(t, db, func(d *Deps) {
			d.Issuer, d.RPID, d.Related = "https://id.example.net", "example.com", []string{"https://id.example.net"}
		})
		if !moved.Related() || before.Related() {
			t.Errorf("related %v, before %v", moved.Related(), before.Related())
		}
		_, _, err := moved.login(a)
		moved.refused(t, err, KeyFailed, "mismatch")
		a.Origin = "https://id.example.net"
		if _, _, err := moved.login(a); err != nil {
			t.Errorf("on the new domain: %v", err)
		}
	})
}

func TestLogin_WhatFollowsFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		a.Counts = true
		c := f.add(alice, a)
		answer := a.Get(t, f.options())
		moved := errs.New(errs.Conflict, "", errors.New("the journey moved on"))
		_, _, err := f.Login(t.Context(), journey, answer, func(context.Context, id.User, session.Event) error { return moved })
		if !errs.Is(err, errs.Conflict) {
			t.Fatalf("got %v", err)
		}
		kept, err := f.ByID(t.Context(), alice, c.ID)
		if err != nil || kept.signCount != 0 || !kept.LastUsedAt.IsZero() {
			t.Errorf("half of it is kept: %+v (%v)", kept, err)
		}
		if _, _, err := f.Login(t.Context(), journey, answer); err != nil {
			t.Errorf("the challenge was used up by nothing: %v", err)
		}
	})
}

func TestLogin_FaultAtEachStatement(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		f := newFixture(t, db)
		a := passkeytest.New(issuer)
		a.Counts = true
		f.add(alice, a)
		for n := int64(1); ; n++ {
			broken, count := storetest.FailAt(db, n, storetest.Before)
			bf := newFixture(t, broken)
			answer := a.Get(t, f.options())
			_, _, err := bf.Login(t.Context(), journey, answer)
			if err == nil {
				if count.Load() < 4 {
					t.Errorf("only %d statements were broken", count.Load())
				}
				if n > count.Load() {
					return
				}
				continue // giving the attempt back is no reason to turn anybody away
			}
			if !errs.Is(err, errs.Unavailable) {
				t.Fatalf("statement %d: %v", n, err)
			}
			if _, _, err := f.Login(t.Context(), journey, answer); err != nil {
				t.Fatalf("after a fault at statement %d: %v", n, err)
			}
		}
	})
}

// Failures of one network are bounded; successes are not.
func TestLogin_Limited(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		f := newFixture(t, db, func(d *Deps) { d.Source = ratelimit.Budget{Name: "passkey-source", Limit: 3, Per: time.Minute} })
		a := passkeytest.New(issuer)
		f.add(alice, a)
		for range 5 {
			if _, _, err := f.login(a); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			_, _, err := f.login(a, func(an *passkeytest.Answer) { an.Signature = []byte{1} })
			f.refused(t, err, KeyFailed, "mismatch")
		}
		_, _, err := f.login(a)
		if e := errs.As(err); e.Kind != errs.Limited || e.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzLogin(f *testing.F) {
	a := passkeytest.New(issuer)
	a.Keys = []*passkeytest.Key{passkeytest.NewKey(f, passkeytest.ES256)}
	a.Keys[0].Handle = []byte(alice)
	f.Add(a.Get(f, []byte(`{"challenge":"AAAA","rpId":"id.example.com"}`)))
	f.Add(a.Get(f, []byte(`{"challenge":"AAAA","rpId":"id.example.com"}`), func(an *passkeytest.Answer) { an.Flags |= passkeytest.ED; an.Extra = nested(4) }))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(_ *testing.T, answer []byte) {
		_, _ = parseAssertion(answer)
		_ = KeyOf(answer)
	})
}
