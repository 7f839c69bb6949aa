package pages_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/identity/mfa"
	"signet/internal/identity/passkey"
	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/platform/audit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// key gives an account a passkey on an authenticator of its own.
func (s *site) key(a account.Account) *passkeytest.Authenticator {
	s.t.Helper()
	device := passkeytest.New(s.url)
	device.Counts = true
	o, err := s.Passkeys.RegisterOptions(s.t.Context(), passkey.Owner{User: a.ID, Name: a.Email}, "here")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Passkeys.Register(s.t.Context(), a.ID, "here", device.Create(s.t, o), "Key of "+a.Username); err != nil {
		s.t.Fatal(err)
	}
	return device
}

// options is what a page asks its browser for.
func (p *page) options(kind string) []byte {
	p.t.Helper()
	n := p.find("section", "data-passkey", kind)
	if n == nil {
		p.t.Fatalf("%s (%d) asks for no passkey:\n%s", p.path, p.StatusCode, p.body)
	}
	return []byte(attr(n, "data-options"))
}

// shownCodes expects the page with recovery codes: from now on the password alone is not enough for a,
// wherever the passkey is not. It returns where the page goes on to.
func (s *site) shownCodes(p *page, a account.Account, next string) string {
	s.t.Helper()
	has, err := s.MFA.Of(s.t.Context(), a.ID)
	if err != nil || has.RecoveryLeft != mfa.RecoveryCodes || strings.Count(p.body, "<li><code>") != mfa.RecoveryCodes {
		s.t.Errorf("%+v (%v) on %s", has, err, p.body)
	}
	to := attr(p.find("a", "class", "button primary"), "href")
	if !strings.HasPrefix(to, next) {
		s.t.Errorf("goes on to %q", to)
	}
	return to
}

// No name, no password: a passkey that verified its holder counts for two.
func TestPasskey_SignsInWithoutAName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		device := s.key(s.user("alice"))
		b := s.browser()
		p := b.get("/login").at(200, "/login")
		if id := p.find("input", "name", "identifier"); attr(id, "autocomplete") != "username webauthn" {
			t.Error("passkeys are not in the autofill")
		}
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "; connect-src 'self';") {
			t.Errorf("newer options cannot be fetched under %s", csp)
		}
		b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).at(200, "/account")
		if b.cookie("signet_last") != "passkey" {
			t.Error("the way in is not remembered")
		}
		b.get("/account/passkeys/add").at(200, "/add") // fresh, and two factors

		c := s.client(true)
		app := s.browser()
		p = app.get(s.authorize(c, "acr_values", "phr"))
		if app.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).answer().Get("code") == "" {
			t.Error("a passkey is not resistant enough")
		}
	})
}

// Security cases PK-02 and PK-03 from outside: another journey's challenge, one used before, an old one,
// nobody verified. The page stays the login page.
func TestPasskey_LoginRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		device := s.key(s.user("alice"))
		b := s.browser()
		other := b.get("/login").options("get")
		p := b.get("/login")
		refused := func(name, answer, text string) {
			t.Helper()
			got := b.submit(p, "/passkey", "answer", answer)
			got.at(401, "/passkey")
			if !strings.Contains(got.body, text) || b.cookie("signet_session") != "" {
				t.Errorf("%s: %s", name, got.body)
			}
			if action, _ := got.form("/login"); !strings.HasSuffix(action, "/login") {
				t.Errorf("%s: the password goes to %s", name, action)
			}
			p = got
		}
		refused("another journey's challenge", string(device.Get(t, other)), "took too long")
		refused("nobody verified", string(device.Get(t, p.options("get"), func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UV })), "was not accepted")
		refused("no answer", "", "was not accepted")
		refused("a wrong answer", `{"id":"AA"`, "was not accepted")
		old := p.options("get")
		s.clock.Advance(passkey.Life)
		refused("an old one", string(device.Get(t, old)), "took too long")
		answer := string(device.Get(t, p.options("get")))
		b.submit(p, "/passkey", "answer", answer).at(200, "/account")
		// A finished journey takes nothing any more, so the replay is of another browser's.
		if r := s.browser().send(http.MethodPost, p.path, map[string][]string{"answer": {answer}}); r.StatusCode != http.StatusForbidden {
			t.Errorf("another browser: %d", r.StatusCode)
		}
	})
}

func TestPasskey_NewerOptions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		device := s.key(s.user("alice"))
		b := s.browser()
		p := b.get("/login")
		s.clock.Advance(passkey.Life)
		section := p.find("section", "data-passkey", "get")
		fresh := b.send(http.MethodGet, attr(section, "data-fresh"), nil)
		if fresh.StatusCode != 200 || fresh.Header.Get("Content-Type") != "application/json" || fresh.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", fresh.StatusCode, fresh.Header)
		}
		b.submit(p, "/passkey", "answer", string(device.Get(t, []byte(fresh.body)))).at(200, "/account")
		if r := s.browser().send(http.MethodGet, attr(section, "data-fresh"), nil); r.StatusCode != http.StatusForbidden {
			t.Errorf("another browser gets %d", r.StatusCode)
		}
	})
}

// An unknown passkey is said to be one, and the page tells the browser.
func TestPasskey_UnknownOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		device := s.key(a)
		list, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Passkeys.Remove(t.Context(), a.ID, list[0].ID); err != nil {
			t.Fatal(err)
		}
		b := s.browser()
		p := b.get("/login")
		p = b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).at(401, "/passkey")
		signal := p.find("span", "data-signal", "unknown")
		if signal == nil || !strings.Contains(attr(signal, "data-about"), list[0].Key) || !strings.Contains(p.body, "not known here any more") {
			t.Errorf("page %s", p.body)
		}
	})
}

func TestPasskey_SecondFactor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		device, others := s.key(s.user("alice")), s.key(s.user("bob"))
		b := s.browser()
		p := b.login(b.get("/login"), "alice").at(200, "/mfa")
		if b.cookie("signet_session") != "" {
			t.Fatal("half a sign-in has a session")
		}
		// Security case PK-09: nothing is added in half a sign-in.
		b.get("/account/passkeys/add").at(200, "/login")
		p = b.submit(p, "/mfa/passkey", "answer", string(others.Get(t, p.options("get")))).at(401, "/passkey")
		if action, _ := p.form("/mfa"); !strings.HasSuffix(action, "/mfa") {
			t.Errorf("the code goes to %s", action)
		}
		p = b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get"), func(an *passkeytest.Answer) { an.UserHandle = nil })), "trust", "1")
		p.at(200, "/account")

		// Remembered: the password is enough, but not to change what protects the account.
		b.submit(b.get("/logout"), "/logout", "answer", "leave")
		b.login(b.get("/login"), "alice").at(200, "/account")
		b.get("/account/passkeys/add").at(200, "/mfa")
	})
}

// Security case PK-09: adding needs a sign-in of the last minutes, in this very session.
func TestPasskey_AddNeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		s.user("bob")
		b, other := s.signedIn("alice"), s.signedIn("alice")
		device := passkeytest.New(s.url)
		p := b.get("/account/passkeys/add").at(200, "/add")
		answer := string(device.Create(t, p.options("create")))
		for name, who := range map[string]*agent{"another session": other, "another user": s.signedIn("bob")} {
			got := who.submit(who.get("/account/passkeys/add"), "/add", "answer", answer)
			if got.StatusCode != 401 || !strings.Contains(got.body, "took too long") {
				t.Errorf("%s: %d", name, got.StatusCode)
			}
		}
		s.clock.Advance(11 * time.Minute)
		b.submit(p, "/add", "answer", answer).at(200, "/login")
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 0 {
			t.Fatalf("%d were added (%v)", n, err)
		}
		p = b.login(b.get("/account/passkeys/add"), "alice").at(200, "/add")
		p = b.submit(p, "/add", "answer", string(device.Create(t, p.options("create")))).at(200, "/add")
		if !strings.Contains(p.body, "The passkey is added.") {
			t.Error("nobody is told that it is added")
		}
		s.shownCodes(p, a, "/account/passkeys")
		// Who has some keeps them.
		s.clock.Advance(time.Second)
		p = b.get("/account/passkeys/add").at(200, "/mfa")
		p = b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get")))).at(200, "/add")
		p = b.submit(p, "/add", "answer", string(passkeytest.New(s.url).Create(t, p.options("create")))).at(200, "/passkeys")
		if !strings.Contains(p.body, "The passkey is added.") {
			t.Error("nobody is told that the second one is added")
		}
	})
}

func TestPasskey_ListRenameRemove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a, carol := s.user("alice"), s.user("carol")
		device := s.key(a)
		s.key(carol)
		foreign, err := s.Passkeys.List(t.Context(), carol.ID)
		if err != nil {
			t.Fatal(err)
		}
		b := s.browser()
		p := b.get("/login")
		b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get"))))
		p = b.get("/account/passkeys").at(200, "/passkeys")
		if !strings.Contains(p.body, "Key of alice") || strings.Contains(p.body, "Key of carol") || p.find("span", "data-signal", "all") == nil {
			t.Errorf("list %s", p.body)
		}
		if p = b.submit(p, "/passkeys", "name", " "); p.StatusCode != 422 || !strings.Contains(p.body, "Give the passkey a name") {
			t.Errorf("no name: %d", p.StatusCode)
		}
		p = b.submit(p, "/passkeys", "name", "<b>Blue</b>").at(200, "/passkeys")
		if !strings.Contains(p.body, "&lt;b&gt;Blue&lt;/b&gt;") {
			t.Error("the new name is not there")
		}
		if r := b.send(http.MethodPost, "/account/passkeys", map[string][]string{"passkey": {foreign[0].ID}, "name": {"mine"}}); r.StatusCode != 404 {
			t.Errorf("renaming another's: %d", r.StatusCode)
		}

		// Security case PK-10.
		for _, one := range []string{foreign[0].ID, "no-such", "..%2f..%2flogout"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if r := b.send(method, "/account/passkeys/"+one+"/remove", map[string][]string{"x": {"y"}}); r.StatusCode != 404 {
					t.Errorf("%s of %s: %d", method, one, r.StatusCode)
				}
			}
		}
		mine, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		p = b.get("/account/passkeys/"+mine[0].ID+"/remove").at(200, "/remove")
		p = b.submit(p, "/remove").at(200, "/passkeys")
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 0 || !strings.Contains(p.body, "The passkey is removed.") {
			t.Errorf("%d are left (%v)", n, err)
		}
	})
}

// Security case PK-10: who has nothing else to sign in with keeps the last passkey.
func TestPasskey_LastWayInStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a, err := s.Accounts.Create(t.Context(), account.NewAccount{Email: "dora@example.com", Username: "dora", Source: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		device := s.key(a)
		b := s.browser()
		p := b.get("/login")
		b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).at(200, "/account")
		list, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		p = b.get("/account/passkeys/" + list[0].ID + "/remove")
		p = b.submit(p, "/remove").at(409, "/remove")
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 1 || !strings.Contains(p.body, "the only way in which you can sign in") {
			t.Errorf("%d are left (%v): %s", n, err, p.body)
		}
	})
}

// The offer: only where the browser can, only after a password, never twice in a row.
func TestPasskey_Offer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		enter := func(b *agent) *page {
			t.Helper()
			return b.submit(b.get("/login"), "/login", "identifier", "alice", "password", secret, "can_passkey", "1")
		}
		b := s.browser()
		p := enter(b).at(200, "/offer")
		b.submit(p, "/offer", "choice", "later").at(200, "/account")
		enter(s.browser()).at(200, "/account")
		s.clock.Advance(passkey.AskAgain)

		c := s.client(true)
		b = s.browser()
		p = b.submit(b.get(s.authorize(c)), "/login", "identifier", "alice", "password", secret, "can_passkey", "1").at(200, "/offer")
		device := passkeytest.New(s.url)
		if p = b.submit(p, "/offer", "answer", "{}"); p.StatusCode != 401 || !strings.Contains(p.body, "was not accepted") {
			t.Errorf("a wrong answer: %d", p.StatusCode)
		}
		if n := p.find("section", "data-passkey", "create"); attr(n, "data-upgrade") != "" {
			t.Error("after a failure the browser is asked to add one by itself")
		}
		p = b.submit(p, "/offer", "answer", string(device.Create(t, p.options("create")))).at(200, "/offer")
		if b.get(s.shownCodes(p, a, "/signin/")).answer().Get("code") == "" {
			t.Error("the journey did not go on")
		}
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 1 {
			t.Errorf("%d passkeys (%v)", n, err)
		}

		s.user("bob")
		b = s.browser()
		b.login(b.get("/login"), "bob").at(200, "/account") // this browser has no passkeys
		b = s.browser()
		p = b.submit(b.get("/login"), "/login", "identifier", "bob", "password", secret, "can_passkey", "1").at(200, "/offer")
		b.submit(p, "/offer", "choice", "never").at(200, "/account")
		s.clock.Advance(10 * passkey.AskAgain)
		b = s.browser()
		b.submit(b.get("/login"), "/login", "identifier", "bob", "password", secret, "can_passkey", "1").at(200, "/account")
	})
}

// What the browser adds by itself on the offer's page needs nobody's presence.
func TestPasskey_OfferUpgrade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		b := s.browser()
		p := b.submit(b.get("/login"), "/login", "identifier", "alice", "password", secret, "can_passkey", "1").at(200, "/offer")
		device := passkeytest.New(s.url)
		device.Flags = 0
		section := p.find("section", "data-passkey", "create")
		if r := b.submit(p, "/offer", "answer", string(device.Create(t, p.options("create")))); r.StatusCode != 401 {
			t.Errorf("without presence, for the button: %d", r.StatusCode)
		}
		p = b.submit(p, "/offer", "answer", string(device.Create(t, []byte(attr(section, "data-upgrade"))))).at(200, "/offer")
		b.get(s.shownCodes(p, a, "/signin/")).at(200, "/account")
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 1 {
			t.Errorf("%d passkeys (%v)", n, err)
		}
		log, err := s.Audit.List(t.Context(), audit.Filter{Action: "passkey.add"})
		if err != nil || len(log) != 2 || log[0].Result != audit.OK || log[1].Result != audit.Refused {
			t.Errorf("records %+v (%v)", log, err)
		}
	})
}

// Where two factors are required, a passkey can become the second one.
func TestPasskey_Enrolment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, func(c *config.Config) { c.MFA.Mode = "required" })
		a := s.user("alice")
		b := s.browser()
		p := b.login(b.get("/login"), "alice").at(200, "/enroll")
		device := passkeytest.New(s.url)
		if p = b.submit(p, "/enroll/passkey", "answer", "{}"); p.StatusCode != 401 || b.cookie("signet_session") != "" {
			t.Errorf("a wrong answer: %d", p.StatusCode)
		}
		p = b.submit(p, "/enroll/passkey", "answer", string(device.Create(t, p.options("create")))).at(200, "/passkey")
		b.get(s.shownCodes(p, a, "/signin/")).at(200, "/account")
	})
}

// Security case MF-08: where everybody has to have a second factor the last one stays.
func TestPasskey_LastSecondFactorStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, func(c *config.Config) { c.MFA.Mode = "required" })
		a := s.user("alice")
		device := s.key(a)
		s.key(a)
		list, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		b := s.browser()
		p := b.get("/login")
		b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).at(200, "/account")
		remove := func(c passkey.Credential) *page {
			return b.submit(b.get("/account/passkeys/"+c.ID+"/remove"), "/remove")
		}
		remove(list[0]).at(200, "/passkeys")
		if p = remove(list[1]).at(409, "/remove"); !strings.Contains(p.body, "requires a second factor") {
			t.Errorf("the reason is not given: %s", p.body)
		}
		if n, err := s.Passkeys.Count(t.Context(), a.ID); err != nil || n != 1 {
			t.Errorf("%d are left (%v)", n, err)
		}
	})
}

// Of two who take the last two away at the same moment one is refused.
func TestPasskey_LastTwoFactorsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, func(c *config.Config) { c.MFA.Mode = "required" })
		a := s.user("alice")
		device := s.key(a)
		list, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		b := s.browser()
		p := b.get("/login")
		b.submit(p, "/passkey", "answer", string(device.Get(t, p.options("get")))).at(200, "/account")
		e, err := s.MFA.BeginTOTP(t.Context(), a.ID, "here", "alice")
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCode(e.Secret.Reveal(), s.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.MFA.ConfirmTOTP(t.Context(), a.ID, e.ID, "here", seal.Secret(code)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { b.send(http.MethodPost, "/account/security/totp", map[string][]string{"act": {"remove"}}) })
		wg.Go(func() {
			b.send(http.MethodPost, "/account/passkeys/"+list[0].ID+"/remove", map[string][]string{"x": {"y"}})
		})
		wg.Wait()
		if has, err := s.MFA.Of(t.Context(), a.ID); err != nil || has.TOTP == (has.Passkeys > 0) {
			t.Errorf("%+v are left (%v)", has, err)
		}
	})
}

// A browser was remembered for a second factor that is gone: it is asked for the next one.
func TestPasskey_RemovedFactorLeavesNoTrust(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		device := s.key(a)
		b := s.browser()
		p := b.login(b.get("/login"), "alice").at(200, "/mfa")
		b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get"))), "trust", "1").at(200, "/account")
		list, err := s.Passkeys.List(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.submit(b.get("/account/passkeys/"+list[0].ID+"/remove"), "/remove").at(200, "/passkeys")
		b.submit(b.get("/logout"), "/logout", "answer", "leave")
		b.login(b.get("/login"), "alice").at(200, "/account")
		b.submit(b.get("/logout"), "/logout", "answer", "leave")
		s.key(a)
		b.login(b.get("/login"), "alice").at(200, "/mfa")
	})
}

func TestPasskey_SwitchedOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, func(c *config.Config) { c.Passkeys.Enabled = false })
		s.user("alice")
		b := s.browser()
		p := b.get("/login")
		if p.find("section", "data-passkey", "get") != nil || strings.Contains(p.Header.Get("Content-Security-Policy"), "connect-src") {
			t.Error("the login page asks for passkeys")
		}
		b.submit(p, "/login", "identifier", "alice", "password", secret, "can_passkey", "1").at(200, "/account")
		for _, path := range []string{"/account/passkeys", "/.well-known/webauthn"} {
			if r := b.send(http.MethodGet, path, nil); r.StatusCode != 404 {
				t.Errorf("%s answers %d", path, r.StatusCode)
			}
		}
	})
}

// WebAuthn Level 3 §5.11.1.
func TestPasskey_RelatedOrigins(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, func(c *config.Config) { c.Passkeys.Origins = []string{"https://id.example.net"} })
		r := s.browser().send(http.MethodGet, "/.well-known/webauthn", nil)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" || r.body != `{"origins":["`+s.url+`","https://id.example.net"]}` {
			t.Errorf("%d %q %s", r.StatusCode, r.Header.Get("Content-Type"), r.body)
		}
	})
}

// Where nothing but a resistant factor will do, presence alone is none.
func TestPasskey_ResistantSecondFactor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		device := s.key(s.user("alice"))
		c := s.client(true)
		b := s.browser()
		touch := func(an *passkeytest.Answer) { an.Flags &^= passkeytest.UV }
		p := b.login(b.get("/login"), "alice").at(200, "/mfa")
		b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get"), touch))).at(200, "/account")
		p = b.get(s.authorize(c, "acr_values", "phr")).at(200, "/mfa")
		if !strings.Contains(string(p.options("get")), `"userVerification":"required"`) {
			t.Errorf("options %s", p.options("get"))
		}
		p = b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get"), touch))).at(401, "/passkey")
		if !strings.Contains(p.body, "did not ask for your fingerprint") {
			t.Errorf("the reason is not given: %s", p.body)
		}
		if b.submit(p, "/mfa/passkey", "answer", string(device.Get(t, p.options("get")))).answer().Get("code") == "" {
			t.Error("a verified one is not enough")
		}
	})
}
