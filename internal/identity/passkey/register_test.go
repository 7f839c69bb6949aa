package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const binding = "session-1"

func (f *fixture) creation() []byte {
	f.t.Helper()
	o, err := f.RegisterOptions(f.t.Context(), Owner{User: alice, Name: "alice@example.com", DisplayName: "Alice"}, binding)
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

func TestRegister_KeepsWhatItIs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		a.AAGUID = [16]byte{0xfb, 0xfc, 0x30, 0x07, 0x15, 0x4e, 0x4e, 0xcc, 0x8c, 0x0b, 0x6e, 0x02, 0x05, 0x57, 0xd7, 0xbd}
		var noticed Credential
		answer := a.Create(t, f.creation(), func(an *passkeytest.Answer) {
			an.Flags |= passkeytest.BE | passkeytest.BS
			an.Transports = []string{"internal", "hybrid", "carrier-pigeon"}
		})
		c, err := f.Register(t.Context(), alice, binding, answer, "Firefox, Linux", func(ctx context.Context, c Credential) error {
			store.MustTx(ctx)
			noticed = c
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "Apple Passwords" || !c.Synced || !c.BackedUp || fmt.Sprint(c.Transports) != "[internal hybrid]" || c.Key != encode(a.Keys[0].ID) {
			t.Errorf("kept %+v", c)
		}
		if noticed.ID != c.ID {
			t.Errorf("noticed %+v", noticed)
		}
		kept, err := f.ByID(t.Context(), alice, c.ID)
		if err != nil || !bytes.Equal(kept.publicKey, a.Keys[0].COSE()) || kept.alg != passkeytest.ES256 || !kept.CreatedAt.Equal(start) || !kept.LastUsedAt.IsZero() {
			t.Errorf("kept %+v (%v)", kept, err)
		}
		if list := f.records("passkey.add"); len(list) != 1 || list[0].Result != audit.OK || list[0].Actor != string(alice) {
			t.Errorf("records %+v", list)
		}
		if n, err := f.Count(t.Context(), alice); err != nil || n != 1 {
			t.Errorf("count %d (%v)", n, err)
		}
	})
}

func TestRegisterOptions_AskForAPasskey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		c := f.add(alice, passkeytest.New(issuer))
		var o creationOptions
		if err := json.Unmarshal(f.creation(), &o); err != nil {
			t.Fatal(err)
		}
		if o.RP.ID != "id.example.com" || o.User.ID != encode([]byte(alice)) || o.User.Name != "alice@example.com" || o.User.DisplayName != "Alice" {
			t.Errorf("entities %+v %+v", o.RP, o.User)
		}
		if o.Selection != (selection{required, true, required}) || o.Attestation != "none" || o.Timeout != 300_000 {
			t.Errorf("options %+v", o)
		}
		if len(o.Exclude) != 1 || o.Exclude[0].ID != c.Key {
			t.Errorf("exclude %+v", o.Exclude)
		}
	})
}

// WebAuthn Level 3 §7.1: every comparison, each broken alone; and what came back counts, not what
// the options asked for.
func TestRegister_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		for name, c := range map[string]struct {
			bend   passkeytest.Bend
			reason string
		}{
			"another relying party": {func(an *passkeytest.Answer) { an.RPID = "example.com" }, "mismatch"},
			"an assertion's type":   {func(an *passkeytest.Answer) { an.Type = "webauthn.get" }, "mismatch"},
			"another origin":        {func(an *passkeytest.Answer) { an.Origin = "https://evil.test" }, "mismatch"},
			"a frame":               {func(an *passkeytest.Answer) { an.CrossOrigin = true }, "mismatch"},
			"nobody present":        {func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UP }, "mismatch"},
			"nobody verified":       {func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UV }, "mismatch"},
			"backed up, not able":   {func(an *passkeytest.Answer) { an.Flags |= passkeytest.BS }, "mismatch"},
			"another id than made":  {func(an *passkeytest.Answer) { an.ID, an.RawID = []byte("other"), []byte("other") }, "mismatch"},
			"id and rawId differ":   {func(an *passkeytest.Answer) { an.RawID = []byte("other") }, "malformed"},
			"an algorithm not asked": {func(an *passkeytest.Answer) {
				k := passkeytest.NewKey(t, passkeytest.ES384)
				an.Key, an.ID, an.RawID, an.Public = k, k.ID, k.ID, k.COSE()
			}, "mismatch"},
			"an algorithm that lies": {func(an *passkeytest.Answer) {
				an.Key.Alg = passkeytest.RS256
				an.Public = an.Key.COSE()
			}, "public_key"},
			"a weak RSA key":         {func(an *passkeytest.Answer) { an.Public = rsaOf(1024, passkeytest.RS256) }, "public_key"},
			"a huge RSA key":         {func(an *passkeytest.Answer) { an.Public = rsaOf(16384, passkeytest.RS256) }, "public_key"},
			"an RSA key for curves":  {func(an *passkeytest.Answer) { an.Public = rsaOf(2048, passkeytest.ES256) }, "public_key"},
			"a key cut off":          {func(an *passkeytest.Answer) { an.Public = an.Public[:20] }, "malformed"},
			"no key":                 {func(an *passkeytest.Answer) { an.Public = nil }, "malformed"},
			"a nested key":           {func(an *passkeytest.Answer) { an.Public = nested(200) }, "malformed"},
			"a point off the curve":  {func(an *passkeytest.Answer) { an.Public[len(an.Public)-1] ^= 1 }, "public_key"},
			"bytes after the object": {func(an *passkeytest.Answer) { an.AttestationExtra = []byte{0} }, "malformed"},
			"bytes after the data":   {func(an *passkeytest.Answer) { an.Extra = []byte{0} }, "malformed"},
			"no credential flag":     {func(an *passkeytest.Answer) { an.Flags &^= passkeytest.AT }, "malformed"},
			"a statement with none": {func(an *passkeytest.Answer) {
				an.Statement = passkeytest.Map(passkeytest.Text("a"), passkeytest.Int(1))
			}, "mismatch"},
			"a nested statement":      {func(an *passkeytest.Answer) { an.Statement = nested(200) }, "malformed"},
			"a format not asked":      {func(an *passkeytest.Answer) { an.Format = "android-safetynet" }, "attestation_format"},
			"a format of nobody":      {func(an *passkeytest.Answer) { an.Format = "" }, "attestation_format"},
			"an empty self signature": {func(an *passkeytest.Answer) { an.Format, an.Statement = "packed", selfSigned(nil) }, "mismatch"},
			"another's signature": {func(an *passkeytest.Answer) {
				an.Format, an.Statement = "packed", selfSigned([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
			}, "mismatch"},
			"a megabyte": {func(an *passkeytest.Answer) {
				an.Statement = passkeytest.Map(passkeytest.Text("x"), passkeytest.Bytes(make([]byte, 1<<20)))
			}, "malformed"},
		} {
			_, err := f.Register(t.Context(), alice, binding, a.Create(t, f.creation(), c.bend), "")
			if err == nil {
				t.Errorf("%s was accepted", name)
				continue
			}
			t.Run(name, func(t *testing.T) { f.refused(t, err, KeyFailed, c.reason) })
		}
		if n, err := f.Count(t.Context(), alice); err != nil || n != 0 {
			t.Errorf("%d were kept (%v)", n, err)
		}
		if _, err := f.Register(t.Context(), alice, binding, a.Create(t, f.creation(), func(an *passkeytest.Answer) { an.Format = "packed" }), ""); err != nil {
			t.Errorf("a statement signed by the key itself: %v", err)
		}
	})
}

func rsaOf(bits int, alg int64) []byte {
	return passkeytest.Map(passkeytest.Int(1), passkeytest.Int(3), passkeytest.Int(3), passkeytest.Int(alg),
		passkeytest.Int(-1), passkeytest.Bytes(bytes.Repeat([]byte{0xff}, bits/8)), passkeytest.Int(-2), passkeytest.Bytes([]byte{1, 0, 1}))
}

func selfSigned(sig []byte) []byte {
	return passkeytest.Map(passkeytest.Text("alg"), passkeytest.Int(passkeytest.ES256), passkeytest.Text("sig"), passkeytest.Bytes(sig))
}

func TestRegister_ChallengeOfSomethingElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		a := passkeytest.New(issuer)
		o := f.creation()
		_, err := f.Register(ctx, bob, binding, a.Create(t, o), "") // asked of alice
		f.refused(t, err, KeyStale, "challenge")
		_, err = f.Register(ctx, alice, "session-2", a.Create(t, o), "")
		f.refused(t, err, KeyStale, "challenge")
		login, err := f.LoginOptions(binding)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Register(ctx, alice, binding, a.Create(t, login, func(an *passkeytest.Answer) { an.RPID = f.RPID() }), "")
		f.refused(t, err, KeyStale, "challenge")
		f.clock.Advance(Life)
		_, err = f.Register(ctx, alice, binding, a.Create(t, o), "")
		f.refused(t, err, KeyStale, "stale")
	})
}

// A conditional create tests nobody's presence (WebAuthn Level 3 §5.1.3 step 22), but only for a
// challenge that was made for it.
func TestRegister_Upgrade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		o, err := f.UpgradeOptions(t.Context(), Owner{User: alice, Name: "alice"}, journey)
		if err != nil {
			t.Fatal(err)
		}
		a := passkeytest.New(issuer)
		a.Flags = 0
		answer := a.Create(t, o, func(an *passkeytest.Answer) { an.Flags |= passkeytest.BE | passkeytest.BS })
		_, err = f.Register(t.Context(), alice, "journey-2", answer, "")
		f.refused(t, err, KeyStale, "challenge")
		if _, err := f.Register(t.Context(), alice, journey, answer, ""); err != nil {
			t.Fatal(err)
		}
		// It signs in like any other, and then the person is verified.
		a.Flags = passkeytest.UP | passkeytest.UV | passkeytest.BE | passkeytest.BS
		if _, verified, err := f.login(a); err != nil || !verified {
			t.Errorf("signing in with it: %v %v", verified, err)
		}
	})
}

func TestRegister_OneChallengeTwentyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		o := f.creation()
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			answer := a.Create(t, o) // each a new credential: only the challenge is the same
			wg.Go(func() {
				_, err := f.Register(t.Context(), alice, binding, answer, "")
				switch {
				case err == nil:
					won.Add(1)
				case errs.As(err).Key != KeyStale:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n, err := f.Count(t.Context(), alice); err != nil || n != 1 || won.Load() != 1 {
			t.Errorf("%d won, %d kept (%v)", won.Load(), n, err)
		}
	})
}

// WebAuthn Level 3 §7.1 step 26: a credential belongs to one account.
func TestRegister_CredentialOfAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		c := f.add(bob, a)
		stolen := a.Keys[0]
		_, err := f.Register(t.Context(), alice, binding, a.Create(t, f.creation(), func(an *passkeytest.Answer) {
			an.Key, an.ID, an.RawID, an.Public = stolen, stolen.ID, stolen.ID, stolen.COSE()
		}), "")
		if e := errs.As(err); e.Kind != errs.Conflict || e.Key != KeyExists {
			t.Errorf("got %v", err)
		}
		if kept, err := f.ByID(t.Context(), bob, c.ID); err != nil || kept.User != bob {
			t.Errorf("bob's is %+v (%v)", kept, err)
		}
	})
}

func TestRegister_TooMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		last := f.creation()
		for range MaxPerAccount {
			f.add(alice, a)
		}
		_, err := f.Register(t.Context(), alice, binding, a.Create(t, last), "")
		if e := errs.As(err); e.Kind != errs.Conflict || e.Key != KeyTooMany {
			t.Errorf("got %v", err)
		}
		_, err = f.RegisterOptions(t.Context(), Owner{User: alice, Name: "a"}, binding)
		if e := errs.As(err); e.Kind != errs.Conflict || e.Key != KeyTooMany {
			t.Errorf("got %v", err)
		}
	})
}

func TestRegister_DisabledAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a := passkeytest.New(issuer)
		o := f.creation()
		f.active = false
		_, err := f.Register(t.Context(), alice, binding, a.Create(t, o), "")
		f.refused(t, err, KeyFailed, "disabled")
	})
}

func TestRegister_FaultAtEachStatement(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		f := newFixture(t, db)
		a := passkeytest.New(issuer)
		for n := int64(1); ; n++ {
			broken, count := storetest.FailAt(db, n, storetest.Before)
			answer := a.Create(t, f.creation())
			_, err := newFixture(t, broken).Register(t.Context(), alice, binding, answer, "Here")
			if err == nil {
				if n > count.Load() {
					return
				}
				continue
			}
			if !errs.Is(err, errs.Unavailable) {
				t.Fatalf("statement %d: %v", n, err)
			}
			c, err := f.Register(t.Context(), alice, binding, answer, "Here")
			if err != nil {
				t.Fatalf("after a fault at statement %d: %v", n, err)
			}
			if err := f.Remove(t.Context(), alice, c.ID); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzRegister(f *testing.F) {
	a := passkeytest.New(issuer)
	o := []byte(`{"challenge":"AAAA","rp":{"id":"id.example.com"},"user":{"id":"AAAA"}}`)
	f.Add(a.Create(f, o))
	f.Add(a.Create(f, o, func(an *passkeytest.Answer) { an.Format = "packed" }))
	f.Add(a.Create(f, o, func(an *passkeytest.Answer) { an.Statement = nested(3) }))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(_ *testing.T, answer []byte) { _, _ = parseAttestation(answer) })
}
