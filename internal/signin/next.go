package signin

import (
	"slices"
	"time"

	"signet/internal/platform/id"
)

// Step is what a journey owes next.
type Step string

// The steps. Each of the first four is a page; Done issues a code, Refuse answers the
// application with an error.
const (
	Login   Step = "login"
	SignUp  Step = "signup"
	Select  Step = "select"
	Consent Step = "consent"
	Done    Step = "done"
	Refuse  Step = "refuse"
)

// The errors of OIDC Core §3.1.2.6 with which a journey may end.
const (
	LoginRequired            = "login_required"
	ConsentRequired          = "consent_required"
	AccountSelectionRequired = "account_selection_required"
	InteractionRequired      = "interaction_required"
	AccessDenied             = "access_denied"
)

// Facts is everything that Next looks at. The first group is what was asked and never
// changes; the second is who is in this browser now; the third is what this journey has
// settled for that very person.
type Facts struct {
	Prompt      []string // as asked: none, login, consent, select_account, create
	MaxAge      *int64   // seconds; nil = not asked (OIDC Core §3.1.2.1)
	HintSubject id.User  // from a verified id_token_hint; "" = none

	User     id.User // "" = nobody is signed in
	Disabled bool    // the account may not sign in any more
	AuthTime time.Time
	Now      time.Time

	Proved         bool // signed in or signed up within this journey
	Chosen         bool // picked on the account chooser within this journey
	Approved       bool // said yes to the application within this journey
	ConsentMissing bool // the application asks for more than was ever granted
}

// Next says which step is owed, and for Refuse the error that the application gets. It is a
// pure function and the only place that decides it: pages never choose the next page.
//
// acr_values is deliberately no fact. It is a wish (OIDC Core §3.1.2.1, a voluntary claim): the
// ID token says what was reached, and a sign-in never fails over it.
func Next(f Facts) (Step, string) {
	if slices.Contains(f.Prompt, "none") {
		return silent(f)
	}
	signedIn := f.User != "" && !f.Disabled
	switch {
	case f.asks("create") && !f.proved():
		return SignUp, ""
	case !signedIn:
		return Login, ""
	case f.otherThanHinted() && f.Proved:
		// The person insisted on another account than the application named: it must not
		// get a positive answer (OIDC Core §3.1.2.1, id_token_hint).
		return Refuse, LoginRequired
	case f.otherThanHinted():
		return Login, ""
	case f.asks("select_account") && !f.Chosen && !f.Proved:
		return Select, ""
	case f.asks("login") && !f.Proved:
		return Login, ""
	case f.tooOld() && !f.Proved:
		return Login, ""
	case (f.ConsentMissing || f.asks("consent")) && !f.Approved:
		return Consent, ""
	}
	return Done, ""
}

// silent is prompt=none: the answer is a code or an error, never a page (OIDC Core
// §3.1.2.1, §3.1.2.6). What cannot be combined with none is refused by the parser; the
// function still has an answer for it.
func silent(f Facts) (Step, string) {
	switch {
	case f.asks("create"):
		return Refuse, InteractionRequired
	case f.User == "", f.Disabled, f.otherThanHinted(), f.tooOld(), f.asks("login"):
		return Refuse, LoginRequired
	case f.asks("select_account"):
		return Refuse, AccountSelectionRequired
	case f.ConsentMissing, f.asks("consent"):
		return Refuse, ConsentRequired
	}
	return Done, ""
}

func (f Facts) asks(prompt string) bool { return slices.Contains(f.Prompt, prompt) }

// proved is Proved by somebody who is still there.
func (f Facts) proved() bool { return f.Proved && f.User != "" && !f.Disabled }

func (f Facts) otherThanHinted() bool { return f.HintSubject != "" && f.User != f.HintSubject }

// tooOld compares in whole seconds, the unit of auth_time and max_age. max_age=0 means the
// same as prompt=login: no sign-in from before the request is ever young enough.
func (f Facts) tooOld() bool {
	if f.MaxAge == nil {
		return false
	}
	age := f.Now.Unix() - f.AuthTime.Unix()
	return *f.MaxAge <= 0 || age > *f.MaxAge
}

// May reports whether the page of a step may be used while another is owed. Signing in as
// somebody else is possible until the journey has ended; everything else waits its turn.
func May(page, owed Step) bool {
	switch owed {
	case Login, SignUp:
		return page == Login || page == SignUp
	case Select:
		return page == Select || page == Login || page == SignUp
	case Consent:
		return page == Consent || page == Login
	}
	return false
}
