package account

import (
	"strings"
	"testing"

	"signet/internal/platform/errs"
)

// One documented canonical form (security: typed, canonical address): same and different.
func TestParseEmail_Key(t *testing.T) {
	t.Parallel()
	tests := []struct{ typed, key, shown string }{
		{"victim@example.com", "victim@example.com", "victim@example.com"},
		{" Victim@Example.COM\n", "victim@example.com", "Victim@example.com"},
		{"victim@example.com.", "victim@example.com", "victim@example.com"},
		{"ｖictim@ｅxample．com", "victim@example.com", "ｖictim@example.com"},
		{"\u212aelvin@example.com", "kelvin@example.com", "Kelvin@example.com"},           // the Kelvin sign is K
		{"v\u0131ctim@example.com", "v\u0131ctim@example.com", "v\u0131ctim@example.com"}, // dotless i is not i
		{"\u0130van@example.com", "i\u0307van@example.com", "\u0130van@example.com"},      // nor is dotted capital I
		{"stra\u00dfe@example.com", "stra\u00dfe@example.com", "stra\u00dfe@example.com"}, // sharp s is not ss
		{"user+tag@example.com", "user+tag@example.com", "user+tag@example.com"},
		{"first.last@example.com", "first.last@example.com", "first.last@example.com"},
		{"홍길동@한국.kr", "홍길동@xn--3e0b707e.kr", "홍길동@xn--3e0b707e.kr"},
		{"홍길동@xn--3e0b707e.kr", "홍길동@xn--3e0b707e.kr", "홍길동@xn--3e0b707e.kr"},
		{"jose\u0301@example.com", "jos\u00e9@example.com", "jos\u00e9@example.com"},
		{"o'brien!#$%&*/=?^_`{|}~-@example.com", "o'brien!#$%&*/=?^_`{|}~-@example.com", "o'brien!#$%&*/=?^_`{|}~-@example.com"},
	}
	for _, tt := range tests {
		e, err := ParseEmail(tt.typed)
		if err != nil {
			t.Errorf("%q: %v", tt.typed, err)
			continue
		}
		if e.Key() != tt.key || e.String() != tt.shown {
			t.Errorf("%q: key %q, shown %q, want %q, %q", tt.typed, e.Key(), e.String(), tt.key, tt.shown)
		}
	}
}

func TestParseEmail_Refuses(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{
		"", "@", "a", "a@", "@example.com", "a@b", "a@localhost", "a@@example.com", "a@b@example.com", "a@example.com,b@example.com",
		"a@example.com b@example.com", "a@example.com;b@example.com", "Al <a@example.com>", "<a@example.com>", "(x)a@example.com", "a(x)@example.com",
		`"a b"@example.com`, `"a"@example.com`, "a b@example.com", ".a@example.com", "a.@example.com", "a..b@example.com",
		"a@example..com", "a@-example.com", "a@exa_mple.com", "a@[192.0.2.1]", "a@192.0.2.1", "a@example.123", "a@.com", "a@example.com..",
		"a\x00@example.com", "a\r\nBcc: b@example.com", "a@example.com\r\nX: y", "a\u200d@example.com", "a\u202e@example.com", "a\u00ad@example.com",
		"\u0301a@example.com", "a\xff@example.com", "☃@example.com", "a@ex ample.com", "a@example.com\u0000",
		strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("a.", 130) + "com", strings.Repeat("a", 10000),
	} {
		if e, err := ParseEmail(typed); err == nil {
			t.Errorf("%q accepted as %q", typed, e.Key())
		} else if !errs.Is(err, errs.Invalid) || errs.As(err).Field != "email" {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

func TestParseUsername(t *testing.T) {
	t.Parallel()
	for typed, key := range map[string]string{
		"bob": "bob", "Bob": "bob", " BOB ": "bob", "ＢＯＢ": "bob", "j.doe-1_x": "j.doe-1_x", "홍길동": "홍길동", "Ωmega": "ωmega", "a": "a", "42": "42",
		"\u0130van": "i\u0307van",
	} {
		u, err := ParseUsername(typed)
		if err != nil || u.Key() != key {
			t.Errorf("%q: %q, %v, want %q", typed, u.Key(), err, key)
		}
	}
	for typed, want := range map[string]string{
		"": KeyUsernameInvalid, " ": KeyUsernameInvalid, "bob smith": KeyUsernameInvalid, "a\u200db": KeyUsernameInvalid, "a\u202eb": KeyUsernameInvalid,
		"a\x00": KeyUsernameInvalid, "a\n b": KeyUsernameInvalid, "a\xff": KeyUsernameInvalid, strings.Repeat("x", 65): KeyUsernameInvalid,
		strings.Repeat("x", 100000): KeyUsernameInvalid,
		"bob@example.com":           KeyUsernameIsEmail, "@bob": KeyUsernameIsEmail, "bob＠x": KeyUsernameIsEmail,
	} {
		if u, err := ParseUsername(typed); err == nil || errs.As(err).Key != want || errs.As(err).Field != "username" {
			t.Errorf("%.20q: %q, %v, want %s", typed, u.Key(), err, want)
		}
	}
}

// Whatever is accepted is canonical: reading it back, or its key, gives the same key.
func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"Victim@Example.COM", "홍길동@한국.kr", "\u212a@x.org", "ﬁ@straße.de", "a@b", "\u0345a@x.org", "ǰ@x.org", "İ@x.org", "ϓ@x.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEmail(s)
		if err != nil {
			return
		}
		for _, again := range []string{e.String(), e.Key()} {
			r, err := ParseEmail(again)
			if err != nil || r.Key() != e.Key() {
				t.Fatalf("%q → %q → %q, %v", s, e.Key(), r.Key(), err)
			}
		}
		if strings.Count(e.String(), "@") != 1 || strings.ContainsAny(e.String(), " \r\n\t\x00<>,;()\"\\") || len(e.String()) > maxEmail {
			t.Fatalf("%q accepted as %q", s, e.String())
		}
		if _, err := ParseUsername(s); err == nil {
			t.Fatalf("%q is an address and a username", s)
		}
	})
}

func FuzzParseUsername(f *testing.F) {
	for _, s := range []string{"Bob", "ＢＯＢ", "ΣΑΣ", "\u0130", "ß", "a\u200d", "ﬁ", "\u0345"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUsername(s)
		if err != nil {
			return
		}
		for _, again := range []string{u.String(), u.Key()} {
			r, err := ParseUsername(again)
			if err != nil || r.Key() != u.Key() {
				t.Fatalf("%q → %q → %q, %v", s, u.Key(), r.Key(), err)
			}
		}
		if _, err := ParseEmail(s); err == nil {
			t.Fatalf("%q is a username and an address", s)
		}
	})
}
