package pages_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// eachMailed is each with mail, and what change makes of the configuration.
func eachMailed(t *testing.T, fn func(t *testing.T, s *site), change ...func(*config.Config)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fn(t, newSite(t, db, append([]func(*config.Config){func(c *config.Config) { c.Mail.KeepMail() }}, change...)...))
	})
}

var (
	reCode = regexp.MustCompile(`\b(\d{4}) ?(\d{4})\b`)
	reLink = regexp.MustCompile(`/m/[\w-]+`)
)

// mailTo returns kind, code and link path of the newest mail to an address; "" for none.
func (s *site) mailTo(to string) (kind, code, link string) {
	s.t.Helper()
	if _, err := s.Outbox.Deliver(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	all, err := s.Mail.Mailbox(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m mail.Stored) bool { return m.To == to })
	if i < 0 {
		return "", "", ""
	}
	if m := reCode.FindStringSubmatch(all[i].Text); m != nil {
		code = m[1] + m[2]
	}
	return all[i].Kind, code, reLink.FindString(all[i].Text)
}

func (s *site) count(table string) (n int64) {
	s.t.Helper()
	if err := s.DB.QueryRow(s.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// asks fills in the sign-up form of a journey.
func (a *agent) asks(p *page, email string, more ...string) *page {
	a.s.t.Helper()
	if strings.HasSuffix(p.path, "/login") {
		p = a.get(strings.TrimSuffix(p.path, "login") + "signup")
	}
	return a.submit(p.at(200, "/signup"), "/signup", append([]string{"name", "Noor", "email", email, "password", secret}, more...)...)
}

func TestSignUp_CodeLeadsOnToTheApplication(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(false)
		p := b.get(s.authorize(c)).at(200, "/login")
		if form := b.get(strings.TrimSuffix(p.path, "login") + "signup"); form.find("input", "name", "username") != nil {
			t.Error("the form would tell which usernames are taken")
		}
		p = b.asks(p, "Noor@Example.com").at(200, "/verify")
		if !strings.Contains(p.body, "Noor@example.com") || attr(p.find("input", "name", "code"), "autocomplete") != "one-time-code" || !strings.Contains(p.body, "Team Wiki") {
			t.Error("the page does not say where the code went, or where one is going")
		}
		if b.cookie("signet_session") != "" || s.count("account") != 0 {
			t.Error("an account before the proof")
		}
		kind, code, link := s.mailTo("Noor@example.com")
		if kind != "verify_signup" || code == "" || link == "" {
			t.Fatalf("mail %q %q %q", kind, code, link)
		}
		b.get(strings.TrimSuffix(p.path, "/verify")).at(200, "/verify") // the journey stands there
		wrong := b.submit(p, "/verify", "code", "1").at(422, "/verify")
		if attr(wrong.find("input", "name", "code"), "aria-invalid") != "true" || !strings.Contains(wrong.body, "not the code") {
			t.Error("what is wrong is not at the field")
		}
		b.submit(p, "/verify", "code", "").at(422, "/verify")
		p = b.submit(wrong, "/verify", "code", " "+code[:4]+"-"+code[4:]+" ").at(200, "/consent")
		if answer := b.submit(p, "/consent", "answer", "allow").answer(); answer.Get("code") == "" {
			t.Errorf("the application was told %v", answer)
		}
		a, err := s.Accounts.ByIdentifier(t.Context(), "noor@example.com")
		if err != nil || !a.EmailVerified || a.Profile.Name != "Noor" {
			t.Errorf("%+v, %v", a, err)
		}
		if p := s.browser().get(link); p.StatusCode != 404 || p.heading() != "This link does nothing any more" {
			t.Errorf("the link afterwards: %d %q", p.StatusCode, p.heading())
		}
		// Signed in, in this browser, like anybody else.
		b.get("/account").at(200, "/account")
	})
}

func TestSignUp_WithoutMailAsBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("mina")
		b := s.browser()
		p := b.get("/signup").at(200, "/signup")
		taken := b.submit(p, "/signup", "name", "M", "email", "mina@example.com", "password", secret).at(409, "/signup")
		if taken.find("input", "name", "username") == nil || !strings.Contains(taken.body, "There is an account with this address") {
			t.Error("without mail the form says what is in use")
		}
		b.submit(p, "/signup", "name", "Noor", "username", "noor", "email", "noor@example.com", "password", secret).at(200, "/account")
		a, err := s.Accounts.ByIdentifier(t.Context(), "noor")
		if err != nil || a.EmailVerified {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// Security case SU-01: a taken and a free address get the same statuses, bodies, headers and next
// pages all along: at the form, with wrong codes, for another mail, and when codes run out.
func TestSignUp_TakenAndFreeLookAlike(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		s.user("mina")
		off := s.user("anna")
		if err := s.Accounts.Disable(t.Context(), off.ID); err != nil {
			t.Fatal(err)
		}
		volatile := regexp.MustCompile(`/signin/[0-9a-f-]+|(?i)(mina|anna|free)@example\.com`)
		walk := func(email string) (seen []string) {
			b := s.browser()
			note := func(p *page) *page {
				h := p.Header.Clone()
				for _, name := range []string{"Date", "X-Request-Id", "Content-Length"} {
					h.Del(name)
				}
				var names []string
				for _, c := range p.Cookies() {
					names = append(names, c.Name)
				}
				h.Del("Set-Cookie")
				seen = append(seen, volatile.ReplaceAllString(fmt.Sprint(p.StatusCode, h, names, p.body), "-"))
				return p
			}
			post := func(p *page, suffix string, fields ...string) *page {
				action, form := p.form(suffix)
				for i := 0; i+1 < len(fields); i += 2 {
					form.Set(fields[i], fields[i+1])
				}
				return note(b.follow(note(b.send(http.MethodPost, action, form))))
			}
			p := b.get("/signup")
			p = post(p, "/signup", "name", "N", "email", email, "password", secret).at(200, "/verify")
			p = post(p, "/verify", "code", "00000000")
			for range 4 { // one more than is sent
				p = post(p, "/again").at(200, "/verify")
			}
			for range 6 {
				p = post(p, "/verify", "code", "00000000").at(422, "/verify")
			}
			post(p, "/linked").at(422, "/linked")
			return seen
		}
		free := walk("free@example.com")
		for _, email := range []string{"mina@example.com", "ANNA@example.com"} {
			if diff := cmp.Diff(free, walk(email)); diff != "" {
				t.Errorf("%s is told apart: %s", email, diff)
			}
		}
		if kind, code, _ := s.mailTo("mina@example.com"); kind != "already_registered" || code != "" {
			t.Errorf("the owner got %q with %q", kind, code)
		}
		if n := s.count("account"); n != 2 {
			t.Errorf("%d accounts", n)
		}
	})
}

// The timing half of SU-01 through the whole server, with room for a busy machine.
func TestSignUp_TakenAndFreeTakeAlike(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		s.user("mina")
		const rounds = 14 // within what one network may ask for
		took := map[string][]time.Duration{}
		for i := range rounds {
			for kind, email := range map[string]string{"taken": "mina@example.com", "free": fmt.Sprintf("free%d@example.com", i)} {
				b := s.browser()
				action, form := b.get("/signup").form("/signup")
				for k, v := range map[string]string{"name": "N", "email": email, "password": secret} {
					form.Set(k, v)
				}
				began := time.Now()
				p := b.send(http.MethodPost, action, form)
				took[kind] = append(took[kind], time.Since(began))
				if p.StatusCode != http.StatusSeeOther {
					t.Fatalf("%s: %d %s", kind, p.StatusCode, p.heading())
				}
			}
		}
		middle := func(list []time.Duration) time.Duration { slices.Sort(list); return list[len(list)/2] }
		if taken, free := middle(took["taken"]), middle(took["free"]); taken > 4*free || free > 4*taken {
			t.Errorf("taken %v, free %v", taken, free)
		}
	})
}

// Security case SU-12: scanners open links, with GET and HEAD, as often as they like.
func TestLinks_OpeningChangesNothing(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		waiting := b.asks(b.get("/signup"), "noor@example.com").at(200, "/verify")
		_, code, link := s.mailTo("noor@example.com")
		inv, invitation, err := s.Accounts.Invite(t.Context(), account.NewInvitation{})
		if err != nil {
			t.Fatal(err)
		}
		state := func() (rows string) {
			for _, table := range []string{"account", "session", "audit_event", "outbox", "one_time"} {
				rows += fmt.Sprint(table, s.count(table), " ")
			}
			var used, tries int64
			if err := s.DB.QueryRow(t.Context(), `SELECT sum(used_at), sum(tries) FROM one_time`).Scan(&used, &tries); err != nil {
				t.Fatal(err)
			}
			return rows + fmt.Sprint(used, tries)
		}
		before := state()
		for _, path := range []string{link, strings.TrimPrefix(invitation.Reveal(), s.url)} {
			for range 5 {
				for _, who := range []*agent{s.browser(), b} {
					head := who.send(http.MethodHead, path, nil)
					if head.StatusCode != http.StatusSeeOther || head.Header.Get("Location") != "/m" {
						t.Errorf("HEAD %d %s", head.StatusCode, head.Header.Get("Location"))
					}
					p := who.get(path).at(200, "/m")
					if strings.Contains(p.body, "sgn_") || strings.Contains(p.Request.URL.String(), "sgn_") {
						t.Error("the token is on the page or in its address")
					}
					who.send(http.MethodHead, "/m", nil)
				}
			}
		}
		if after := state(); after != before {
			t.Errorf("before %s, after %s", before, after)
		}
		if _, err := s.Accounts.Invitation(t.Context(), strings.TrimPrefix(invitation.Reveal(), s.url+"/m/")); err != nil || inv.ID == "" {
			t.Errorf("the invitation: %v", err)
		}
		b.submit(waiting, "/verify", "code", code).at(200, "/account")
	})
}

func TestLinks_InTheBrowserWhereItBegan(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(true)
		b.asks(b.get(s.authorize(c)), "noor@example.com").at(200, "/verify")
		_, _, link := s.mailTo("noor@example.com")
		p := b.get(link).at(200, "/m")
		if p.find("input", "name", "password") != nil || !strings.Contains(p.body, "noor@example.com") {
			t.Error("the page asks for too much, or does not say what it does")
		}
		if answer := b.submit(p, "/m").answer(); answer.Get("code") == "" {
			t.Errorf("the application was told %v", answer)
		}
		if b.cookie("signet_link") != "" {
			t.Error("the token is kept")
		}
		if p := b.submit(p, "/m"); p.StatusCode != 404 {
			t.Errorf("pressed again: %d", p.StatusCode)
		}
	})
}

// Whoever opens the mail elsewhere has to know the password that was chosen: the owner of a mailbox
// does not give an account to a stranger by pressing a button.
func TestLinks_InAnotherBrowser(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(true)
		waiting := b.asks(b.get(s.authorize(c)), "noor@example.com").at(200, "/verify")
		_, code, link := s.mailTo("noor@example.com")
		phone := s.browser()
		p := phone.get(link).at(200, "/m")
		phone.submit(p, "/m").at(422, "/m")
		wrong := phone.submit(p, "/m", "password", "something else entirely").at(401, "/m")
		if s.count("account") != 0 || !strings.Contains(wrong.body, "not the password") {
			t.Error("a wrong password made an account, or was not called wrong")
		}
		b.submit(waiting, "/linked").at(422, "/linked") // not yet
		done := phone.submit(wrong, "/m", "password", secret).at(200, "/m")
		if done.heading() != "Your account is ready" || phone.cookie("signet_session") != "" {
			t.Errorf("afterwards: %q", done.heading())
		}
		if answer := b.submit(waiting, "/linked").answer(); answer.Get("code") == "" {
			t.Errorf("where it began: %v", answer)
		}
		// The code of an account that is made signs in nobody else.
		if p := b.submit(waiting, "/verify", "code", code); p.heading() != "This sign-in is finished" {
			t.Errorf("the code afterwards: %d %q", p.StatusCode, p.heading())
		}
	})
}

// The browser where a sign-up began goes on without a password once the account was made elsewhere, but
// not after its owner has ended everything.
func TestLinks_EverythingEndedSince(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		waiting := b.asks(b.get("/signup"), "noor@example.com").at(200, "/verify")
		_, _, link := s.mailTo("noor@example.com")
		phone := s.browser()
		phone.submit(phone.get(link).at(200, "/m"), "/m", "password", secret).at(200, "/m")
		a, err := s.Accounts.ByIdentifier(t.Context(), "noor@example.com")
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Minute)
		if err := s.Journeys.EndOthers(t.Context(), a.ID, ""); err != nil {
			t.Fatal(err)
		}
		b.submit(waiting, "/linked").at(200, "/login")
		if s.count("session") != 0 || b.cookie("signet_session") != "" {
			t.Error("signed in on the word of a sign-up from before the end")
		}
		b.get(waiting.path).at(200, "/signup") // nothing waits any more
		b.submit(b.get("/login"), "/login", "identifier", "noor@example.com", "password", secret).at(200, "/account")
	})
}

// Twenty posts of one code at once make one account and one session, and nobody sees an error page.
func TestSignUp_TwentyPostsOfOneCode(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		p := b.asks(b.get("/signup"), "noor@example.com").at(200, "/verify")
		_, code, _ := s.mailTo("noor@example.com")
		action, form := p.form("/verify")
		form.Set("code", code)
		var wg sync.WaitGroup
		var mu sync.Mutex
		signedIn := 0
		for range 20 {
			wg.Go(func() {
				r := b.send(http.MethodPost, action, form)
				mu.Lock()
				defer mu.Unlock()
				if slices.ContainsFunc(r.Cookies(), func(c *http.Cookie) bool { return c.Name == "signet_session" }) {
					signedIn++
				} else if r.StatusCode != http.StatusSeeOther && r.StatusCode != http.StatusUnprocessableEntity {
					t.Errorf("%d %s", r.StatusCode, r.heading())
				}
			})
		}
		wg.Wait()
		if signedIn != 1 || s.count("account") != 1 || s.count("session") != 1 {
			t.Errorf("%d signed in, %d accounts, %d sessions", signedIn, s.count("account"), s.count("session"))
		}
		b.get("/account").at(200, "/account")
	})
}

func TestSignUp_AnotherAddressAndLanguage(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		p := b.asks(b.get("/signup"), "nor@example.com").at(200, "/verify")
		_, old, _ := s.mailTo("nor@example.com")
		p = b.get(attr(p.find("a", "href", strings.TrimSuffix(p.path, "verify")+"signup"), "href")).at(200, "/signup")
		if attr(p.find("input", "name", "email"), "value") != "nor@example.com" || attr(p.find("input", "name", "name"), "value") != "Noor" {
			t.Error("what was typed before is gone")
		}
		p = b.submit(p, "/signup", "locale", "ko").at(200, "/signup")
		if !strings.Contains(p.body, "계정 만들기") {
			t.Error("the language did not change")
		}
		p = b.submit(p, "/signup", "email", "noor@example.com", "password", secret).at(200, "/verify")
		b.submit(p, "/verify", "code", old).at(422, "/verify")
		_, code, _ := s.mailTo("noor@example.com")
		b.submit(p, "/verify", "code", code).at(200, "/account")
		a, err := s.Accounts.ByIdentifier(t.Context(), "noor@example.com")
		if err != nil || a.Profile.Locale != "ko" {
			t.Errorf("%+v, %v", a.Profile, err)
		}
		if _, err := s.Accounts.ByIdentifier(t.Context(), "nor@example.com"); err == nil {
			t.Error("the mistyped address has an account")
		}
	})
}

// Security case AZ-22 for sign-ups: code and page belong to the browser where it began.
func TestSignUp_CodeInAnotherBrowser(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		p := b.asks(b.get("/signup"), "noor@example.com").at(200, "/verify")
		_, code, _ := s.mailTo("noor@example.com")
		thief := s.browser()
		for _, path := range []string{p.path, p.path + "/again", p.path + "/linked"} {
			if r := thief.send(http.MethodPost, path, url.Values{"code": {code}}); r.StatusCode != 403 || len(r.Cookies()) > 0 {
				t.Errorf("%s: %d", path, r.StatusCode)
			}
		}
		own := thief.asks(thief.get("/signup"), "other@example.com").at(200, "/verify")
		thief.submit(own, "/verify", "code", code).at(422, "/verify")
		s.clock.Advance(31 * time.Minute)
		if r := b.submit(p, "/verify", "code", code); r.StatusCode != 404 {
			t.Errorf("after the journey: %d", r.StatusCode)
		}
		if s.count("account") != 0 {
			t.Error("an account was made")
		}
		// The link still works, with the password.
		_, _, link := s.mailTo("noor@example.com")
		b.submit(b.get(link).at(200, "/m"), "/m", "password", secret).at(200, "/m")
		if s.count("account") != 1 {
			t.Error("no account was made")
		}
	})
}

// Security case SU-10: each mode says what it is on a page, and means it.
func TestSignUp_Modes(t *testing.T) {
	t.Parallel()
	mode := func(m account.Mode, domains ...string) func(*config.Config) {
		return func(c *config.Config) { c.SignUp.Mode, c.SignUp.Domains = string(m), domains }
	}
	for _, c := range []struct {
		mode    func(*config.Config)
		heading string
	}{
		{mode(account.Closed), "New accounts are not made here"},
		{mode(account.ByInvite), "By invitation only"},
	} {
		eachMailed(t, func(t *testing.T, s *site) {
			b := s.browser()
			p := b.get("/signup")
			if p.StatusCode != 403 || p.heading() != c.heading || p.find("a", "href", strings.TrimSuffix(p.path, "signup")+"login") == nil {
				t.Errorf("%d %q", p.StatusCode, p.heading())
			}
			r := b.send(http.MethodPost, p.path, url.Values{"name": {"N"}, "email": {"noor@example.com"}, "password": {secret}})
			if r.StatusCode != 403 || s.count("one_time") != 0 || s.count("account") != 0 {
				t.Errorf("posted directly: %d", r.StatusCode)
			}
			if login := b.get("/login").at(200, "/login"); strings.Contains(login.body, "/signup") {
				t.Error("the login page leads to the form")
			}
		}, c.mode)
	}
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		p := b.get("/signup").at(200, "/signup")
		if !strings.Contains(p.body, "For addresses at example.com, example.org.") {
			t.Error("the page does not name the domains")
		}
		refused := b.asks(p, "noor@sub.example.com").at(422, "/signup")
		if attr(refused.find("input", "name", "email"), "aria-invalid") != "true" {
			t.Error("the problem is not at the field")
		}
		b.asks(p, "noor@example.org").at(200, "/verify")
	}, mode(account.Domains, "example.com", "example.org"))
}

func TestInvite_FromLinkToAccount(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		invite := func(email string) string {
			_, link, err := s.Accounts.Invite(t.Context(), account.NewInvitation{Email: email})
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimPrefix(link.Reveal(), s.url)
		}
		link := invite("noor@example.com")
		b := s.browser()
		p := b.submit(b.get(link).at(200, "/m"), "/m").at(200, "/signup")
		email := p.find("input", "name", "email")
		if attr(email, "value") != "noor@example.com" || !strings.Contains(p.body, "You have been invited") {
			t.Error("the form does not know the invitation")
		}
		// Security case SU-14.
		b.submit(p, "/signup", "name", "N", "email", "other@example.com", "password", secret).at(422, "/signup")
		verify := b.submit(p, "/signup", "name", "N", "password", secret).at(200, "/verify")
		other := s.browser() // the same link, in another browser, before it is used up
		otherForm := other.submit(other.get(link), "/m").at(200, "/signup")
		_, code, _ := s.mailTo("noor@example.com")
		b.submit(verify, "/verify", "code", code).at(200, "/account")
		if b.cookie("signet_invitation") != "" {
			t.Error("the invitation is kept")
		}
		if p := other.submit(otherForm, "/signup", "name", "N", "password", secret); p.StatusCode != 403 || p.heading() != "The invitation cannot be used any more" {
			t.Errorf("used: %d %q", p.StatusCode, p.heading())
		}
		if p := s.browser().get(link); p.StatusCode != 404 || p.heading() != "This link does nothing any more" {
			t.Errorf("opened again: %d %q", p.StatusCode, p.heading())
		}
		late := invite("")
		if err := s.Accounts.Uninvite(t.Context(), "noor@example.com"); err == nil {
			t.Error("a used invitation was taken back")
		}
		s.clock.Advance(account.InvitationLife)
		if p := s.browser().get(late); p.StatusCode != 404 || p.heading() != "This link has expired" {
			t.Errorf("expired: %d %q", p.StatusCode, p.heading())
		}
	}, func(c *config.Config) { c.SignUp.Mode = string(account.ByInvite) })
}

// Of two who wait with one invitation the second is told what is wrong: it is not the code.
func TestInvite_UsedWhileTheCodeWasOnItsWay(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		_, link, err := s.Accounts.Invite(t.Context(), account.NewInvitation{})
		if err != nil {
			t.Fatal(err)
		}
		waiting := map[string]*page{}
		browsers := map[string]*agent{"noor@example.com": s.browser(), "kim@example.com": s.browser()}
		for email, b := range browsers {
			form := b.submit(b.get(strings.TrimPrefix(link.Reveal(), s.url)).at(200, "/m"), "/m").at(200, "/signup")
			waiting[email] = b.submit(form, "/signup", "name", "N", "email", email, "password", secret).at(200, "/verify")
		}
		finish := func(email string) *page {
			_, code, _ := s.mailTo(email)
			return browsers[email].submit(waiting[email], "/verify", "code", code)
		}
		finish("noor@example.com").at(200, "/account")
		if p := finish("kim@example.com"); p.StatusCode != 403 || p.heading() != "The invitation cannot be used any more" {
			t.Errorf("the second: %d %q", p.StatusCode, p.heading())
		}
		if s.count("account") != 1 {
			t.Error("one invitation made two accounts")
		}
	}, func(c *config.Config) { c.SignUp.Mode = string(account.ByInvite) })
}

func TestLinks_UnknownOnes(t *testing.T) {
	t.Parallel()
	eachMailed(t, func(t *testing.T, s *site) {
		b := s.browser()
		for _, path := range []string{"/m", "/m/x", "/m/" + id.NewToken(id.SessionCookie), "/m/" + id.NewToken(id.MailLink), "/m/" + id.NewToken(id.Invitation), "/m/sgn_mail_" + strings.Repeat("A", 48)} {
			p := b.get(path)
			if p.StatusCode != 404 || p.heading() != "This link cannot be used" {
				t.Errorf("%s: %d %q", path, p.StatusCode, p.heading())
			}
			if p := b.send(http.MethodPost, "/m", url.Values{"password": {"x"}}); p.StatusCode != 404 {
				t.Errorf("%s, posted: %d", path, p.StatusCode)
			}
		}
	})
}

func TestTerms_AtSignUpAndWhenTheyChange(t *testing.T) {
	t.Parallel()
	terms := func(c *config.Config) {
		c.SignUp.TermsVersion, c.Branding.TermsURL, c.Branding.PrivacyURL = "2", "https://example.com/terms", "https://example.com/privacy"
	}
	eachMailed(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(true)
		p := b.get("/signup").at(200, "/signup")
		if p.find("a", "href", "https://example.com/terms") == nil {
			t.Error("the terms are not linked")
		}
		missing := b.asks(p, "noor@example.com", "terms", "").at(422, "/signup")
		if box := missing.find("input", "name", "terms"); attr(box, "aria-invalid") != "true" || attr(box, "checked") != "" {
			t.Error("the problem is not at the box")
		}
		b.asks(p, "noor@example.com", "terms", "1").at(422, "/signup") // of yesterday
		p = b.asks(p, "noor@example.com", "terms", "2").at(200, "/verify")
		_, code, _ := s.mailTo("noor@example.com")
		b.submit(p, "/verify", "code", code).at(200, "/account")

		s.user("mina") // by an administrator, who cannot agree for her
		m := s.browser()
		p = m.login(m.get(s.authorize(c)), "mina").at(200, "/terms")
		for _, path := range []string{"/account", "/account/profile"} { // no way around
			if p := m.get(path); !strings.HasSuffix(p.path, "/terms") {
				t.Errorf("%s leads to %s", path, p.path)
			}
		}
		if answer := m.get(s.authorize(c, "prompt", "none")).answer(); answer.Get("error") != "interaction_required" {
			t.Errorf("prompt=none: %v", answer)
		}
		m.submit(p, "/terms", "version", "1").at(200, "/terms") // the page was of yesterday
		if answer := m.submit(p, "/terms").answer(); answer.Get("code") == "" {
			t.Errorf("afterwards: %v", answer)
		}
		m.get("/account").at(200, "/account")
	}, terms)
}
