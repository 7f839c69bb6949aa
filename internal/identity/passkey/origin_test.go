package passkey

import (
	"strings"
	"testing"
)

// WebAuthn Level 3 §5.1.3 steps 6 to 8: what a browser would refuse is refused at start, and says
// what to do.
func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	if err := CheckOrigin("https://id.example.net", "example.com", "https://id.example.net"); err != nil {
		t.Errorf("related: %v", err)
	}
	if err := CheckOrigin("https://id.example.net", "com", "https://id.example.net"); err == nil || !strings.Contains(err.Error(), "public suffix") {
		t.Errorf("related to a public suffix: %v", err)
	}
	if err := CheckOrigin("https://id.example.net", "example.com", "https://www.example.net"); err == nil {
		t.Error("another one is related, the issuer is not")
	}
	for _, c := range []struct{ issuer, rpID, says string }{
		{"https://id.example.com", "", ""},
		{"https://id.example.com:8443", "id.example.com", ""},
		{"https://id.example.com", "example.com", ""},
		{"https://ID.Example.com", "id.example.com", ""},
		{"http://localhost:8080", "", ""},
		{"http://signet.localhost:8080", "localhost", ""},
		{"https://192.0.2.1", "", "IP address"},
		{"https://[2001:db8::1]", "", "IP address"},
		{"http://127.0.0.1:8080", "", "IP address"},
		{"http://id.example.com", "", "https only"},
		{"https://id.example.com", "www.example.com", "neither"},
		{"https://id.example.com", "ample.com", "neither"},
		{"https://id.example.com", "com", "public suffix"},
		{"https://id.example.co.uk", "co.uk", "public suffix"},
		{"https://id.example.com", "Example.com", "lower-case"},
		{"https://id.example.com", "https://example.com", "lower-case"},
		{"https://id.example.com", ".example.com", "lower-case"},
		{"id.example.com", "", "not an origin"},
		{"", "", "not an origin"},
	} {
		err := CheckOrigin(c.issuer, c.rpID)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s, %q: %v", c.issuer, c.rpID, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s, %q: %v, want it to say %q", c.issuer, c.rpID, err, c.says)
		}
	}
}

func TestCheckRelated(t *testing.T) {
	t.Parallel()
	if err := checkRelated([]string{"https://id.example.net", "https://example.org:8443"}); err != nil {
		t.Error(err)
	}
	for _, o := range []string{"http://id.example.net", "https://id.example.net/", "id.example.net", "https://", "https://ID.example.net"} {
		if err := checkRelated([]string{o}); err == nil {
			t.Errorf("%q was accepted", o)
		}
	}
	if err := checkRelated(make([]string, maxRelated+1)); err == nil {
		t.Error("too many were accepted")
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	if got := Guess("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"); got != "Google Password Manager" {
		t.Errorf("guessed %q", got)
	}
	if got := Guess("00000000-0000-0000-0000-000000000000"); got != "" {
		t.Errorf("guessed %q for one that does not say", got)
	}
	for aaguid, name := range models {
		if len(aaguid) != 36 || strings.ToLower(aaguid) != aaguid || shorten(name) != name {
			t.Errorf("%q: %q", aaguid, name)
		}
	}
}
