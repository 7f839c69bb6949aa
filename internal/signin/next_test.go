package signin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/session"
	"signet/internal/platform/id"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seconds(n int64) *int64 { return &n }

// signedIn is a person who signed in ten minutes ago and owes nothing.
func signedIn(change func(*Facts)) Facts {
	f := Facts{User: "alice", AuthTime: noon.Add(-10 * time.Minute), Now: noon, Mode: MFAOptional, Level: 1}
	if change != nil {
		change(&f)
	}
	return f
}

func TestNext_Table(t *testing.T) {
	t.Parallel()
	nobody := func(change func(*Facts)) Facts {
		f := Facts{Now: noon}
		if change != nil {
			change(&f)
		}
		return f
	}
	prompts := func(list string) func(*Facts) {
		return func(f *Facts) { f.Prompt = strings.Fields(list) }
	}
	for _, c := range []struct {
		name  string
		facts Facts
		step  Step
		code  string
	}{
		{"nobody", nobody(nil), Login, ""},
		{"signed in, nothing owed", signedIn(nil), Done, ""},
		{"disabled counts as nobody", signedIn(func(f *Facts) { f.Disabled = true }), Login, ""},
		{"disabled in mid-journey", signedIn(func(f *Facts) { f.Disabled, f.Proved, f.Approved = true, true, true }), Login, ""},
		{"consent missing", signedIn(func(f *Facts) { f.ConsentMissing = true }), Consent, ""},
		{"consent given here", signedIn(func(f *Facts) { f.ConsentMissing, f.Approved = true, true }), Done, ""},

		// OIDC Core §3.1.2.1, prompt.
		{"login, nobody", nobody(prompts("login")), Login, ""},
		{"login, signed in", signedIn(prompts("login")), Login, ""},
		{"login, proved", signedIn(func(f *Facts) { f.Prompt, f.Proved = []string{"login"}, true }), Done, ""},
		{"login, merely chosen", signedIn(func(f *Facts) { f.Prompt, f.Chosen = []string{"login"}, true }), Login, ""},
		{"consent, granted before", signedIn(prompts("consent")), Consent, ""},
		{"consent, approved here", signedIn(func(f *Facts) { f.Prompt, f.Approved = []string{"consent"}, true }), Done, ""},
		{"consent, nobody", nobody(prompts("consent")), Login, ""},
		{"select, nobody", nobody(prompts("select_account")), Login, ""},
		{"select, signed in", signedIn(prompts("select_account")), Select, ""},
		{"select, chosen", signedIn(func(f *Facts) { f.Prompt, f.Chosen = []string{"select_account"}, true }), Done, ""},
		{"select, signed in as another", signedIn(func(f *Facts) { f.Prompt, f.Proved = []string{"select_account"}, true }), Done, ""},
		{"select login", signedIn(prompts("select_account login")), Select, ""},
		{"select login, chosen", signedIn(func(f *Facts) { f.Prompt, f.Chosen = []string{"select_account", "login"}, true }), Login, ""},
		{"login consent", signedIn(prompts("login consent")), Login, ""},
		{"login consent, proved", signedIn(func(f *Facts) { f.Prompt, f.Proved = []string{"login", "consent"}, true }), Consent, ""},
		{"select consent, chosen", signedIn(func(f *Facts) { f.Prompt, f.Chosen = []string{"select_account", "consent"}, true }), Consent, ""},
		// Initiating User Registration via OpenID Connect §4.
		{"create, nobody", nobody(prompts("create")), SignUp, ""},
		{"create, signed in", signedIn(prompts("create")), SignUp, ""},
		{"create, done here", signedIn(func(f *Facts) { f.Prompt, f.Proved = []string{"create"}, true }), Done, ""},
		{"create, done here, then gone", nobody(func(f *Facts) { f.Prompt, f.Proved = []string{"create"}, true }), SignUp, ""},
		{"create login consent", nobody(prompts("create login consent")), SignUp, ""},

		// OIDC Core §3.1.2.1, max_age.
		{"max_age kept", signedIn(func(f *Facts) { f.MaxAge = seconds(601) }), Done, ""},
		{"max_age to the second", signedIn(func(f *Facts) { f.MaxAge = seconds(600) }), Done, ""},
		{"max_age passed", signedIn(func(f *Facts) { f.MaxAge = seconds(599) }), Login, ""},
		{"max_age passed, proved", signedIn(func(f *Facts) { f.MaxAge, f.Proved = seconds(599), true }), Done, ""},
		{"max_age 0", signedIn(func(f *Facts) { f.MaxAge = seconds(0) }), Login, ""},
		{"max_age 0 this very second", signedIn(func(f *Facts) { f.MaxAge, f.AuthTime = seconds(0), noon }), Login, ""},
		{"max_age 0, proved", signedIn(func(f *Facts) { f.MaxAge, f.Proved = seconds(0), true }), Done, ""},
		{"max_age huge", signedIn(func(f *Facts) { f.MaxAge = seconds(1<<63 - 1) }), Done, ""},
		{"max_age after select", signedIn(func(f *Facts) { f.MaxAge, f.Prompt, f.Chosen = seconds(1), []string{"select_account"}, true }), Login, ""},

		// OIDC Core §3.1.2.1, id_token_hint.
		{"hint fits", signedIn(func(f *Facts) { f.HintSubject = "alice" }), Done, ""},
		{"hint names another", signedIn(func(f *Facts) { f.HintSubject = "bob" }), Login, ""},
		{"hint names another, insists", signedIn(func(f *Facts) { f.HintSubject, f.Proved = "bob", true }), Refuse, LoginRequired},
		{"hint, nobody", nobody(func(f *Facts) { f.HintSubject = "bob" }), Login, ""},
		{"hint names another, select", signedIn(func(f *Facts) { f.HintSubject, f.Prompt = "bob", []string{"select_account"} }), Login, ""},

		// OIDC Core §3.1.2.6, prompt=none.
		{"none, nothing owed", signedIn(prompts("none")), Done, ""},
		{"none, nobody", nobody(prompts("none")), Refuse, LoginRequired},
		{"none, disabled", signedIn(func(f *Facts) { f.Prompt, f.Disabled = []string{"none"}, true }), Refuse, LoginRequired},
		{"none, too old", signedIn(func(f *Facts) { f.Prompt, f.MaxAge = []string{"none"}, seconds(1) }), Refuse, LoginRequired},
		{"none, max_age 0", signedIn(func(f *Facts) { f.Prompt, f.MaxAge = []string{"none"}, seconds(0) }), Refuse, LoginRequired},
		{"none, hint names another", signedIn(func(f *Facts) { f.Prompt, f.HintSubject = []string{"none"}, "bob" }), Refuse, LoginRequired},
		{"none, consent missing", signedIn(func(f *Facts) { f.Prompt, f.ConsentMissing = []string{"none"}, true }), Refuse, ConsentRequired},
		{"none, both missing", nobody(func(f *Facts) { f.Prompt, f.ConsentMissing = []string{"none"}, true }), Refuse, LoginRequired},
		{"none select", signedIn(prompts("none select_account")), Refuse, AccountSelectionRequired},
		{"none login", signedIn(prompts("none login")), Refuse, LoginRequired},
		{"none consent", signedIn(prompts("none consent")), Refuse, ConsentRequired},
		{"none create", signedIn(prompts("none create")), Refuse, InteractionRequired},

		// Second factors. A half sign-in is nobody: whatever else is asked waits.
		{"half, app", nobody(func(f *Facts) { f.Half, f.TOTP = true, true }), MFA, ""},
		{"half, passkey", nobody(func(f *Facts) { f.Half, f.Passkeys = true, true }), MFA, ""},
		{"half, none set up", nobody(func(f *Facts) { f.Half = true }), Enroll, ""},
		{"half, somebody else signed in", signedIn(func(f *Facts) { f.Half, f.TOTP = true, true }), MFA, ""},
		{"half, login asked", nobody(func(f *Facts) { f.Half, f.TOTP, f.Prompt = true, true, []string{"login", "consent"} }), MFA, ""},
		{"half, create asked", nobody(func(f *Facts) { f.Half, f.TOTP, f.Prompt = true, true, []string{"create"} }), MFA, ""},
		{"none, half", nobody(func(f *Facts) { f.Half, f.TOTP, f.Prompt = true, true, []string{"none"} }), Refuse, LoginRequired},
		{"required", signedIn(func(f *Facts) { f.Mode, f.TOTP = MFARequired, true }), MFA, ""},
		{"required, none set up", signedIn(func(f *Facts) { f.Mode = MFARequired }), Enroll, ""},
		{"required, none set up, old", signedIn(func(f *Facts) { f.Mode, f.AuthTime = MFARequired, noon.Add(-time.Hour) }), Login, ""},
		{"required, none set up, old, proved", signedIn(func(f *Facts) { f.Mode, f.AuthTime, f.Proved = MFARequired, noon.Add(-time.Hour), true }), Enroll, ""},
		{"required, remembered", signedIn(func(f *Facts) { f.Mode, f.TOTP, f.Known = MFARequired, true, true }), Done, ""},
		{"required, two factors", signedIn(func(f *Facts) { f.Mode, f.TOTP, f.Level = MFARequired, true, 2 }), Done, ""},
		{"optional, one factor", signedIn(func(f *Facts) { f.TOTP = true }), Done, ""},
		{"application demands two", signedIn(func(f *Facts) { f.TwoFactors, f.TOTP = true, true }), MFA, ""},
		{"application demands two, remembered", signedIn(func(f *Facts) { f.TwoFactors, f.TOTP, f.Known = true, true, true }), MFA, ""},
		{"application demands two, has them", signedIn(func(f *Facts) { f.TwoFactors, f.Level = true, 2 }), Done, ""},
		{"application demands two, all off", signedIn(func(f *Facts) { f.TwoFactors, f.Mode = true, MFAOff }), Refuse, UnmetAuthentication},
		{"application demands two, none", signedIn(func(f *Facts) { f.TwoFactors, f.Prompt = true, []string{"none"} }), Refuse, LoginRequired},
		// RFC 9470 §4: any of the classes asked for will do.
		{"acr 2fa", signedIn(func(f *Facts) { f.ACRValues, f.TOTP = []string{session.TwoFactors}, true }), MFA, ""},
		{"acr 2fa, reached", signedIn(func(f *Facts) { f.ACRValues, f.Level = []string{session.TwoFactors}, 2 }), Done, ""},
		{"acr 2fa, remembered", signedIn(func(f *Facts) { f.ACRValues, f.Known, f.TOTP = []string{session.TwoFactors}, true, true }), MFA, ""},
		{"acr 2fa, all off", signedIn(func(f *Facts) { f.ACRValues, f.Mode = []string{session.TwoFactors}, MFAOff }), Done, ""},
		{"acr 2fa or 1fa", signedIn(func(f *Facts) { f.ACRValues = []string{session.TwoFactors, session.OneFactor} }), Done, ""},
		{"acr phr, an app", signedIn(func(f *Facts) {
			f.ACRValues, f.TOTP, f.Level, f.Recent = []string{session.PhishingResistant}, true, 2, 2
		}), Enroll, ""},
		{"acr phr, an app proven a while ago", signedIn(func(f *Facts) {
			f.ACRValues, f.TOTP, f.Level, f.Recent = []string{session.PhishingResistant}, true, 2, 1
		}), MFA, ""},
		{"acr phr, a passkey", signedIn(func(f *Facts) { f.ACRValues, f.Passkeys, f.Level = []string{session.PhishingResistant}, true, 2 }), MFA, ""},
		{"acr phr, reached", signedIn(func(f *Facts) { f.ACRValues, f.Resistant, f.Level = []string{session.PhishingResistant}, true, 2 }), Done, ""},
		{"acr phr or 2fa", signedIn(func(f *Facts) { f.ACRValues, f.Level = []string{session.PhishingResistant, session.TwoFactors}, 2 }), Done, ""},
		{"acr 2fa, none", signedIn(func(f *Facts) { f.ACRValues, f.Prompt = []string{session.TwoFactors}, []string{"none"} }), Refuse, LoginRequired},
		// OIDC Core §5.5.1.1: an essential acr is a demand, whatever the deployment asks of others.
		{"acr demanded, reached", signedIn(demand(session.OneFactor)), Done, ""},
		{"acr demanded, a code away", signedIn(func(f *Facts) { demand(session.TwoFactors)(f); f.TOTP = true }), MFA, ""},
		{"acr demanded, all off", signedIn(func(f *Facts) { demand(session.TwoFactors)(f); f.Mode = MFAOff }), Refuse, UnmetAuthentication},
		{"acr demanded, all off, reached", signedIn(func(f *Facts) { demand(session.TwoFactors)(f); f.Mode, f.Level = MFAOff, 2 }), Done, ""},
		{"acr demanded, not ours", signedIn(demand()), Refuse, UnmetAuthentication},
		{"acr demanded, not ours, nobody", nobody(demand()), Refuse, UnmetAuthentication},
		{"acr demanded, not ours, login asked", nobody(func(f *Facts) { demand()(f); f.Prompt = []string{"login"} }), Refuse, UnmetAuthentication},
		{"none, acr demanded, not ours", signedIn(func(f *Facts) { demand()(f); f.Prompt = []string{"none"} }), Refuse, UnmetAuthentication},
		{"none, acr demanded", signedIn(func(f *Facts) { demand(session.TwoFactors)(f); f.Prompt = []string{"none"} }), Refuse, LoginRequired},

		// What accounts owe.
		{"sign-up waits", nobody(func(f *Facts) { f.SigningUp = true }), Verify, ""},
		{"sign-up waits, create asked", nobody(func(f *Facts) { f.SigningUp, f.Prompt = true, []string{"create"} }), Verify, ""},
		{"sign-up waits, signed in instead", signedIn(func(f *Facts) { f.SigningUp, f.Proved = true, true }), Done, ""},
		{"identity waits for its owner", signedIn(func(f *Facts) { f.Linking = true }), Login, ""},
		{"identity waits, proved", signedIn(func(f *Facts) { f.Linking, f.Proved = true, true }), Done, ""},
		{"deletion pending", signedIn(func(f *Facts) { f.Deleting, f.TermsOwed, f.ConsentMissing = true, true, true }), Restore, ""},
		{"none, deletion pending", signedIn(func(f *Facts) { f.Deleting, f.Prompt = true, []string{"none"} }), Refuse, InteractionRequired},
		{"terms before consent", signedIn(func(f *Facts) { f.TermsOwed, f.ConsentMissing, f.OfferDue = true, true, true }), Terms, ""},
		{"none, terms", signedIn(func(f *Facts) { f.TermsOwed, f.Prompt = true, []string{"none"} }), Refuse, InteractionRequired},
		{"offer before consent", signedIn(func(f *Facts) { f.OfferDue, f.ConsentMissing = true, true }), Offer, ""},
		{"no offer in a remembered browser", signedIn(func(f *Facts) { f.OfferDue, f.Known, f.Level = true, true, 1 }), Done, ""},
		{"offer after two factors there", signedIn(func(f *Facts) { f.OfferDue, f.Known, f.Level, f.Recent = true, true, 2, 2 }), Offer, ""},
		{"offer after two factors there, long ago", signedIn(func(f *Facts) { f.OfferDue, f.Known, f.Level, f.Recent = true, true, 2, 1 }), Done, ""},
		{"none, offer", signedIn(func(f *Facts) { f.OfferDue, f.Prompt = true, []string{"none"} }), Done, ""},
	} {
		if step, code := Next(c.facts); step != c.step || code != c.code {
			t.Errorf("%s: %s %q, want %s %q", c.name, step, code, c.step, c.code)
		}
	}
}

// demand is an essential acr, with those values of it that are ours.
func demand(acr ...string) func(*Facts) {
	return func(f *Facts) { f.ACRDemanded, f.ACRValues = true, acr }
}

// Every combination of facts, some 200,000: what must hold whatever was asked.
func TestNext_InvariantsOverAllFacts(t *testing.T) {
	t.Parallel()
	words := []string{"none", "login", "consent", "select_account", "create"}
	ages := []*int64{nil, seconds(0), seconds(1), seconds(3600)}
	seen := map[Step]int{}
	for bits := range 1 << len(words) {
		var prompt []string
		for i, w := range words {
			if bits>>i&1 == 1 {
				prompt = append(prompt, w)
			}
		}
		for _, age := range ages {
			for _, hint := range []id.User{"", "alice", "bob"} {
				for _, user := range []id.User{"", "alice"} {
					for flags := range 32 {
						f := Facts{
							Prompt: prompt, MaxAge: age, HintSubject: hint, User: user, Now: noon, AuthTime: noon.Add(-time.Minute),
							Disabled: flags&1 > 0, Proved: flags&2 > 0, Chosen: flags&4 > 0, Approved: flags&8 > 0, ConsentMissing: flags&16 > 0,
						}
						step, code := Next(f)
						seen[step]++
						checkInvariants(t, f, step, code)
					}
				}
			}
		}
	}
	for _, s := range []Step{Login, SignUp, Select, Consent, Done, Refuse} {
		if seen[s] == 0 {
			t.Errorf("%s never comes up", s)
		}
	}
}

// Every combination of what second factors and accounts add, under each prompt.
func TestNext_InvariantsOfAccounts(t *testing.T) {
	t.Parallel()
	acrs := [][]string{nil, {session.TwoFactors}, {session.PhishingResistant}, {session.OneFactor, session.PhishingResistant}}
	seen := map[Step]int{}
	for _, prompt := range [][]string{nil, {"none"}, {"login"}, {"create"}} {
		for _, mode := range []Mode{MFAOff, MFAOptional, MFARequired} {
			for _, acr := range acrs {
				for level := range 3 {
					for flags := range 1 << 13 {
						is := func(bit int) bool { return flags>>bit&1 == 1 }
						f := Facts{
							Prompt: prompt, Mode: mode, ACRValues: acr, Now: noon, AuthTime: noon.Add(-time.Minute), Level: level,
							Resistant: level == 2 && is(0), Known: is(1), TOTP: is(2), Passkeys: is(3), Deleting: is(4), TermsOwed: is(5), OfferDue: is(6),
							Half: is(7), SigningUp: is(8), Linking: is(9), Proved: is(10), TwoFactors: is(11),
						}
						if level > 0 {
							f.User = "alice"
						}
						if f.Recent = level; is(12) {
							f.Recent = min(level, 1)
						}
						step, code := Next(f)
						seen[step]++
						checkAccounts(t, f, step, code)
					}
				}
			}
		}
	}
	for _, s := range []Step{Login, SignUp, Verify, MFA, Enroll, Restore, Terms, Offer, Done, Refuse} {
		if seen[s] == 0 {
			t.Errorf("%s never comes up", s)
		}
	}
}

func checkAccounts(t *testing.T, f Facts, step Step, code string) {
	t.Helper()
	none := f.asks("none")
	for what, bad := range map[string]bool{
		"a page for prompt=none":                        none && step != Done && step != Refuse,
		"a code for nobody":                             step == Done && f.User == "",
		"a code for a half sign-in":                     step == Done && f.Half && !none,
		"a step is skipped by a half sign-in":           f.Half && !none && step != MFA && step != Enroll,
		"a code without the second factor":              step == Done && f.TwoFactors && f.Level < 2,
		"a code against the rule":                       step == Done && f.Mode == MFARequired && f.Level < 2 && !f.Known,
		"a code below every class asked for":            step == Done && f.Mode != MFAOff && len(f.ACRValues) > 0 && !slices.ContainsFunc(f.ACRValues, f.reaches),
		"a code for an account that is being deleted":   step == Done && f.Deleting,
		"a code without the terms":                      step == Done && f.TermsOwed,
		"a code while an identity waits":                step == Done && f.Linking && !f.Proved && !none,
		"the second factor of who has none":             step == MFA && !f.TOTP && !f.Passkeys,
		"setting up beside an app that would do":        step == Enroll && f.TOTP && !f.Half && !f.resistantOnly(),
		"a second factor although all is off":           f.Mode == MFAOff && !f.Half && (step == MFA || step == Enroll),
		"a loop: signed in here, login again":           f.User != "" && step == Login && f.Proved,
		"an offer before what is owed":                  step == Offer && (f.TermsOwed || f.Deleting || f.short()),
		"an offer on the word of a remembered browser":  step == Offer && f.Known && f.Recent < 2,
		"setting up beside an app that was not proven":  step == Enroll && f.TOTP && !f.Half && f.Recent < 2,
		"a refusal nobody asked for":                    step == Refuse && !none && code != UnmetAuthentication,
		"a refusal for want of factors, without reason": code == UnmetAuthentication && !(f.Mode == MFAOff && f.TwoFactors && f.Level < 2),
	} {
		if bad {
			t.Fatalf("%s: %s %q for %+v", what, step, code, f)
		}
	}
}

func checkInvariants(t *testing.T, f Facts, step Step, code string) {
	t.Helper()
	none, usable := f.asks("none"), f.User != "" && !f.Disabled
	for what, bad := range map[string]bool{
		"a page for prompt=none":                none && step != Done && step != Refuse,
		"a refusal without a code":              (step == Refuse) != (code != ""),
		"a code for nobody":                     step == Done && !usable,
		"a code for another than hinted":        step == Done && f.HintSubject != "" && f.HintSubject != f.User,
		"a code without consent":                step == Done && f.ConsentMissing && (none || !f.Approved),
		"a code on a stale sign-in":             step == Done && f.tooOld() && (none || !f.Proved),
		"a code without the asked-for login":    step == Done && f.asks("login") && !f.Proved,
		"a page for nobody that needs somebody": !usable && (step == Consent || step == Select),
		"a loop: signed in here, login again":   usable && step == Login && f.Proved,
		"a loop: chosen here, select again":     step == Select && f.Chosen,
		"a loop: approved here, consent again":  step == Consent && f.Approved,
		"a refusal nobody asked for":            step == Refuse && !none && f.HintSubject == "",
	} {
		if bad {
			t.Fatalf("%s: %s %q for %+v", what, step, code, f)
		}
	}
}

func TestMay_EveryPageAgainstEveryOwedStep(t *testing.T) {
	t.Parallel()
	pages := []Step{Login, SignUp, Verify, MFA, Enroll, Restore, Terms, Offer, Select, Consent}
	legal := map[Step][]Step{
		Login: {Login, SignUp}, SignUp: {Login, SignUp}, Select: {Login, SignUp, Select}, Consent: {Login, Consent}, Done: {}, Refuse: {},
		Verify: {Login, SignUp, Verify}, MFA: {Login, MFA}, Enroll: {Login, Enroll}, Restore: {Login, Restore}, Terms: {Login, Terms}, Offer: {Login, Offer},
	}
	for owed, allowed := range legal {
		for _, page := range pages {
			want := false
			for _, a := range allowed {
				want = want || a == page
			}
			if May(page, owed) != want {
				t.Errorf("page %s while %s is owed: %v", page, owed, !want)
			}
		}
		if May(Done, owed) || May(Refuse, owed) {
			t.Errorf("an end is no page (owed %s)", owed)
		}
	}
}
