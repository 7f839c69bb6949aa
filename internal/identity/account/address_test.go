package account

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// changeAddress goes through a change of address by its code.
func (f *correspondent) changeAddress(user id.User, to string) {
	f.t.Helper()
	f.clock.Advance(time.Hour) // room in the budgets
	thing, err := f.AskAddress(f.ctx(), user, to, "s1", "en")
	if err != nil {
		f.t.Fatal(err)
	}
	_, code, _ := f.newest(to, "Link")
	if _, err := f.ProveAddress(f.ctx(), user, thing, "s1", code); err != nil {
		f.t.Fatal(err)
	}
	f.clock.Advance(time.Second)
}

// works says whether a name signs in with the first password.
func (f *correspondent) works(name string) bool {
	f.t.Helper()
	_, err := f.Authenticate(f.ctx(), name, herons)
	if err != nil && !errs.Is(err, errs.Unauthenticated) {
		f.t.Fatal(err)
	}
	return err == nil
}

// Security case SU-08: the old address stays until the new one is proven, and can come back.
func TestAddress_ChangeAndUndo(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("old@example.com")
		thing, err := f.AskAddress(f.ctx(), a.ID, "New@Example.com", "s1", "en")
		if err != nil {
			f.t.Fatal(err)
		}
		if shown, err := f.PendingAddress(f.ctx(), a.ID, thing, "s1"); shown != "New@example.com" || err != nil {
			f.t.Errorf("pending %q, %v", shown, err)
		}
		if _, err := f.PendingAddress(f.ctx(), a.ID, thing, "s2"); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("in another session: %v", err)
		}
		if !f.works("old@example.com") || f.works("new@example.com") {
			f.t.Error("asking changed something")
		}
		_, code, _ := f.newest("New@example.com", "Link")
		if _, err := f.ProveAddress(f.ctx(), a.ID, thing, "s2", code); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("the code in another session: %v", err)
		}
		var told Changed
		_, err = f.ProveAddress(f.ctx(), a.ID, thing, "s1", code, func(_ context.Context, c Changed) error { told = c; return nil })
		if err != nil || told != (Changed{Old: "old@example.com", New: "New@example.com"}) {
			f.t.Fatalf("%+v, %v", told, err)
		}
		got, err := f.ByID(f.ctx(), a.ID)
		if err != nil || got.Email != "New@example.com" || !got.EmailVerified {
			f.t.Errorf("%+v, %v", got, err)
		}
		if f.works("old@example.com") || !f.works("new@example.com") {
			f.t.Error("the new address should sign in, the old one not")
		}
		if to, err := f.Contact(f.ctx(), a.ID); err != nil || !cmp.Equal(to.Verified, []string{"New@example.com"}) {
			f.t.Errorf("%+v, %v", to, err)
		}
		// Nobody else gets the old one while it can come back.
		if _, err := f.Create(f.ctx(), NewAccount{Email: "OLD@example.com", Source: "cli"}); keyOf(err) != KeyEmailTaken {
			f.t.Errorf("the old address for somebody else: %v", err)
		}
		f.clock.Advance(6 * 24 * time.Hour)
		m, _, undo := f.newest("old@example.com", "Undo")
		if m.Kind != "address_changed" || m.Data["New"] != "New@example.com" {
			f.t.Errorf("mail %+v", m)
		}
		for range 3 { // looking changes nothing
			if c, err := f.PeekUndo(f.ctx(), undo); err != nil || c.Old != "old@example.com" {
				f.t.Fatalf("%+v, %v", c, err)
			}
		}
		var whose id.User
		if _, err := f.UndoAddress(f.ctx(), undo, func(_ context.Context, u id.User) error { whose = u; return nil }); err != nil || whose != a.ID {
			f.t.Fatalf("%q, %v", whose, err)
		}
		if !f.works("old@example.com") || f.works("new@example.com") {
			f.t.Error("the old address should sign in again, the new one not")
		}
		if _, err := f.UndoAddress(f.ctx(), undo, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		if _, err := f.Create(f.ctx(), NewAccount{Email: "new@example.com", Source: "cli"}); err != nil {
			f.t.Errorf("the new address is not free: %v", err)
		}
	})
}

// Whoever takes an account over may change the address more than once: the first owner's link takes
// all of it back, and the links of the addresses in between do nothing afterwards.
func TestUndo_OfAChain(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("owner@example.com")
		f.changeAddress(a.ID, "thief1@example.com")
		f.changeAddress(a.ID, "thief2@example.com")
		_, _, own := f.newest("owner@example.com", "Undo")
		_, _, thief := f.newest("thief1@example.com", "Undo")
		if _, err := f.UndoAddress(f.ctx(), own, noMore); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.UndoAddress(f.ctx(), thief, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("the address in between: %v", err)
		}
		list, err := f.Addresses(f.ctx(), a.ID)
		if err != nil || len(list) != 1 || list[0].Address != "owner@example.com" || !list[0].Primary {
			f.t.Errorf("%+v, %v", list, err)
		}
		// An honest second change can be taken back alone, and the first one after it.
		f.changeAddress(a.ID, "second@example.com")
		f.changeAddress(a.ID, "third@example.com")
		_, _, second := f.newest("second@example.com", "Undo")
		_, _, first := f.newest("owner@example.com", "Undo")
		for _, step := range []struct{ token, want string }{{second, "second@example.com"}, {first, "owner@example.com"}} {
			if _, err := f.UndoAddress(f.ctx(), step.token, noMore); err != nil {
				f.t.Fatal(err)
			}
			if got, err := f.ByID(f.ctx(), a.ID); err != nil || got.Email != step.want {
				f.t.Errorf("%q, %v, want %q", got.Email, err, step.want)
			}
			f.clock.Advance(time.Second)
		}
	})
}

// An owner who changes back by hand has taken the change back: the address in between, which may be a
// thief's, gets no link to undo that.
func TestAddress_ChangedBackByHand(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("owner@example.com")
		f.changeAddress(a.ID, "thief@example.com")
		f.changeAddress(a.ID, "thief2@example.com")
		_, _, between := f.newest("thief@example.com", "Undo")
		f.changeAddress(a.ID, "owner@example.com")
		if m, _, _ := f.newest("thief2@example.com", ""); m.Kind == "address_changed" {
			f.t.Error("the thief can take the owner's change back")
		}
		if _, err := f.UndoAddress(f.ctx(), between, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("the address in between: %v", err)
		}
		list, err := f.Addresses(f.ctx(), a.ID)
		if err != nil || len(list) != 1 || list[0].Address != "owner@example.com" || !list[0].Primary || list[0].VerifiedAt.IsZero() {
			f.t.Errorf("%+v, %v", list, err)
		}
		if n := f.audited("address.change", audit.OK); n != 3 {
			f.t.Errorf("%d changes on record", n)
		}
	})
}

func TestUndo_Ends(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("old@example.com")
		f.changeAddress(a.ID, "new@example.com")
		_, _, undo := f.newest("old@example.com", "Undo")
		f.changeAddress(a.ID, "old@example.com") // its owner thought better of it
		if _, err := f.UndoAddress(f.ctx(), undo, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("of what is not there any more: %v", err)
		}
		f.changeAddress(a.ID, "newer@example.com")
		_, _, undo = f.newest("old@example.com", "Undo")
		f.clock.Advance(UndoFor)
		if _, err := f.UndoAddress(f.ctx(), undo, noMore); keyOf(err) != onetime.KeyExpired {
			f.t.Errorf("after its time: %v", err)
		}
		if n, err := f.DeleteReplaced(f.ctx(), 10); n != 1 || err != nil {
			f.t.Errorf("deleted %d, %v", n, err)
		}
		if _, err := f.Create(f.ctx(), NewAccount{Email: "old@example.com", Source: "cli"}); err != nil {
			f.t.Errorf("the old address is not free: %v", err)
		}
	})
}

// An address that somebody has already looks the same to who asks; its owner is told.
func TestAskAddress_Taken(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.person("Lee@example.com")
		free, err := f.AskAddress(f.ctx(), a.ID, "free@example.com", "s1", "en")
		if err != nil {
			f.t.Fatal(err)
		}
		taken, err := f.AskAddress(f.ctx(), a.ID, "LEE@example.com", "s1", "en")
		if err != nil || taken == free {
			f.t.Fatalf("%q, %v", taken, err)
		}
		if shown, err := f.PendingAddress(f.ctx(), a.ID, taken, "s1"); err != nil || shown != "LEE@example.com" {
			f.t.Errorf("pending %q, %v", shown, err)
		}
		m, _, _ := f.newest("Lee@example.com", "")
		if m.Kind != "already_registered" || m.Data["Code"] != nil {
			f.t.Errorf("mail %+v", m)
		}
		if _, err := f.ProveAddress(f.ctx(), a.ID, taken, "s1", "1"); keyOf(err) != onetime.KeyWrong {
			f.t.Errorf("a guess: %v", err)
		}
		// Taken while the proof was on its way.
		late, err := f.AskAddress(f.ctx(), a.ID, "late@example.com", "s1", "en")
		if err != nil {
			f.t.Fatal(err)
		}
		_, code, _ := f.newest("late@example.com", "Link")
		f.person("late@example.com")
		if _, err := f.ProveAddress(f.ctx(), a.ID, late, "s1", code); keyOf(err) != KeyEmailTaken {
			f.t.Errorf("taken meanwhile: %v", err)
		}
		if got, err := f.ByID(f.ctx(), a.ID); err != nil || got.Email != "kim@example.com" || !got.EmailVerified {
			f.t.Errorf("%+v, %v", got, err)
		}
		for typed, want := range map[string]string{"": KeyEmailInvalid, "x": KeyEmailInvalid, "KIM@example.com": KeyAddressSame} {
			if _, err := f.AskAddress(f.ctx(), a.ID, typed, "s1", "en"); keyOf(err) != want {
				f.t.Errorf("%q: %v, want %s", typed, err, want)
			}
		}
	})
}

// A link lends an address only to the account whose owner opens it.
func TestProveAddressLink_OnlyForWhoAsked(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		thief, victim := f.person("thief@example.com"), f.person("victim@example.com")
		if _, err := f.AskAddress(f.ctx(), thief.ID, "victims.other@example.com", "s1", "en"); err != nil {
			f.t.Fatal(err)
		}
		_, _, token := f.newest("victims.other@example.com", "Link")
		if user, address, err := f.PeekAddress(f.ctx(), token); err != nil || user != thief.ID || address != "victims.other@example.com" {
			f.t.Errorf("%q %q %v", user, address, err)
		}
		if _, err := f.ProveAddressLink(f.ctx(), victim.ID, token); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("by somebody else: %v", err)
		}
		if _, err := f.ProveAddressLink(f.ctx(), thief.ID, token); err != nil {
			f.t.Errorf("by who asked, who reads that mail after all: %v", err)
		}
	})
}

// An address that was never proven: the same way proves it, and a replacement needs no way back.
func TestAddress_NeverProven(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.signUp("Kim@Example.com", "")
		thing, err := f.AskAddress(f.ctx(), a.ID, "kim@example.com", "s1", "en")
		if err != nil {
			f.t.Fatal(err)
		}
		_, code, _ := f.newest("Kim@example.com", "Link")
		c, err := f.ProveAddress(f.ctx(), a.ID, thing, "s1", code)
		if err != nil || !c.Verified {
			f.t.Fatalf("%+v, %v", c, err)
		}
		if got, err := f.ByID(f.ctx(), a.ID); err != nil || got.Email != "Kim@example.com" || !got.EmailVerified {
			f.t.Errorf("%+v, %v", got, err)
		}
		b := f.signUp("typo@example.com", "")
		sent := len(f.mail.sent)
		f.changeAddress(b.ID, "right@example.com")
		if len(f.mail.sent) != sent+1 {
			f.t.Error("an address that may be a stranger's was written to")
		}
		list, err := f.Addresses(f.ctx(), b.ID)
		if err != nil || len(list) != 1 || list[0].Address != "right@example.com" {
			f.t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestAddress_TwentyAtOnce(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("old@example.com")
		if _, err := f.AskAddress(f.ctx(), a.ID, "new@example.com", "s1", "en"); err != nil {
			f.t.Fatal(err)
		}
		_, _, token := f.newest("new@example.com", "Link")
		race := func(fn func() error) int32 {
			var won atomic.Int32
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if fn() == nil {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			return won.Load()
		}
		if n := race(func() error { _, err := f.ProveAddressLink(f.ctx(), a.ID, token); return err }); n != 1 {
			f.t.Errorf("%d changes", n)
		}
		f.clock.Advance(time.Second)
		_, _, undo := f.newest("old@example.com", "Undo")
		if n := race(func() error { _, err := f.UndoAddress(f.ctx(), undo, noMore); return err }); n != 1 {
			f.t.Errorf("%d times taken back", n)
		}
		if n := f.count(`SELECT count(*) FROM email_address WHERE is_primary = TRUE`); n != 1 {
			f.t.Errorf("%d primary addresses", n)
		}
	})
}

// Whatever statement fails, the account has exactly one address in use, old or new, and the proof is
// used up only with the change.
func TestAddress_AllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newCorrespondent(t, db, clock.NewFake(start))
		a := f.person("old@example.com")
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); n <= 14; n++ {
				f.clock.Advance(8 * 24 * time.Hour)
				if _, err := f.DeleteReplaced(f.ctx(), 100); err != nil {
					t.Fatal(err)
				}
				was, err := f.ByID(f.ctx(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				to := "a" + string(rune('a'+n)) + string(rune('0'+int(mode))) + "@example.com"
				if _, err := f.AskAddress(f.ctx(), a.ID, to, "s1", "en"); err != nil {
					t.Fatal(err)
				}
				_, _, token := f.newest(to, "Link")
				faulty, _ := storetest.FailAt(db, n, mode)
				_, err = newCorrespondent(t, faulty, f.clock).ProveAddressLink(f.ctx(), a.ID, token)
				_, peek := f.oneTime.Peek(f.ctx(), PurposeAddress, token)
				is, lerr := f.ByID(f.ctx(), a.ID)
				changed := is.Email != was.Email
				if lerr != nil || changed != (err == nil) || changed != (peek != nil) || !is.EmailVerified {
					t.Errorf("mode %v, statement %d: %v; %q to %q, pending: %v", mode, n, err, was.Email, is.Email, peek)
				}
			}
		}
	})
}

func TestContact(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a, err := f.Create(f.ctx(), NewAccount{Email: "kim@example.com", EmailVerified: true, Profile: Profile{Locale: "ko", Zoneinfo: "Asia/Seoul"}, Source: "cli"})
		if err != nil {
			f.t.Fatal(err)
		}
		b := f.signUp("unproven@example.com", "")
		for user, want := range map[id.User]notice.Contact{
			a.ID: {Verified: []string{"kim@example.com"}, Locale: "ko", Zone: "Asia/Seoul"}, b.ID: {Locale: "en"},
		} {
			got, err := f.Contact(f.ctx(), user)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				f.t.Errorf("%v %s", err, diff)
			}
		}
		if _, err := f.Contact(f.ctx(), "nobody"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody: %v", err)
		}
	})
}
