package password

import (
	"errors"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
)

func newService(t testing.TB, d Deps) *Service {
	t.Helper()
	if d.Params == (Params{}) {
		d.Params = Params{MemoryKiB: 64, Time: 1, Parallelism: 1} // fast; the cost is not under test
	}
	if d.QueueTimeout == 0 {
		d.QueueTimeout = time.Minute // tests share the machine
	}
	s, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(err error) string {
	var e *errs.Error
	if errors.As(err, &e) && e.Kind == errs.Invalid && e.Field == Field {
		return e.Key
	}
	if err != nil {
		return "other: " + err.Error()
	}
	return ""
}

// NIST SP 800-63B-4 §3.1.1.2: length, blocklist with a reason, no composition rules.
func TestCheck_SaysWhy(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{ServiceNames: []string{"Signet", "Acme Portal"}})
	about := []string{"Johanna Winterbourne", "jwinterbourne@frobnicate.example", "hanni77"}
	tests := []struct{ pw, want string }{
		{"correct horse battery staple", KeyCommon},
		{"my dog likes pizza on sundays", ""},
		{"plombier-rivage-huit-tasse", ""},
		{"ghxkwqzmbvtrpld", ""},
		{"839201746530182", ""},
		{"봄이 오면 산에 들에 진달래 피네", ""},
		{"kq7-" + strings.Repeat("vb1-", 62) + "QzX9", ""},
		{"aaaaaaaaaaaaaaa", KeyCommon},
		{"               ", KeyCommon},
		{"123456789012345", KeyCommon},
		{"987654321098765", KeyCommon},
		{"abcdefghijklmnopqrstuvwxyz", KeyCommon},
		{"qwertyuiopasdfgh", KeyCommon},
		{"1qaz2wsx3edc4rfv", KeyCommon},
		{"passwordpassword", KeyCommon},
		{"password123456789", KeyCommon},
		{"P@ssw0rd2024!!!!", KeyCommon},
		{"Summer2024Summer2024", KeyCommon},
		{"iloveyouforever1", KeyCommon},
		{"manchesterunited", KeyCommon},
		{"ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅂㅈㄷㄱㅅ", KeyCommon},
		{"MayTheForceBeWithYou", KeyCommon},
		{"signet-signet-2024", KeyContainsService},
		{"AcmePortal2025!!", KeyContainsService},
		{"winterbourne1987", KeyContainsName},
		{"JohannaFrobnicate", KeyContainsName},
		{"hanni77hanni77!!", KeyContainsName},
		{"johanna enjoys grilled turnips daily", ""},
		{"short but odd!", KeyTooShort},
		{"", KeyTooShort},
		{strings.Repeat("x9", 128) + "y", KeyTooLong},
		{strings.Repeat("한글", 129), KeyTooLong},
		{strings.Repeat("A", 1<<20), KeyTooLong},
		{"fifteen letters\x00and more", KeyInvalid},
		{"fifteen letters\xff and more", KeyInvalid},
	}
	for _, tt := range tests {
		if got := keyOf(s.Check(seal.Secret(tt.pw), about...)); got != tt.want {
			t.Errorf("%.40q: %q, want %q", tt.pw, got, tt.want)
		}
	}
}

func TestCheck_CountsCodePointsAfterNormalisation(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{MinLength: 8})
	if got := keyOf(s.Check(seal.Secret("ve\u0301ke\u0301me\u0301z"))); got != KeyTooShort {
		t.Errorf("7 characters in 10 code points: %q", got)
	}
	if got := keyOf(s.Check(seal.Secret("ve\u0301ke\u0301me\u0301zou"))); got != "" {
		t.Errorf("9 characters: %q", got)
	}
	if _, err := New(Deps{MinLength: 7}); err == nil {
		t.Error("a minimum below the floor was accepted")
	}
}

// Common passwords of eight characters and more fall also where a second factor lowers the minimum.
func TestCheck_CommonPasswordsOfEightCharacters(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{MinLength: 8})
	for _, pw := range []string{
		"12345678", "password", "123456789", "1234567890", "qwertyui", "iloveyou", "sunshine", "princess1", "football1",
		"trustno1", "11111111", "abc12345", "passw0rd", "starwars", "superman", "baseball", "jennifer", "michelle",
		"liverpool", "letmein1", "welcome1", "admin123", "asdfghjkl", "1q2w3e4r", "zaq12wsx", "charlie1", "dragon123",
		"whatever", "computer", "corvette", "mercedes", "samantha", "Passwort", "contraseña", "sarangheyo", "qwer1234", "a1234567",
	} {
		if got := keyOf(s.Check(seal.Secret(pw))); got != KeyCommon {
			t.Errorf("%s: %q", pw, got)
		}
	}
}

// Long inputs cost nothing to speak of, whatever they are made of (limits before parsers).
func TestCheck_IsQuickOnHostileInput(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{})
	commonWords()
	about := []string{strings.Repeat("Longname ", 1000), strings.Repeat("x", 10000)}
	for _, pw := range []string{
		strings.Repeat("a", 255) + "b", strings.Repeat("ab", 128), strings.Repeat("qwe", 85), strings.Repeat("the cat ", 32),
		strings.Repeat("\U0001F600", 256), strings.Repeat("x", 1<<20),
	} {
		began := time.Now()
		_ = s.Check(seal.Secret(pw), about...)
		if took := time.Since(began); took > 2*time.Second { // it is about a millisecond; shared machines
			t.Errorf("%.20q took %v", pw, took)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("correct horse battery staple", "Jane Doe")
	f.Add("\u1100\u1161\u11a8password2024", "jane@example.com")
	s := newService(f, Deps{})
	f.Fuzz(func(t *testing.T, pw, about string) {
		err := s.Check(seal.Secret(pw), about)
		if err != nil && strings.HasPrefix(keyOf(err), "other") {
			t.Fatalf("%v", err)
		}
		if err == nil && (len(pw) > maxBytes || len(pw) < DefaultMinLength) {
			t.Fatalf("accepted %d bytes", len(pw))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	s := newService(b, Deps{})
	pw := seal.Secret("my dog likes pizza on sundays and fridays")
	for b.Loop() {
		_ = s.Check(pw, "Jane Doe", "jane@example.com")
	}
}
