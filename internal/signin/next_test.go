package signin

import (
	"strings"
	"testing"
	"time"

	"signet/internal/platform/id"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seconds(n int64) *int64 { return &n }

// signedIn is a person who signed in ten minutes ago and owes nothing.
func signedIn(change func(*Facts)) Facts {
	f := Facts{User: "alice", AuthTime: noon.Add(-10 * time.Minute), Now: noon}
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
	} {
		if step, code := Next(c.facts); step != c.step || code != c.code {
			t.Errorf("%s: %s %q, want %s %q", c.name, step, code, c.step, c.code)
		}
	}
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
	pages := []Step{Login, SignUp, Select, Consent}
	legal := map[Step][]Step{
		Login: {Login, SignUp}, SignUp: {Login, SignUp}, Select: {Login, SignUp, Select}, Consent: {Login, Consent}, Done: {}, Refuse: {},
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
