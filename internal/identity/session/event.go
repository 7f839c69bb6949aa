package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/store"
)

// The methods of an Event.
const (
	Password = "pwd"      // the account's password was checked
	TOTP     = "otp"      // a time-based code of an enrolled authenticator
	Passkey  = "passkey"  // a WebAuthn assertion
	Recovery = "recovery" // a recovery code, in place of a second factor that was lost
	MailCode = "email"    // a code sent to the account's address
	Upstream = "fed"      // another provider vouched for the person
	// UpstreamMFA is Upstream where that provider, trusted in this, says it asked for two factors.
	UpstreamMFA = "fed_mfa"
	// KnownBrowser is no proof of anything: the browser was remembered, so that no second factor was
	// asked for. It counts for the rule that asks, never for what applications are told.
	KnownBrowser = "known"
)

// Authentication context classes (OIDC Core §2, "acr"), the weakest first.
const (
	OneFactor  = "urn:signet:acr:1fa"
	TwoFactors = "urn:signet:acr:2fa"
	// PhishingResistant is the class of the same name of OpenID EAP ACR Values 1.0 §3: here, a passkey
	// that verified its holder.
	PhishingResistant = "phr"
)

// ACRValues lists the classes, for discovery.
func ACRValues() []string { return []string{OneFactor, TwoFactors, PhishingResistant} }

// factors says what each method proves: something known, something held, or neither. A code in
// the mail proves an address and is never a second factor (NIST SP 800-63B-4 §3.1.3.1).
var factors = map[string]struct{ known, held bool }{
	Password: {known: true}, TOTP: {held: true}, Recovery: {held: true}, Passkey: {held: true}, MailCode: {}, Upstream: {}, UpstreamMFA: {known: true, held: true},
}

// Level is how many factors the events amount to: 0 without any, 2 for two of different kinds or a
// passkey that verified its holder, else 1.
func Level(events []Event) int {
	var some, known, held bool
	for _, e := range events {
		f, ok := factors[e.Method]
		some = some || ok
		// Who came by mail or by another provider has shown one factor; what they hold is a second.
		known = known || f.known || e.Verified || e.Method == MailCode || e.Method == Upstream
		held = held || f.held
	}
	switch {
	case known && held:
		return 2
	case some:
		return 1
	}
	return 0
}

// Without is the session as if what was held, proven at a time that is stale, had not been. What is
// known stays: whoever is asked for the second factor alone has both.
func (s Session) Without(stale func(at time.Time) bool) Session {
	s.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e Event) bool { return factors[e.Method].held && stale(e.At) })
	return s
}

// Level is how many factors were proven in the session.
func (s Session) Level() int { return Level(s.Events) }

// Resistant reports whether a passkey that verified its holder was among them.
func (s Session) Resistant() bool {
	return slices.ContainsFunc(s.Events, func(e Event) bool { return e.Method == Passkey && e.Verified })
}

// Has reports whether an event of the method is among them.
func (s Session) Has(method string) bool {
	return slices.ContainsFunc(s.Events, func(e Event) bool { return e.Method == method })
}

// Reaches reports whether the session satisfies a context class. Nobody satisfies one that we do
// not know.
func (s Session) Reaches(acr string) bool {
	switch acr {
	case OneFactor:
		return s.Level() >= 1
	case TwoFactors:
		return s.Level() >= 2
	case PhishingResistant:
		return s.Resistant()
	}
	return false
}

// ACR is the context class that the session reached: the first of those wanted that it satisfies
// (OIDC Core §3.1.2.1, in order of preference), else the number of factors; "" without any event.
func (s Session) ACR(wanted ...string) string {
	for _, acr := range wanted {
		if s.Reaches(acr) {
			return acr
		}
	}
	switch s.Level() {
	case 2:
		return TwoFactors
	case 1:
		return OneFactor
	}
	return ""
}

// amr are the names of the methods in tokens (RFC 8176 §2; the registry has none for a code by mail
// or another provider).
var amr = map[string][]string{
	Password: {"pwd"}, TOTP: {"otp"}, Recovery: {"otp"}, Passkey: {"pop"}, MailCode: {"email"}, Upstream: {"fed"}, UpstreamMFA: {"fed"},
}

// AMR lists the methods used, each once, in the order of their latest use (RFC 8176), with "user"
// for a passkey that verified its holder and "mfa" for two factors.
func (s Session) AMR() []string {
	var out []string
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	for _, e := range s.Events {
		add(amr[e.Method]...)
		if e.Verified {
			add("user")
		}
	}
	if s.Level() >= 2 {
		add("mfa")
	}
	return out
}

// storedEvent is the form of an Event in the row: short, times in the store's unit.
type storedEvent struct {
	Method     string `json:"m"`
	At         int64  `json:"t"`
	Verified   bool   `json:"v,omitempty"`
	Credential string `json:"c,omitempty"`
}

func encodeEvents(events []Event) (string, error) {
	if len(events) == 0 {
		return "", errors.New("session: no authentication event")
	}
	out := make([]storedEvent, len(events))
	for i, e := range events {
		if e.Method == "" || e.At.IsZero() {
			return "", errors.New("session: an authentication event needs a method and a time")
		}
		out[i] = storedEvent{e.Method, store.Micros(e.At), e.Verified, e.Credential}
	}
	b, err := json.Marshal(out)
	return string(b), err
}

func decodeEvents(s string) ([]Event, error) {
	var in []storedEvent
	if err := json.Unmarshal([]byte(s), &in); err != nil {
		return nil, fmt.Errorf("session events: %w", err)
	}
	out := make([]Event, len(in))
	for i, e := range in {
		out[i] = Event{Method: e.Method, At: store.Time(e.At), Verified: e.Verified, Credential: e.Credential}
	}
	return out, nil
}

// methods names the events for the audit record.
func methods(events []Event) string {
	var names []string
	for _, e := range events {
		names = append(names, e.Method)
	}
	return strings.Join(names, " ")
}
