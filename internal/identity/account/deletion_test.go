package account

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestGiveUp_KeepAndDelete(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a, b := f.person("kim@example.com"), f.person("lee@example.com")
		ended := 0
		end := func(context.Context) error { ended++; return nil }
		at, err := f.GiveUp(f.ctx(), a.ID, end)
		if err != nil || !at.Equal(f.clock.Now().Add(14*24*time.Hour)) || ended != 1 {
			f.t.Fatalf("%v, %v, ended %d times", at, err, ended)
		}
		if m, _, _ := f.newest("kim@example.com", ""); m.Kind != "notice_deletion" || m.Data["SignIn"] != "https://id.test/login" {
			f.t.Errorf("mail %+v", m)
		}
		if n := f.count(`SELECT count(*) FROM active_subject WHERE id = $1`, string(a.ID)); n != 0 {
			f.t.Error("still a subject")
		}
		f.clock.Advance(24 * time.Hour)
		if again, err := f.GiveUp(f.ctx(), a.ID, end); err != nil || !again.Equal(at) {
			f.t.Errorf("asked again: %v, %v, want %v", again, err, at)
		}
		if got, err := f.Authenticate(f.ctx(), "kim@example.com", herons); err != nil || !got.DeleteAt.Equal(at) {
			f.t.Errorf("the owner's way back: %+v, %v", got, err)
		}
		if err := f.Keep(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if got, err := f.ByID(f.ctx(), a.ID); err != nil || !got.DeleteAt.IsZero() {
			f.t.Errorf("kept: %+v, %v", got, err)
		}
		if _, err := f.GiveUp(f.ctx(), a.ID, end); err != nil {
			f.t.Fatal(err)
		}
		f.clock.Advance(14*24*time.Hour - time.Microsecond)
		if n, err := f.DeleteDue(f.ctx(), 10); n != 0 || err != nil {
			f.t.Errorf("before its time: %d, %v", n, err)
		}
		f.clock.Advance(time.Microsecond)
		if n, err := f.DeleteDue(f.ctx(), 10); n != 1 || err != nil {
			f.t.Errorf("in its time: %d, %v", n, err)
		}
		if _, err := f.ByID(f.ctx(), a.ID); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("afterwards: %v", err)
		}
		if _, err := f.ByID(f.ctx(), b.ID); err != nil {
			f.t.Errorf("somebody else: %v", err)
		}
		if f.audited("account.give_up", audit.OK) != 2 || f.audited("account.keep", audit.OK) != 1 || f.audited("account.delete", audit.OK) != 1 {
			f.t.Error("not on record")
		}
		// Security case SU-15: the address again is another person.
		if again := f.person("kim@example.com"); again.ID == a.ID {
			f.t.Error("the id was used again")
		}
		if err := f.Keep(f.ctx(), a.ID); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("keeping what is gone: %v", err)
		}
	})
}

func TestGiveUp_WithoutGrace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newCorrespondent(t, db, clock.NewFake(start), func(d *Deps) { d.Grace = 0 })
		a := f.person("kim@example.com")
		if at, err := f.GiveUp(f.ctx(), a.ID); err != nil || !at.Equal(f.clock.Now()) {
			t.Fatalf("%v, %v", at, err)
		}
		if _, err := f.ByID(f.ctx(), a.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// An account that cannot be deleted does not keep the others, however often it is tried.
func TestDeleteDue_OneFails(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		for _, name := range []string{"kim", "lee", "min"} {
			if _, err := f.GiveUp(f.ctx(), f.person(name+"@example.com").ID); err != nil {
				f.t.Fatal(err)
			}
			f.clock.Advance(time.Second) // kim's is due first
		}
		f.clock.Advance(15 * 24 * time.Hour)
		whole := f.Service.db
		f.Service.db, _ = storetest.FailAt(whole, 2, storetest.Before) // 1 finds what is due
		n, err := f.DeleteDue(f.ctx(), 10)
		f.Service.db = whole
		if n != 2 || err == nil {
			f.t.Errorf("deleted %d, %v; want the two others and the error", n, err)
		}
		if n, err := f.DeleteDue(f.ctx(), 10); n != 1 || err != nil {
			f.t.Errorf("the next time: %d, %v", n, err)
		}
	})
}

// In the last moment the account is either kept or gone.
func TestKeep_AgainstDeletion(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		for i := range 10 {
			a := f.person("kim" + string(rune('a'+i)) + "@example.com")
			if _, err := f.GiveUp(f.ctx(), a.ID); err != nil {
				f.t.Fatal(err)
			}
			f.clock.Advance(15 * 24 * time.Hour)
			var keep, del error
			var wg sync.WaitGroup
			wg.Go(func() { keep = f.Keep(f.ctx(), a.ID) })
			wg.Go(func() { _, del = f.DeleteDue(f.ctx(), 10) })
			wg.Wait()
			_, err := f.ByID(f.ctx(), a.ID)
			if del != nil || keep == nil != (err == nil) {
				f.t.Errorf("kept: %v, there: %v, deleted: %v", keep, err, del)
			}
		}
	})
}

func TestExport_HasEverythingButSecrets(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.changeAddress(a.ID, "new@example.com")
		out, err := f.Export(f.ctx(), a.ID)
		if err != nil {
			f.t.Fatal(err)
		}
		b, err := json.Marshal(out)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, want := range []string{`"id":"` + string(a.ID), `"address":"new@example.com","primary":true`, `"address":"kim@example.com","primary":false`, `"password_set_at":"2026`, `"source":"cli"`} {
			if !strings.Contains(string(b), want) {
				f.t.Errorf("no %s in %s", want, b)
			}
		}
		if strings.Contains(string(b), "argon2") {
			f.t.Error("the password's hash is in it")
		}
		if f.audited("data.export", audit.OK) != 1 {
			f.t.Error("not on record")
		}
		if _, err := f.Export(f.ctx(), "nobody"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("of nobody: %v", err)
		}
	})
}
