package account

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// letters is a mail sender that keeps what it is given. What a transaction rolls back stays here.
type letters struct {
	mu      sync.Mutex
	sent    []mail.Message
	nothing int
}

func (l *letters) Enabled() bool { return true }

func (l *letters) Send(ctx context.Context, m mail.Message) error {
	store.MustTx(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, m)
	return nil
}

func (l *letters) SendNothing(ctx context.Context, _ mail.Message) error {
	store.MustTx(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nothing++
	return nil
}

// correspondent is a fixture whose accounts write mail.
type correspondent struct {
	*fixture
	mail    *letters
	oneTime *onetime.Service
}

func newCorrespondent(t *testing.T, db *store.DB, c *clock.Fake, change ...func(*Deps)) *correspondent {
	t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.New(ratelimit.Deps{DB: db, Clock: c, Key: bytes.Repeat([]byte("k"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(bytes.Repeat([]byte("m"), 32))
	if err != nil {
		t.Fatal(err)
	}
	pw, err := password.New(password.Deps{Params: password.Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, Slots: 4, QueueTimeout: time.Minute, ServiceNames: []string{"signet"}})
	if err != nil {
		t.Fatal(err)
	}
	one, err := onetime.New(onetime.Deps{DB: db, Clock: c, Seal: sealer})
	if err != nil {
		t.Fatal(err)
	}
	box := &letters{}
	d := Deps{
		DB: db, Clock: c, Passwords: pw, Limits: limits, Audit: log, OneTime: one, Mail: box,
		Issuer: "https://id.test", Grace: 14 * 24 * time.Hour,
	}
	for _, fn := range change {
		fn(&d)
	}
	s, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return &correspondent{&fixture{s, t, db, c}, box, one}
}

func eachMailed(t *testing.T, fn func(f *correspondent)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(newCorrespondent(t, db, clock.NewFake(start))) })
}

// person makes an account with a proven address.
func (f *correspondent) person(email string) Account {
	f.t.Helper()
	a, err := f.Create(f.ctx(), NewAccount{Email: email, EmailVerified: true, Password: herons, Source: "cli"})
	if err != nil {
		f.t.Fatal(err)
	}
	f.clock.Advance(time.Second)
	return a
}

func (f *correspondent) ask(identifier string, j id.Journey) string {
	f.t.Helper()
	thing, err := f.AskReset(f.ctx(), Ask{Identifier: identifier, Journey: j, Locale: "en"})
	if err != nil || thing == "" {
		f.t.Fatalf("ask for a reset of %q: %q, %v", identifier, thing, err)
	}
	return thing
}

// newest is the last mail to an address, with its code and the token of the link that data has there.
func (f *correspondent) newest(to, link string) (m mail.Message, code, token string) {
	f.t.Helper()
	f.mail.mu.Lock()
	defer f.mail.mu.Unlock()
	for _, one := range f.mail.sent {
		if one.To == to {
			m = one
		}
	}
	if s, ok := m.Data["Code"].(seal.Secret); ok {
		code = s.Reveal()
	}
	address, _ := m.Data[link].(string)
	token, ok := strings.CutPrefix(address, "https://id.test/m/")
	if !ok && link != "" {
		f.t.Fatalf("mail to %s has no %s: %+v", to, link, m)
	}
	return m, code, token
}

func keyOf(err error) string {
	if err == nil {
		return ""
	}
	return errs.As(err).Key
}

func noMore(context.Context, id.User) error { return nil }

func TestReset_ByCodeInItsJourney(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("Kim@Example.com")
		// Mail goes to the address as it was registered, whatever spelling was typed.
		thing := f.ask("KIM@example.COM", "j1")
		m, code, _ := f.newest("Kim@example.com", "Link")
		if m.Kind != "reset" || len(code) != 8 || m.Data["IP"] != "192.0.2.1" || !m.Expires.Equal(f.clock.Now().Add(ResetFor)) {
			f.t.Fatalf("mail %+v, code of %d digits", m, len(code))
		}
		if _, err := f.Authenticate(f.ctx(), "kim@example.com", herons); err != nil {
			f.t.Errorf("asking changed something: %v", err)
		}
		if err := f.ProveReset(f.ctx(), thing, "j2", code, noMore); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("in another journey: %v", err)
		}
		wrong := "00000000"
		if code == wrong {
			wrong = "00000001"
		}
		if err := f.ProveReset(f.ctx(), thing, "j1", wrong, noMore); keyOf(err) != onetime.KeyWrong {
			f.t.Errorf("a wrong code: %v", err)
		}
		var proved id.User
		err := f.ProveReset(f.ctx(), thing, "j1", code[:4]+" "+code[4:], func(_ context.Context, u id.User) error { proved = u; return nil })
		if err != nil || proved != a.ID {
			f.t.Fatalf("proved %q, %v", proved, err)
		}
		if err := f.ProveReset(f.ctx(), thing, "j1", code, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		ended := false
		err = f.Reset(f.ctx(), a.ID, f.clock.Now(), otters, func(context.Context) error { ended = true; return nil })
		if err != nil || !ended {
			f.t.Fatalf("reset: %v, ended %v", err, ended)
		}
		if _, err := f.Authenticate(f.ctx(), "kim@example.com", herons); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("the old password: %v", err)
		}
		if _, err := f.Authenticate(f.ctx(), "kim@example.com", otters); err != nil {
			f.t.Errorf("the new password: %v", err)
		}
		for action, want := range map[string]int64{"reset.request": 1, "reset.prove": 1, "password.reset": 1} {
			if n := f.audited(action, audit.OK); n != want {
				f.t.Errorf("%s recorded %d times", action, n)
			}
		}
		if n := f.audited("reset.prove", audit.Refused); n != 1 {
			f.t.Errorf("wrong codes recorded %d times", n)
		}
	})
}

func TestReset_ByLinkInAnyBrowser(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.ask("kim@example.com", "j1")
		_, _, token := f.newest("kim@example.com", "Link")
		var proved id.User
		for _, bad := range []string{"", token + "x", "x" + token[1:], strings.ToUpper(token)} {
			if err := f.ProveResetLink(f.ctx(), bad, noMore); keyOf(err) != onetime.KeyUnknown {
				f.t.Errorf("%q: %v", bad, err)
			}
		}
		if err := f.ProveResetLink(f.ctx(), token, func(_ context.Context, u id.User) error { proved = u; return nil }); err != nil || proved != a.ID {
			f.t.Fatalf("%q %v", proved, err)
		}
		if err := f.ProveResetLink(f.ctx(), token, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		f.ask("kim@example.com", "j1")
		_, _, late := f.newest("kim@example.com", "Link")
		f.clock.Advance(ResetFor)
		if err := f.ProveResetLink(f.ctx(), late, noMore); keyOf(err) != onetime.KeyExpired {
			f.t.Errorf("after its time: %v", err)
		}
	})
}

// Only the newest mail counts.
func TestReset_NewestOnly(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.person("kim@example.com")
		first := f.ask("kim@example.com", "j1")
		_, code, token := f.newest("kim@example.com", "Link")
		f.ask("kim@example.com", "j2")
		if err := f.ProveReset(f.ctx(), first, "j1", code, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("code of the mail before: %v", err)
		}
		if err := f.ProveResetLink(f.ctx(), token, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("link of the mail before: %v", err)
		}
	})
}

func TestReset_FiftyAtOnce(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.person("kim@example.com")
		thing := f.ask("kim@example.com", "j1")
		_, code, token := f.newest("kim@example.com", "Link")
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				var err error
				if i < onetime.MaxTries {
					err = f.ProveReset(f.ctx(), thing, "j1", code, noMore)
				} else {
					err = f.ProveResetLink(f.ctx(), token, noMore)
				}
				if err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			f.t.Errorf("%d proofs", won.Load())
		}
	})
}

// Security cases LG-03 and RS-08: whether there is somebody shows neither in the answer nor in the work.
func TestAskReset_NobodyIsTheSameWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counting, statements := storetest.FailAt(db, 0, storetest.Before)
		f := newCorrespondent(t, counting, clock.NewFake(start))
		f.person("kim@example.com")
		off := f.person("off@example.com")
		if err := f.Disable(f.ctx(), off.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Create(f.ctx(), NewAccount{Username: "nomail", Password: herons, Source: "cli"}); err != nil {
			t.Fatal(err)
		}
		f.signUp("unproven@example.com", "")
		var want int64
		for i, name := range []string{"kim@example.com", "KIM@example.com", "stranger@example.com", "off@example.com", "nomail", "unproven@example.com", "stranger"} {
			before, sent, nothing := statements.Load(), len(f.mail.sent), f.mail.nothing
			thing := f.ask(name, "j1")
			if _, err := f.oneTime.ByID(f.ctx(), PurposeReset, thing); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if err := f.ProveReset(f.ctx(), thing, "j1", "1", noMore); keyOf(err) != onetime.KeyWrong {
				t.Errorf("%q, a wrong code: %v", name, err)
			}
			n := statements.Load() - before
			if want == 0 {
				want = n
			}
			if n != want {
				t.Errorf("%q took %d statements, somebody %d", name, n, want)
			}
			if known := i < 2; len(f.mail.sent)-sent+f.mail.nothing-nothing != 1 || (len(f.mail.sent) > sent) != known {
				t.Errorf("%q: %d mails, %d for nothing", name, len(f.mail.sent)-sent, f.mail.nothing-nothing)
			}
		}
		if n := f.audited("reset.request", audit.Refused); n != 5 {
			t.Errorf("%d refusals recorded", n)
		}
	})
}

// Security case SU-13: three mails an hour, the answer unchanged, and what was sent stays good.
func TestAskReset_BoundedPerAddressAndNetwork(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.person("kim@example.com")
		f.signUp("another@example.com", "kimmy")
		var thing string
		for i := range 6 {
			before := thing
			thing = f.ask("kim@example.com", "j1")
			if i == 3 { // as the page does it: with what was asked for before
				var err error
				if thing, err = f.AskReset(f.ctx(), Ask{Identifier: "KIM@EXAMPLE.COM.", Journey: "j1", Before: before}); err != nil || thing != before {
					f.t.Errorf("beyond the budget: %q, %v, want %q", thing, err, before)
				}
				break
			}
		}
		if again, err := f.AskAgain(f.ctx(), PurposeReset, Ask{Journey: "j1", Before: thing}); err != nil || again != thing {
			f.t.Errorf("once more: %q, %v, want %q", again, err, thing)
		}
		if len(f.mail.sent) != 3 {
			f.t.Errorf("%d mails", len(f.mail.sent))
		}
		// The fourth was asked for and sent nothing, so the third is still good.
		_, _, token := f.newest("kim@example.com", "Link")
		if err := f.ProveResetLink(f.ctx(), token, noMore); err != nil {
			f.t.Errorf("the last mail: %v", err)
		}
		for i := range 40 {
			f.ask("stranger"+string(rune('a'+i%26))+string(rune('a'+i/26))+"@example.com", "j1")
		}
		person := f.person("late@example.com")
		f.ask(person.Email, "j1")
		if len(f.mail.sent) != 3 {
			f.t.Error("the network's budget does not hold")
		}
		other := audit.WithSource(f.t.Context(), audit.Source{IP: "198.51.100.7"})
		if _, err := f.AskReset(other, Ask{Identifier: person.Email, Journey: "j1"}); err != nil || len(f.mail.sent) != 4 {
			f.t.Errorf("from another network: %d mails, %v", len(f.mail.sent), err)
		}
	})
}

// Each request leaves rows, whether or not a mail goes out: beyond what any network needs it is refused,
// for known and unknown names alike, and leaves none.
func TestAskReset_RefusedToAFlood(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.budgets.Asks.Limit = 5
		var thing string
		for range 5 {
			thing = f.ask("kim@example.com", "j1")
		}
		rows := f.count(`SELECT count(*) FROM one_time`)
		for _, name := range []string{"kim@example.com", "stranger@example.com"} {
			if _, err := f.AskReset(f.ctx(), Ask{Identifier: name, Journey: "j1"}); !errs.Is(err, errs.Limited) {
				f.t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.AskAgain(f.ctx(), PurposeReset, Ask{Journey: "j1", Before: thing}); !errs.Is(err, errs.Limited) {
			f.t.Errorf("once more: %v", err)
		}
		if _, err := f.AskAddress(f.ctx(), a.ID, "new@example.com", "s1", "en"); !errs.Is(err, errs.Limited) {
			f.t.Errorf("another address: %v", err)
		}
		if n := f.count(`SELECT count(*) FROM one_time`); n != rows {
			f.t.Errorf("%d rows more", n-rows)
		}
		other := audit.WithSource(f.t.Context(), audit.Source{IP: "198.51.100.7"})
		if _, err := f.AskReset(other, Ask{Identifier: "kim@example.com", Journey: "j1"}); err != nil {
			f.t.Errorf("from another network: %v", err)
		}
	})
}

// Strangers who ask for mails to somebody use up what strangers have: in a browser in which the owner
// has signed in before there is still one to be had.
func TestAsk_StrangersDoNotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.lanes = &browsers{known: map[string]id.User{"home": a.ID, "others": "somebody"}}
		for _, ask := range []func(context.Context, Ask) (string, error){f.AskMailCode, f.AskReset} {
			sent := func(browser, ip string) bool {
				before := len(f.mail.sent)
				if _, err := ask(from(f.t, browser, ip), Ask{Identifier: "kim@example.com", Journey: "j1"}); err != nil {
					f.t.Fatal(err)
				}
				return len(f.mail.sent) > before
			}
			for sent("", "198.51.100.7") {
			}
			for i := range 200 { // nor does the network of the owner
				_, err := ask(from(f.t, "", "192.0.2.1"), Ask{Identifier: "stranger" + strconv.Itoa(i), Journey: "j1"})
				if errs.Is(err, errs.Limited) {
					break
				}
			}
			if sent("others", "198.51.100.7") {
				f.t.Error("a browser of somebody else is none of the owner's")
			}
			n := 0
			for sent("home", "192.0.2.1") {
				n++
			}
			if n == 0 || n > 6 {
				f.t.Errorf("%d mails at home", n)
			}
		}
	})
}

// Security case RS-03: what happened after the proof makes it worthless.
func TestReset_OvertakenByPasswordOrAddress(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		proved := f.clock.Now()
		f.clock.Advance(time.Second)
		if err := f.ChangePassword(f.ctx(), a.ID, herons, otters); err != nil {
			f.t.Fatal(err)
		}
		if err := f.Reset(f.ctx(), a.ID, proved, "another one altogether"); !errs.Is(err, errs.Conflict) {
			f.t.Errorf("after a change of password: %v", err)
		}
		proved = f.clock.Now()
		f.clock.Advance(time.Second)
		if err := f.EndProofs(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if err := f.Reset(f.ctx(), a.ID, proved, "another one altogether"); !errs.Is(err, errs.Conflict) {
			f.t.Errorf("after the end of all sign-ins: %v", err)
		}
		b := f.person("lee@example.com")
		proved = f.clock.Now()
		f.clock.Advance(time.Second)
		f.changeAddress(b.ID, "new.lee@example.com")
		if err := f.Reset(f.ctx(), b.ID, proved, otters); !errs.Is(err, errs.Conflict) {
			f.t.Errorf("after a change of address: %v", err)
		}
		_, _, undo := f.newest("lee@example.com", "Undo")
		proved = f.clock.Now()
		f.clock.Advance(time.Second)
		if _, err := f.UndoAddress(f.ctx(), undo, noMore); err != nil {
			f.t.Fatal(err)
		}
		if err := f.Reset(f.ctx(), b.ID, proved, otters); !errs.Is(err, errs.Conflict) {
			f.t.Errorf("after the change was taken back: %v", err)
		}
		if _, err := f.Authenticate(f.ctx(), "lee@example.com", herons); err != nil {
			f.t.Errorf("an overtaken reset changed the password: %v", err)
		}
	})
}

// Security case RS-06: nothing that was mailed before opens the account afterwards.
func TestReset_EndsWhatWasPending(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		f.ask("kim@example.com", "j1")
		_, _, reset := f.newest("kim@example.com", "Link")
		code, err := f.AskMailCode(f.ctx(), Ask{Identifier: "kim@example.com", Journey: "j1"})
		if err != nil {
			f.t.Fatal(err)
		}
		_, digits, _ := f.newest("kim@example.com", "Link")
		change, err := f.AskAddress(f.ctx(), a.ID, "new@example.com", "s1", "en")
		if err != nil {
			f.t.Fatal(err)
		}
		if err := f.Reset(f.ctx(), a.ID, f.clock.Now(), otters); err != nil {
			f.t.Fatal(err)
		}
		if err := f.ProveResetLink(f.ctx(), reset, noMore); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("another reset: %v", err)
		}
		if _, err := f.ProveMailCode(f.ctx(), code, "j1", digits, func(context.Context, Account) error { return nil }); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a code to sign in: %v", err)
		}
		if _, err := f.PendingAddress(f.ctx(), a.ID, change, "s1"); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a change of address: %v", err)
		}
	})
}

// A statement that fails, before or after its effect, leaves the old password or the new one, with all
// that goes with it.
func TestReset_AllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newCorrespondent(t, db, clock.NewFake(start))
		a := f.person("kim@example.com")
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); n <= 12; n++ {
				f.clock.Advance(24 * time.Hour)
				f.ask("kim@example.com", "j1")
				_, _, token := f.newest("kim@example.com", "Link")
				faulty, _ := storetest.FailAt(db, n, mode)
				broken := newCorrespondent(t, faulty, f.clock)
				was := f.count(`SELECT changed_at FROM password_credential`)
				err := broken.Reset(f.ctx(), a.ID, f.clock.Now(), otters)
				_, peek := f.oneTime.Peek(f.ctx(), PurposeReset, token)
				changed := f.count(`SELECT changed_at FROM password_credential`) != was
				if changed != (peek != nil) || err == nil != changed {
					t.Errorf("mode %v, statement %d: %v; changed %v, pending: %v", mode, n, err, changed, peek)
				}
			}
		}
	})
}

// Who never proved an address gets nothing there, except an account that was made for somebody and has
// no password: the mail is then the first proof.
func TestReset_UnprovenAddress(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		given, err := f.Create(f.ctx(), NewAccount{Email: "given@example.com", Source: "import:old"})
		if err != nil {
			f.t.Fatal(err)
		}
		upstream, err := f.Create(f.ctx(), NewAccount{Email: "up@example.com", Source: "upstream:other"})
		if err != nil {
			f.t.Fatal(err)
		}
		f.ask(upstream.Email, "j1")
		if len(f.mail.sent) != 0 {
			f.t.Error("an address that only another provider named got a reset")
		}
		thing := f.ask(given.Email, "j1")
		_, code, _ := f.newest("given@example.com", "Link")
		if err := f.ProveReset(f.ctx(), thing, "j1", code, noMore); err != nil {
			f.t.Fatal(err)
		}
		if a, err := f.ByID(f.ctx(), given.ID); err != nil || !a.EmailVerified {
			f.t.Errorf("after the proof: %+v, %v", a, err)
		}
		if err := f.Reset(f.ctx(), given.ID, f.clock.Now(), otters); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Authenticate(f.ctx(), "given@example.com", otters); err != nil {
			f.t.Error(err)
		}
	})
}

// A proof is of no use once the account is disabled, and what fails with it is not used up.
func TestProveReset_OfADisabledAccountAndAFailure(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		thing := f.ask("kim@example.com", "j1")
		_, code, _ := f.newest("kim@example.com", "Link")
		boom := errors.New("boom")
		if err := f.ProveReset(f.ctx(), thing, "j1", code, func(context.Context, id.User) error { return boom }); !errors.Is(err, boom) {
			f.t.Fatal(err)
		}
		if _, err := f.oneTime.ByID(f.ctx(), PurposeReset, thing); err != nil {
			f.t.Errorf("a failure used the code up: %v", err)
		}
		if err := f.Disable(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if err := f.ProveReset(f.ctx(), thing, "j1", code, noMore); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("of a disabled account: %v", err)
		}
	})
}

func TestMailCode_SignsInOnceInItsJourney(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		a := f.person("kim@example.com")
		thing, err := f.AskMailCode(f.ctx(), Ask{Identifier: "kim@example.com", Journey: "j1"})
		if err != nil {
			f.t.Fatal(err)
		}
		m, code, _ := f.newest("kim@example.com", "")
		if m.Kind != "sign_in_code" {
			f.t.Fatalf("mail %+v", m)
		}
		if err := f.ProveReset(f.ctx(), thing, "j1", code, noMore); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("as a reset: %v", err)
		}
		got, err := f.ProveMailCode(f.ctx(), thing, "j1", code, func(context.Context, Account) error { return nil })
		if err != nil || got.ID != a.ID {
			f.t.Fatalf("%+v, %v", got, err)
		}
		if _, err := f.ProveMailCode(f.ctx(), thing, "j1", code, func(context.Context, Account) error { return nil }); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
	})
}

// Asking again works by what was asked for, for somebody and for nobody alike.
func TestAskAgain(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.person("kim@example.com")
		for name, sent := range map[string]int{"kim@example.com": 2, "stranger@example.com": 0, "nobody": 0} {
			before, nothing := len(f.mail.sent), f.mail.nothing
			thing, err := f.AskMailCode(f.ctx(), Ask{Identifier: name, Journey: "j1"})
			if err != nil {
				f.t.Fatal(err)
			}
			again, err := f.AskAgain(f.ctx(), PurposeMailCode, Ask{Journey: "j1", Before: thing})
			if err != nil || again == thing {
				f.t.Errorf("%s: %q, %v", name, again, err)
			}
			if len(f.mail.sent)-before != sent || f.mail.nothing-nothing != 2-sent {
				f.t.Errorf("%s: %d mails, %d for nothing", name, len(f.mail.sent)-before, f.mail.nothing-nothing)
			}
			if _, err := f.AskAgain(f.ctx(), PurposeMailCode, Ask{Journey: "j2", Before: again}); !errs.Is(err, errs.NotFound) {
				f.t.Errorf("%s, from another journey: %v", name, err)
			}
		}
		thing, err := f.AskMailCode(f.ctx(), Ask{Identifier: "kim@example.com", Journey: "j1"})
		if err != nil {
			f.t.Fatal(err)
		}
		_, _, token := f.newest("kim@example.com", "Link")
		in := func(context.Context, Account) error { return nil }
		if _, err := f.ProveMailCodeLink(f.ctx(), token, "j2", in); keyOf(err) != onetime.KeyUnknown {
			f.t.Errorf("the link in another journey: %v", err)
		}
		if link, err := f.PeekLink(f.ctx(), PurposeMailCode, token); err != nil || link.Journey != "j1" {
			f.t.Errorf("%+v, %v", link, err)
		}
		if _, err := f.ProveMailCodeLink(f.ctx(), token, "j1", in); err != nil {
			f.t.Errorf("the link where it was asked for: %v", err)
		}
		if _, err := f.ProveMailCode(f.ctx(), thing, "j1", "1", in); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("the code after the link: %v", err)
		}
	})
}
