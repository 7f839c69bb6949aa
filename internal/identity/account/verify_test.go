package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const here id.Journey = "journey-1"

func withSignUps(p SignUpPolicy) func(*Deps) { return func(d *Deps) { d.SignUps = p } }

func eachPolicy(t *testing.T, p SignUpPolicy, fn func(f *correspondent)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fn(newCorrespondent(t, db, clock.NewFake(start), withSignUps(p)))
	})
}

func newcomer(email string) SignUp {
	return SignUp{Email: email, Password: otters, Name: "Noor", Locale: "ko"}
}

// request asks for an account and returns what waits.
func (f *correspondent) request(journey id.Journey, in SignUp) (thing string) {
	f.t.Helper()
	err := f.RequestSignUp(f.ctx(), journey, in, func(_ context.Context, one string) error {
		thing = one
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return thing
}

// last returns the newest mail, and the code and token in it.
func (f *correspondent) last() (m mail.Message, code, token string) {
	f.t.Helper()
	f.mail.mu.Lock()
	defer f.mail.mu.Unlock()
	if len(f.mail.sent) == 0 {
		f.t.Fatal("no mail was sent")
	}
	m = f.mail.sent[len(f.mail.sent)-1]
	secret, _ := m.Data["Code"].(seal.Secret)
	code = secret.Reveal()
	link, _ := m.Data["Link"].(string)
	return m, code, strings.TrimPrefix(link, "https://id.test/m/")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func TestRequestSignUp_CodeMakesAVerifiedAccount(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Terms: "2"}, func(f *correspondent) {
		in := newcomer(" Noor@Example.COM ")
		in.Username, in.Terms = "noor", "2"
		thing := f.request(here, in)
		if n := f.count(`SELECT count(*) FROM account`); n != 0 {
			f.t.Fatalf("%d accounts before the proof", n)
		}
		m, code, token := f.last()
		if m.To != "Noor@example.com" || m.Kind != "verify_signup" || m.Locale != "ko" || token == "" {
			f.t.Errorf("mail: %+v", m)
		}
		var sealed string
		if err := f.db.QueryRow(f.ctx(), `SELECT CAST(payload AS TEXT) || subject || binding FROM one_time`).Scan(&sealed); f.db.Engine() == store.SQLite && (err != nil || strings.Contains(sealed, "oor@")) {
			f.t.Errorf("what waits is in clear: %v", err)
		}
		w, err := f.SignUpWaiting(f.ctx(), here, thing)
		if diff := cmp.Diff(Waiting{Email: "Noor@example.com", Name: "Noor", Began: start, ExpiresAt: start.Add(SignUpLife)}, w); diff != "" || err != nil {
			f.t.Errorf("%v %s", err, diff)
		}
		if _, err := f.FinishSignUp(f.ctx(), "journey-2", thing, code); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("in another journey: %v", err)
		}
		if _, err := f.FinishSignUp(f.ctx(), here, thing, "1"); keyOf(err) != onetime.KeyWrong {
			f.t.Errorf("a wrong code: %v", err)
		}
		var seen Account
		a, err := f.FinishSignUp(f.ctx(), here, thing, code, func(_ context.Context, a Account) error {
			seen = a
			return nil
		})
		if err != nil || seen.ID != a.ID {
			f.t.Fatalf("%v, also saw %v", err, seen.ID)
		}
		want := Account{
			ID: a.ID, Status: Active, Email: "Noor@example.com", EmailVerified: true, Profile: Profile{Name: "Noor", Locale: "ko"},
			Source: "signup", CreatedAt: start, UpdatedAt: start, TermsVersion: "2", TermsAt: start,
		}
		got, err := f.ByID(f.ctx(), a.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			f.t.Errorf("%v %s", err, diff)
		}
		if diff := cmp.Diff(want, a); diff != "" {
			f.t.Errorf("returned %s", diff)
		}
		if _, err := f.Authenticate(f.ctx(), "noor@example.com", otters); err != nil {
			f.t.Errorf("cannot sign in: %v", err)
		}
		if _, err := f.FinishSignUp(f.ctx(), here, thing, code); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		if w, err := f.SignUpWaiting(f.ctx(), here, thing); err != nil || w.Made != a.ID || !w.Over {
			f.t.Errorf("afterwards: %+v, %v", w, err)
		}
		if f.audited("signup.request", audit.OK) != 1 || f.audited("account.create", audit.OK) != 1 {
			f.t.Error("audit records are missing")
		}
	})
}

// Security case SU-01: whoever has an address is told by mail; the visitor sees and costs the same.
func TestRequestSignUp_TakenAddressLooksLikeAnyOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newCorrespondent(t, db, clock.NewFake(start))
		owner := f.person("Mina@Example.com")
		unverified, err := f.Create(f.ctx(), NewAccount{Email: "unproven@example.com", Password: herons, Source: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		off := f.person("off@example.com")
		if err := f.Disable(f.ctx(), off.ID); err != nil {
			t.Fatal(err)
		}
		owners := map[string]Account{"MINA@example.com": owner, "unproven@example.com": unverified, "off@example.com": off}
		statements := func(email string) int64 {
			counted, n := storetest.FailAt(db, 0, storetest.Before)
			c := newCorrespondent(t, counted, f.clock)
			c.mail = f.mail
			c.Service.mail = f.mail
			c.request(here, newcomer(email))
			return n.Load()
		}
		free := statements("free@example.com")
		for typed, a := range owners {
			if taken := statements(typed); taken != free {
				t.Errorf("%s: %d statements, for a free address %d", typed, taken, free)
			}
			m, code, _ := f.last()
			if m.Kind != "already_registered" || m.To != a.Email || m.Account != a.ID || code != "" ||
				m.Data["SignIn"] != "https://id.test/login" || m.Data["Reset"] != "https://id.test/forgot" {
				t.Errorf("%s: mail %+v", typed, m)
			}
			if got, err := f.ByID(f.ctx(), a.ID); err != nil || got.EmailVerified != a.EmailVerified || got.TermsVersion != a.TermsVersion {
				t.Errorf("%s: the account changed: %+v %v", typed, got, err)
			}
		}
		one := f.request("journey-9", newcomer("mina@EXAMPLE.com"))
		w, err := f.SignUpWaiting(f.ctx(), "journey-9", one)
		if err != nil || w.Made != "" || w.Over || w.Email != "mina@example.com" {
			t.Errorf("what waits: %+v, %v", w, err)
		}
		for try := range onetime.MaxTries + 1 {
			want := onetime.KeyWrong
			if try == onetime.MaxTries {
				want = onetime.KeySpent
			}
			if _, err := f.FinishSignUp(f.ctx(), "journey-9", one, fmt.Sprintf("%08d", try)); keyOf(err) != want {
				t.Errorf("try %d: %v, want %s as for anybody", try, err, want)
			}
		}
		if n := f.count(`SELECT count(*) FROM audit_event WHERE action = 'signup.request' AND target = $1`, string(owner.ID)); n != 2 {
			t.Errorf("the owner's record has %d attempts", n)
		}
	})
}

// The timing half of SU-01, with room for a busy machine: medians of interleaved attempts.
func TestRequestSignUp_TakesAlike(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.person("mina@example.com")
		f.budgets.Mail.Limit, f.budgets.MailSource.Limit, f.budgets.SignUp.Limit = 1_000_000, 1_000_000, 1_000_000
		times := map[string][]time.Duration{}
		for i := range 60 {
			for kind, email := range map[string]string{"taken": "mina@example.com", "free": fmt.Sprintf("free%d@example.com", i)} {
				began := time.Now()
				f.request(id.Journey(fmt.Sprint(kind, i)), newcomer(email))
				times[kind] = append(times[kind], time.Since(began))
			}
		}
		taken, free := median(times["taken"]), median(times["free"])
		if taken > 3*free || free > 3*taken {
			f.t.Errorf("taken %v, free %v", taken, free)
		}
	})
}

// Security case SU-13: at most three mails an hour for one address, and the answer does not change.
func TestRequestSignUp_FewMails(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		owner := f.person("mina@example.com")
		for _, email := range []string{"mina@example.com", "free@example.com"} {
			sent := len(f.mail.sent)
			var thing string
			for i := range 5 {
				thing = f.request(id.Journey(fmt.Sprint(email, i)), newcomer(email))
			}
			if got := len(f.mail.sent) - sent; got != 3 {
				f.t.Errorf("%s: %d mails", email, got)
			}
			if w, err := f.SignUpWaiting(f.ctx(), id.Journey(email+"4"), thing); err != nil || w.Over {
				f.t.Errorf("%s: beyond the limit: %+v, %v", email, w, err)
			}
		}
		f.clock.Advance(time.Hour)
		f.request(here, newcomer("mina@example.com"))
		if m, _, _ := f.last(); m.Account != owner.ID {
			f.t.Error("no mail an hour later")
		}
	})
}

func TestResendSignUp_NewestCounts(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		thing := f.request(here, newcomer("noor@example.com"))
		_, code, token := f.last()
		again := func() (next string) {
			f.t.Helper()
			if err := f.ResendSignUp(f.ctx(), here, thing, func(_ context.Context, one string) error {
				next = one
				return nil
			}); err != nil {
				f.t.Fatal(err)
			}
			return next
		}
		next := again()
		_, code2, token2 := f.last()
		if next == "" || token2 == token {
			f.t.Fatal("nothing new was sent")
		}
		if _, err := f.FinishSignUp(f.ctx(), here, thing, code); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("the older code: %v", err)
		}
		if _, err := f.PeekSignUp(f.ctx(), token); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("the older link: %v", err)
		}
		thing = next
		thing = again() // the third, and last for now
		sent := len(f.mail.sent)
		if got := again(); got != "" || len(f.mail.sent) != sent {
			f.t.Errorf("a fourth mail within the hour")
		}
		_, code2, _ = f.last()
		if err := f.ResendSignUp(f.ctx(), "journey-2", thing, nil); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("for another journey: %v", err)
		}
		a, err := f.FinishSignUp(f.ctx(), here, thing, code2)
		if err != nil {
			f.t.Fatalf("the newest code: %v", err)
		}
		sent = len(f.mail.sent)
		f.clock.Advance(time.Hour)
		if got := again(); got != "" || len(f.mail.sent) != sent {
			f.t.Errorf("a mail for an account that is made: %v", a.ID)
		}
	})
}

// The link in another browser than that of the sign-up asks for the password chosen there: who has
// the mailbox alone does not give an account to somebody else.
func TestFinishSignUpByLink(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		thing := f.request(here, newcomer("noor@example.com"))
		_, _, token := f.last()
		for range 3 { // looking uses nothing up
			if l, err := f.PeekSignUp(f.ctx(), token); err != nil || l != (SignUpLink{Email: "noor@example.com", Journey: here}) {
				f.t.Fatalf("%+v, %v", l, err)
			}
		}
		if _, err := f.FinishSignUpByLink(f.ctx(), token, "journey-2", otters); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("for another journey: %v", err)
		}
		if _, err := f.FinishSignUpByLink(f.ctx(), token, "", herons); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("a wrong password: %v", err)
		}
		a, err := f.FinishSignUpByLink(f.ctx(), token, "", otters)
		if err != nil || !a.EmailVerified {
			f.t.Fatal(err)
		}
		if _, err := f.FinishSignUpByLink(f.ctx(), token, "", otters); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		if w, err := f.SignUpWaiting(f.ctx(), here, thing); err != nil || w.Made != a.ID {
			f.t.Errorf("where it began: %+v, %v", w, err)
		}

		f.request("journey-3", newcomer("lee@example.com"))
		_, _, token = f.last()
		if b, err := f.FinishSignUpByLink(f.ctx(), token, "journey-3", ""); err != nil || b.Email != "lee@example.com" {
			f.t.Errorf("in the browser where it began: %v", err)
		}
		f.request("journey-4", newcomer("kim@example.com"))
		_, _, token = f.last()
		f.clock.Advance(SignUpLife)
		if _, err := f.FinishSignUpByLink(f.ctx(), token, "", otters); keyOf(err) != onetime.KeyExpired {
			f.t.Errorf("a day later: %v", err)
		}
	})
}

// Guesses at the password behind a link are counted like those of signing in.
func TestFinishSignUpByLink_GuessesAreCounted(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.request(here, newcomer("noor@example.com"))
		_, _, token := f.last()
		var err error
		for range 20 {
			if _, err = f.FinishSignUpByLink(f.ctx(), token, "", herons); errs.Is(err, errs.Limited) {
				return
			}
		}
		f.t.Errorf("twenty guesses, at last %v", err)
	})
}

// Of twenty posts of one code at once, and as many uses of the link, one makes one account.
func TestFinishSignUp_TwentyAtOnce(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		thing := f.request(here, newcomer("noor@example.com"))
		_, code, token := f.last()
		var made, also atomic.Int32
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				count := func(context.Context, Account) error { also.Add(1); return nil }
				var err error
				if i%2 == 0 {
					_, err = f.FinishSignUp(context.Background(), here, thing, code, count)
				} else {
					_, err = f.FinishSignUpByLink(context.Background(), token, here, "", count)
				}
				if err == nil {
					made.Add(1)
				} else if k := errs.KindOf(err); k != errs.NotFound && k != errs.Unauthenticated {
					f.t.Errorf("a loser: %v", err)
				}
			})
		}
		wg.Wait()
		if n := f.count(`SELECT count(*) FROM account`); made.Load() != 1 || also.Load() != 1 || n != 1 {
			f.t.Errorf("%d made, %d followed, %d accounts", made.Load(), also.Load(), n)
		}
	})
}

// Two sign-ups for one address, each with its own code: the second one learns that it came too late.
func TestFinishSignUp_SameAddressTwice(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		one := f.request(here, newcomer("noor@example.com"))
		_, code1, _ := f.last()
		two := f.request("journey-2", newcomer("NOOR@example.com"))
		_, code2, _ := f.last()
		var made atomic.Int32
		var wg sync.WaitGroup
		for _, c := range []struct {
			journey     id.Journey
			thing, code string
		}{{here, one, code1}, {"journey-2", two, code2}} {
			wg.Go(func() {
				_, err := f.FinishSignUp(context.Background(), c.journey, c.thing, c.code)
				switch {
				case err == nil:
					made.Add(1)
				case !errs.Is(err, errs.Conflict) || errs.As(err).Key != KeyEmailTaken:
					f.t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || f.count(`SELECT count(*) FROM account`) != 1 {
			f.t.Errorf("%d were made", made.Load())
		}
	})
}

// A statement that fails leaves everything as it was: the same code works afterwards.
func TestFinishSignUp_FaultsLeaveNoHalfAccount(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		thing := f.request(here, newcomer("noor@example.com"))
		_, code, token := f.last()
		for n := int64(1); ; n++ {
			broken, seen := storetest.FailAt(f.db, n, storetest.Before)
			b := newCorrespondent(f.t, broken, f.clock)
			_, err := b.FinishSignUpByLink(f.ctx(), token, here, "")
			if err == nil {
				if n < 5 {
					f.t.Fatalf("only %d statements were broken", n-1)
				}
				break
			}
			if seen.Load() < n || !errors.Is(err, storetest.ErrInjected) {
				f.t.Fatalf("statement %d: %v", n, err)
			}
			if rows := f.count(`SELECT count(*) FROM account`) + f.count(`SELECT count(*) FROM email_address`) + f.audited("account.create", audit.OK); rows != 0 {
				f.t.Fatalf("statement %d left %d rows", n, rows)
			}
		}
		if _, err := f.FinishSignUp(f.ctx(), here, thing, code); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("%v", err)
		}
	})
}

func TestRequestSignUp_ProblemsComeAllAtOnce(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Mode: Domains, Domains: []string{"EXAMPLE.com"}, Terms: "2"}, func(f *correspondent) {
		err := f.RequestSignUp(f.ctx(), here, SignUp{Email: "noor@elsewhere.example", Password: "short", Name: "\x00"}, nil)
		want := []string{"email " + KeyDomainRefused, "name " + KeyBadCharacters, "password password_too_short", "terms " + KeyTermsNeeded}
		if diff := cmp.Diff(want, keys(err), cmpopts.SortSlices(strings.Compare)); diff != "" {
			f.t.Error(diff)
		}
		if n := f.count(`SELECT count(*) FROM one_time`); n != 0 || len(f.mail.sent) != 0 {
			f.t.Error("something was kept or sent")
		}
	})
}

// Security case SU-10: whom the mode does not admit gets no account, whichever way they come, also when
// it changed while they were on their way.
func TestAdmission_EveryWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		open := newCorrespondent(t, db, c)
		thing := open.request(here, newcomer("noor@example.com"))
		_, code, token := open.last()
		for _, p := range []struct {
			policy SignUpPolicy
			key    string
		}{
			{SignUpPolicy{Mode: Closed}, KeySignUpClosed},
			{SignUpPolicy{Mode: ByInvite}, KeyInvitationNeeded},
			{SignUpPolicy{Mode: Domains, Domains: []string{"example.org"}}, KeyDomainRefused},
		} {
			f := newCorrespondent(t, db, c, withSignUps(p.policy))
			_, _, err := f.Invite(f.ctx(), NewInvitation{Email: "other@example.com"})
			if (p.policy.Mode == Closed) != errs.Is(err, errs.Forbidden) {
				t.Errorf("%s: invite: %v", p.policy.Mode, err)
			}
			_, errForm := f.SignUp(f.ctx(), newcomer("noor@example.com"))
			_, errCode := f.FinishSignUp(f.ctx(), here, thing, code)
			_, errLink := f.FinishSignUpByLink(f.ctx(), token, here, "")
			_, errJoin := f.Join(f.ctx(), NewAccount{Email: "noor@example.com", EmailVerified: true, Source: "upstream"}, Admission{})
			for way, err := range map[string]error{
				"form": errForm, "mail": f.RequestSignUp(f.ctx(), here, newcomer("noor@example.com"), nil), "code": errCode, "link": errLink, "upstream": errJoin,
			} {
				if keyOf(err) != p.key {
					t.Errorf("%s by %s: %v, want %s", p.policy.Mode, way, err, p.key)
				}
			}
		}
		if n := open.count(`SELECT count(*) FROM account`); n != 0 {
			t.Errorf("%d accounts", n)
		}
		if _, err := open.FinishSignUp(open.ctx(), here, thing, code); err != nil {
			t.Errorf("open again: %v", err)
		}
	})
}

// Whoever only claims an address of the domain does not get in by an upstream provider.
func TestJoin_UnverifiedAddressOfTheDomain(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Mode: Domains, Domains: []string{"example.com"}}, func(f *correspondent) {
		if _, err := f.Join(f.ctx(), NewAccount{Email: "noor@example.com", Source: "upstream"}, Admission{}); keyOf(err) != KeyDomainRefused {
			f.t.Errorf("unverified: %v", err)
		}
		var linked id.User
		a, err := f.Join(f.ctx(), NewAccount{Email: "noor@example.com", EmailVerified: true, Source: "upstream"}, Admission{}, func(_ context.Context, a Account) error {
			linked = a.ID
			return nil
		})
		if err != nil || linked != a.ID {
			f.t.Fatal(err)
		}
		if _, err := f.Join(f.ctx(), NewAccount{Email: "NOOR@example.com", EmailVerified: true, Source: "upstream"}, Admission{}); !errs.Is(err, errs.Conflict) {
			f.t.Errorf("taken: %v", err)
		}
		failed := errors.New("no link")
		if _, err := f.Join(f.ctx(), NewAccount{Email: "lee@example.com", EmailVerified: true, Source: "upstream"}, Admission{}, func(context.Context, Account) error { return failed }); !errors.Is(err, failed) {
			f.t.Errorf("also fails: %v", err)
		}
		if n := f.count(`SELECT count(*) FROM account`); n != 1 {
			f.t.Errorf("%d accounts", n)
		}
	})
}

func TestSignUpPolicy_Refused(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]SignUpPolicy{
		"mode": {Mode: "perhaps"}, "no domain": {Mode: Domains}, "nonsense": {Mode: Domains, Domains: []string{"not a domain"}},
	} {
		if _, err := p.check(true); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := (SignUpPolicy{Mode: Domains, Domains: []string{"example.com"}}).check(false); err == nil {
		t.Error("domains without mail: anybody could claim an address there")
	}
	if got, err := (SignUpPolicy{Mode: Closed, Domains: []string{"example.com"}}).check(false); err != nil || got.Domains != nil {
		t.Errorf("domains for another day: %+v, %v", got, err)
	}
	got, err := SignUpPolicy{Mode: Domains, Domains: []string{"Bücher.example."}}.check(true)
	if err != nil || got.Domains[0] != "xn--bcher-kva.example" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAcceptTerms(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Terms: "2"}, func(f *correspondent) {
		a := f.person("mina@example.com")
		if !f.OwesTerms(a) {
			f.t.Error("nothing is owed")
		}
		if err := f.AcceptTerms(f.ctx(), a.ID, "1"); !errs.Is(err, errs.Invalid) {
			f.t.Errorf("of yesterday: %v", err)
		}
		if err := f.AcceptTerms(f.ctx(), a.ID, "2"); err != nil {
			f.t.Fatal(err)
		}
		got, err := f.ByID(f.ctx(), a.ID)
		if err != nil || f.OwesTerms(got) || got.TermsVersion != "2" || !got.TermsAt.Equal(f.clock.Now()) || f.audited("terms.accept", audit.OK) != 1 {
			f.t.Errorf("%+v, %v", got, err)
		}
		if err := f.AcceptTerms(f.ctx(), "nobody", "2"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody: %v", err)
		}
	})
}

func TestInvite(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Mode: ByInvite}, func(f *correspondent) {
		invite := func(in NewInvitation) (Invitation, string) {
			f.t.Helper()
			inv, link, err := f.Invite(f.ctx(), in)
			if err != nil {
				f.t.Fatal(err)
			}
			return inv, strings.TrimPrefix(link.Reveal(), "https://id.test/m/")
		}
		join := func(email, token string) error {
			in := newcomer(email)
			in.Invitation = token
			_, err := f.SignUp(f.ctx(), in)
			return err
		}
		inv, token := invite(NewInvitation{Email: "Noor@Example.com", Send: true, Locale: "ko"})
		m, _, mailed := f.last()
		if m.To != "Noor@example.com" || m.Kind != "invitation" || m.Locale != "ko" || mailed != token {
			f.t.Errorf("mail: %+v", m)
		}
		if got, err := f.Invitation(f.ctx(), token); err != nil || got != inv || !inv.ExpiresAt.Equal(start.Add(InvitationLife)) {
			f.t.Errorf("%+v, %v", got, err)
		}
		// Security case SU-14: for another address, a second time, taken back, replaced, expired, made up.
		if err := join("lee@example.com", token); keyOf(err) != KeyInvitedOther {
			f.t.Errorf("another address: %v", err)
		}
		if err := join("noor@example.com", token); err != nil {
			f.t.Fatal(err)
		}
		if err := join("noor2@example.com", token); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("a second time: %v", err)
		}
		_, old := invite(NewInvitation{Email: "lee@example.com"})
		_, newer := invite(NewInvitation{Email: "lee@example.com"})
		if err := join("lee@example.com", old); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("replaced: %v", err)
		}
		if err := f.Uninvite(f.ctx(), "LEE@example.com"); err != nil {
			f.t.Fatal(err)
		}
		if err := join("lee@example.com", newer); keyOf(err) != onetime.KeyUsed {
			f.t.Errorf("taken back: %v", err)
		}
		if err := f.Uninvite(f.ctx(), "lee@example.com"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nothing to take back: %v", err)
		}
		anybody, open := invite(NewInvitation{Life: time.Hour})
		if err := f.Uninvite(f.ctx(), anybody.ID); err != nil || keyOf(join("kim@example.com", open)) != onetime.KeyUsed {
			f.t.Errorf("taken back by id: %v", err)
		}
		_, late := invite(NewInvitation{Life: time.Hour})
		f.clock.Advance(time.Hour)
		if err := join("kim@example.com", late); keyOf(err) != onetime.KeyExpired {
			f.t.Errorf("expired: %v", err)
		}
		for _, made := range []string{"", "x", id.NewToken(id.Invitation), id.NewToken(id.MailLink)} {
			if err := join("kim@example.com", made); err == nil {
				f.t.Errorf("%q opens the door", made)
			}
		}
		for _, in := range []NewInvitation{{Email: "nonsense"}, {Life: time.Second}, {Life: 1000 * time.Hour * 24}, {Send: true}} {
			if _, _, err := f.Invite(f.ctx(), in); !errs.Is(err, errs.Invalid) {
				f.t.Errorf("%+v: %v", in, err)
			}
		}
		if f.count(`SELECT count(*) FROM account`) != 1 || f.audited("invitation.create", audit.OK) != 5 || f.audited("invitation.revoke", audit.OK) != 2 {
			f.t.Error("accounts or audit records are not what they should be")
		}
	})
}

// One invitation, many sign-ups at once, and sign-ups that wait for their address: one account.
func TestInvite_MakesOneAccount(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Mode: ByInvite}, func(f *correspondent) {
		_, link, err := f.Invite(f.ctx(), NewInvitation{})
		if err != nil {
			f.t.Fatal(err)
		}
		token := strings.TrimPrefix(link.Reveal(), "https://id.test/m/")
		type waiting struct {
			journey     id.Journey
			thing, code string
		}
		var all []waiting
		for i := range 5 {
			in := newcomer(fmt.Sprintf("p%d@example.com", i))
			in.Invitation = token
			w := waiting{journey: id.Journey(fmt.Sprint("j", i))}
			w.thing = f.request(w.journey, in)
			_, w.code, _ = f.last()
			all = append(all, w)
		}
		var made atomic.Int32
		var wg sync.WaitGroup
		for i, w := range all {
			wg.Go(func() {
				if _, err := f.FinishSignUp(context.Background(), w.journey, w.thing, w.code); err == nil {
					made.Add(1)
				} else if keyOf(err) != onetime.KeyUsed {
					f.t.Error(err)
				}
			})
			wg.Go(func() {
				in := newcomer(fmt.Sprintf("q%d@example.com", i))
				in.Invitation = token
				if _, err := f.SignUp(context.Background(), in); err == nil {
					made.Add(1)
				} else if keyOf(err) != onetime.KeyUsed {
					f.t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := f.count(`SELECT count(*) FROM account`); made.Load() != 1 || n != 1 {
			f.t.Errorf("%d made, %d accounts", made.Load(), n)
		}
	})
}

// In the mode for domains an invitation lets others in; where the door is open anyway it is kept.
func TestInvite_UsedOnlyWhereNeeded(t *testing.T) {
	t.Parallel()
	eachPolicy(t, SignUpPolicy{Mode: Domains, Domains: []string{"example.com"}}, func(f *correspondent) {
		_, link, err := f.Invite(f.ctx(), NewInvitation{})
		if err != nil {
			f.t.Fatal(err)
		}
		token := strings.TrimPrefix(link.Reveal(), "https://id.test/m/")
		join := func(email string) error {
			in := newcomer(email)
			in.Invitation = token
			_, err := f.SignUp(f.ctx(), in)
			return err
		}
		if err := join("noor@example.com"); err != nil {
			f.t.Fatal(err)
		}
		if err := join("noor@elsewhere.example"); err != nil {
			f.t.Errorf("with an invitation: %v", err)
		}
		if err := join("lee@elsewhere.example"); keyOf(err) != KeyDomainRefused {
			f.t.Errorf("with a used invitation: %v", err)
		}
	})
}

// Security case SU-15: an address that is free again makes another person.
func TestSignUp_SameAddressAfterDeletion(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		old := f.person("noor@example.com")
		if err := f.Delete(f.ctx(), old.ID); err != nil {
			f.t.Fatal(err)
		}
		thing := f.request(here, newcomer("noor@example.com"))
		_, code, _ := f.last()
		a, err := f.FinishSignUp(f.ctx(), here, thing, code)
		if err != nil || a.ID == old.ID {
			f.t.Errorf("%v, %v", a.ID, err)
		}
	})
}

// Security case SU-09: what a visitor types reaches nothing but what it is for.
func TestSignUp_LocaleAndNameOnly(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(f *correspondent) {
		f.request(here, newcomer("noor@example.com"))
		m, _, _ := f.last()
		for key := range m.Data { // Security case SU-05: a name typed by a stranger is not mailed to anybody
			if key != "Code" && key != "Link" {
				f.t.Errorf("the mail carries %s", key)
			}
		}
		var secret seal.Secret = otters
		if strings.Contains(fmt.Sprint(m), secret.Reveal()) {
			f.t.Error("the mail carries the password")
		}
	})
}
