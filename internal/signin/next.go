package signin

import (
	"slices"
	"time"

	"signet/internal/identity/session"
	"signet/internal/platform/id"
)

// Step is what a journey owes next.
type Step string

// The steps. Each but the last two is a page; Done issues a code, Refuse answers the
// application with an error.
const (
	Login   Step = "login"
	SignUp  Step = "signup"
	Verify  Step = "verify"  // a sign-up waits for the code that was mailed
	MFA     Step = "mfa"     // the second factor
	Enroll  Step = "enroll"  // a second factor is to be set up first
	Restore Step = "restore" // the account waits for its deletion
	Terms   Step = "terms"   // a version that was not accepted yet
	Offer   Step = "offer"   // a passkey might be added
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
	// UnmetAuthentication is of OpenID Connect Core Error Code unmet_authentication_requirements 1.0
	// §2, which RFC 9470 §5 points to.
	UnmetAuthentication = "unmet_authentication_requirements"
)

// Mode is the deployment's rule for second factors.
type Mode string

// The modes. Off never asks; Optional asks those who have set one up; Required makes everybody
// set one up.
const (
	MFAOff      Mode = "off"
	MFAOptional Mode = "optional"
	MFARequired Mode = "required"
)

// Facts is everything that Next looks at. The first group is what was asked and never
// changes; the second is who is in this browser now; the third is what this journey has
// settled for that very person.
type Facts struct {
	Prompt      []string // as asked: none, login, consent, select_account, create
	MaxAge      *int64   // seconds; nil = not asked (OIDC Core §3.1.2.1)
	HintSubject id.User  // from a verified id_token_hint; "" = none
	ACRValues   []string // those of ours among the acr_values asked for (RFC 9470 §4)
	ACRDemanded bool     // one of acr_values must be reached (OIDC Core §5.5.1.1)
	TwoFactors  bool     // the application's registration demands two factors
	Mode        Mode

	User      id.User // "" = nobody is signed in
	Disabled  bool    // the account may not sign in any more
	AuthTime  time.Time
	Now       time.Time
	Level     int  // factors proven in the session, the second one as recently as asked (stale)
	Resistant bool // a passkey that verified its holder among them
	Recent    int  // factors proven, the second one recently enough to set up another under it
	Known     bool // the browser was remembered instead of a second factor
	TOTP      bool // the account has an authenticator app set up
	Passkeys  bool // or passkeys
	Deleting  bool // the account waits for its deletion
	TermsOwed bool // the terms of today were not accepted
	OfferDue  bool // a passkey may be offered

	Half           bool // the first factor was proven within this journey, a second is owed
	SigningUp      bool // a sign-up within this journey waits for its address
	Linking        bool // an upstream identity waits for the owner of an account
	Proved         bool // signed in or signed up within this journey
	Chosen         bool // picked on the account chooser within this journey
	Approved       bool // said yes to the application within this journey
	ConsentMissing bool // the application asks for more than was ever granted
}

// Next says which step is owed, and for Refuse the error that the application gets. It is a
// pure function and the only place that decides it: pages never choose the next page.
//
// Of acr_values only our own classes are facts. Others are wishes (OIDC Core §3.1.2.1, a
// voluntary claim): the ID token says what was reached, and a sign-in never fails over them.
func Next(f Facts) (Step, string) {
	if slices.Contains(f.Prompt, "none") {
		return silent(f)
	}
	signedIn := f.User != "" && !f.Disabled
	switch {
	case f.impossible():
		return Refuse, UnmetAuthentication
	case f.Half && (f.TOTP || f.Passkeys):
		return MFA, ""
	case f.Half:
		return Enroll, ""
	case f.SigningUp && !f.proved():
		return Verify, ""
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
	case f.Linking && !f.Proved:
		return Login, ""
	case f.asks("select_account") && !f.Chosen && !f.Proved:
		return Select, ""
	case f.asks("login") && !f.Proved:
		return Login, ""
	case f.tooOld() && !f.Proved:
		return Login, ""
	case f.Deleting:
		return Restore, ""
	case f.short():
		return f.stronger()
	case f.TermsOwed:
		return Terms, ""
	case f.OfferDue && (f.Recent >= 2 || !f.Known):
		// A remembered browser proves nothing: no new key to the account on its word.
		return Offer, ""
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
	case f.impossible():
		return Refuse, UnmetAuthentication
	case f.User == "", f.Disabled, f.otherThanHinted(), f.tooOld(), f.asks("login"):
		return Refuse, LoginRequired
	case f.asks("select_account"):
		return Refuse, AccountSelectionRequired
	case f.short():
		return Refuse, LoginRequired
	case f.Deleting, f.TermsOwed:
		return Refuse, InteractionRequired
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

// short reports whether the session has proven less than is asked: by the deployment, for which a
// remembered browser will do; by the application's registration or its acr_values, for which it
// will not. Any of the classes asked for will do (RFC 9470 §4).
func (f Facts) short() bool {
	switch {
	case f.Mode == MFARequired && f.Level < 2 && !f.Known:
		return true
	case f.TwoFactors && f.Level < 2:
		return true
	case f.Mode == MFAOff && !f.ACRDemanded, len(f.ACRValues) == 0:
		return false
	}
	return !slices.ContainsFunc(f.ACRValues, f.reaches)
}

// impossible reports whether a class is demanded that no sign-in here can reach (OIDC Unmet
// Authentication Requirements §2): asking anybody for a password would be for nothing.
func (f Facts) impossible() bool { return f.ACRDemanded && len(f.ACRValues) == 0 }

func (f Facts) reaches(acr string) bool {
	switch acr {
	case session.OneFactor:
		return f.Level >= 1
	case session.TwoFactors:
		return f.Level >= 2
	case session.PhishingResistant:
		return f.Resistant
	}
	return false
}

// clocks is how far the clocks of instances, and of a provider, may be apart.
const clocks = time.Minute

// stale says which second factors are too old to count, where a new sign-in was asked for: a code of
// last week is none, whatever the password of today (OIDC Core §3.1.2.1, max_age and prompt). Those
// of the journey itself, begun at that time, always count.
func (f Facts) stale(begun time.Time) func(at time.Time) bool {
	return func(at time.Time) bool {
		switch {
		case !begun.IsZero() && !at.Before(begun.Add(-clocks)):
			return false
		case f.MaxAge != nil:
			return *f.MaxAge <= 0 || f.Now.Unix()-at.Unix() > *f.MaxAge
		}
		return f.asks("login")
	}
}

// fresh is how recent a sign-in must be for a second factor to be set up under it, with the one that
// there is.
const fresh = 10 * time.Minute

// stronger is the way to more proof: the second factor, or first a sign-in that is recent enough to
// set one up.
func (f Facts) stronger() (Step, string) {
	switch {
	case f.Mode == MFAOff: // and yet the application insists
		return Refuse, UnmetAuthentication
	case f.Passkeys, f.TOTP && !f.resistantOnly():
		return MFA, ""
	case !f.Proved && f.Now.Sub(f.AuthTime) > fresh:
		return Login, ""
	}
	return Enroll, ""
}

// resistantOnly reports whether nothing but a passkey will do.
func (f Facts) resistantOnly() bool {
	if f.Level < 2 && (f.TwoFactors || f.Mode == MFARequired && !f.Known) {
		return false // two factors first
	}
	if f.TOTP && !f.Passkeys && f.Recent < 2 {
		return false // there is no passkey yet: the app first, before one is set up beside it
	}
	return !slices.Contains(f.ACRValues, session.TwoFactors) && slices.Contains(f.ACRValues, session.PhishingResistant)
}

// May reports whether the page of a step may be used while another is owed. Signing in as
// somebody else is possible until the journey has ended; everything else waits its turn.
func May(page, owed Step) bool {
	switch owed {
	case Login, SignUp:
		return page == Login || page == SignUp
	case Verify:
		return page == Verify || page == Login || page == SignUp
	case Select:
		return page == Select || page == Login || page == SignUp
	case MFA, Enroll, Restore, Terms, Offer, Consent:
		return page == owed || page == Login
	}
	return false
}
