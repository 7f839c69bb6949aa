package session

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// amr and acr say what happened and no more (OIDC Core §2, RFC 8176, MF-11, MF-12).
func TestSession_LevelsAreTruthful(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	e := func(method string) Event { return Event{Method: method, At: at} }
	verified := Event{Method: Passkey, At: at, Verified: true, Credential: "key"}
	for name, c := range map[string]struct {
		events    []Event
		level     int
		resistant bool
		amr       []string
		acr       string
	}{
		"password":               {[]Event{e(Password)}, 1, false, []string{"pwd"}, OneFactor},
		"password and totp":      {[]Event{e(Password), e(TOTP)}, 2, false, []string{"pwd", "otp", "mfa"}, TwoFactors},
		"password and recovery":  {[]Event{e(Password), e(Recovery)}, 2, false, []string{"pwd", "otp", "mfa"}, TwoFactors},
		"passkey that verified":  {[]Event{verified}, 2, true, []string{"pop", "user", "mfa"}, TwoFactors},
		"passkey that did not":   {[]Event{e(Passkey)}, 1, false, []string{"pop"}, OneFactor},
		"password and a touch":   {[]Event{e(Password), e(Passkey)}, 2, false, []string{"pwd", "pop", "mfa"}, TwoFactors},
		"two things held":        {[]Event{e(Passkey), e(TOTP)}, 1, false, []string{"pop", "otp"}, OneFactor},
		"mail code":              {[]Event{e(MailCode)}, 1, false, []string{"email"}, OneFactor},
		"mail code and password": {[]Event{e(Password), e(MailCode)}, 1, false, []string{"pwd", "email"}, OneFactor},
		"mail code and totp":     {[]Event{e(MailCode), e(TOTP)}, 2, false, []string{"email", "otp", "mfa"}, TwoFactors},
		"upstream":               {[]Event{e(Upstream)}, 1, false, []string{"fed"}, OneFactor},
		"upstream with factors":  {[]Event{e(UpstreamMFA)}, 2, false, []string{"fed", "mfa"}, TwoFactors},
		"remembered browser":     {[]Event{e(Password), e(KnownBrowser)}, 1, false, []string{"pwd"}, OneFactor},
		"only remembered":        {[]Event{e(KnownBrowser)}, 0, false, nil, ""},
		"nothing":                {nil, 0, false, nil, ""},
	} {
		s := Session{Events: c.events}
		if s.Level() != c.level || s.Resistant() != c.resistant || s.ACR() != c.acr {
			t.Errorf("%s: level %d, resistant %v, acr %q", name, s.Level(), s.Resistant(), s.ACR())
		}
		if diff := cmp.Diff(c.amr, s.AMR()); diff != "" {
			t.Errorf("%s: amr\n%s", name, diff)
		}
	}
}

func TestSession_ACRIsTheFirstWantedThatIsReached(t *testing.T) {
	t.Parallel()
	s := Session{Events: []Event{{Method: Passkey, Verified: true}}}
	for want, wanted := range map[string][]string{
		PhishingResistant: {"unknown", PhishingResistant, OneFactor},
		OneFactor:         {OneFactor, TwoFactors},
		TwoFactors:        {"unknown"},
	} {
		if got := s.ACR(wanted...); got != want {
			t.Errorf("wanted %v: %s", wanted, got)
		}
	}
	if got := (Session{Events: []Event{{Method: Password}}}).ACR(PhishingResistant, TwoFactors); got != OneFactor {
		t.Errorf("a password reached %s", got)
	}
}

func TestEvents_RoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	in := []Event{{Method: Password, At: at}, {Method: Passkey, At: at, Verified: true, Credential: "c1"}}
	text, err := encodeEvents(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := decodeEvents(text)
	if err != nil || !cmp.Equal(in, out) {
		t.Errorf("%s became %+v, %v", text, out, err)
	}
	for _, bad := range [][]Event{nil, {{Method: Password}}, {{At: at}}} {
		if _, err := encodeEvents(bad); err == nil {
			t.Errorf("%+v was kept", bad)
		}
	}
}
