package account

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"signet/internal/platform/errs"
)

// The fields and message keys of what people are called by.
const (
	fieldEmail    = "email"
	fieldUsername = "username"

	KeyEmailInvalid    = "email_invalid"
	KeyEmailTaken      = "email_taken"
	KeyUsernameInvalid = "username_invalid"
	KeyUsernameTaken   = "username_taken"
	KeyUsernameIsEmail = "username_is_email" // has an @, so it would be taken for an address
	KeyNameNeeded      = "identifier_required"
)

const (
	maxLocal    = 64  // RFC 5321 §4.5.3.1.1
	maxEmail    = 254 // RFC 5321 §4.5.3.1.3, without the angle brackets
	maxUsername = 64
)

// Email is one e-mail address in the only form that reaches the store. The zero value is no
// address.
//
// Two addresses are one if their keys are equal. The key has the domain in IDNA's ASCII form
// (UTS #46, lower case, no final dot) and the local part in NFKC and lower case: RFC 5321 §2.4
// lets hosts tell case apart, no host of note does, and people type it either way. A "+tag" and dots
// stay: whether they matter is the host's affair. What is sent always goes to String, the address
// of whoever registered it first, never to a spelling that was typed later.
type Email struct{ address, key string }

// ParseEmail reads one bare address: no display name, comment, quoted local part, address
// literal or second address; a domain with a dot; no control or invisible character.
func ParseEmail(typed string) (Email, error) {
	bad := errs.Field(fieldEmail, KeyEmailInvalid)
	typed = strings.Trim(typed, " \t\r\n") // people paste with blanks around
	if len(typed) > maxEmail || !utf8.ValidString(typed) {
		return Email{}, bad
	}
	local, domain, found := strings.Cut(typed, "@")
	if !found {
		return Email{}, bad
	}
	local = norm.NFC.String(local)
	// Folding twice must change nothing more; the few code points where it would are refused, so
	// that one address cannot have two keys.
	key := foldLocal(local)
	if !isDotAtom(local) || !isDotAtom(key) || foldLocal(key) != key || len(local) > maxLocal || len(key) > maxLocal {
		return Email{}, bad
	}
	domain, ok := asciiDomain(domain)
	if !ok || len(key)+1+len(domain) > maxEmail || len(local)+1+len(domain) > maxEmail {
		return Email{}, bad
	}
	return Email{address: local + "@" + domain, key: key + "@" + domain}, nil
}

// String is the address as its owner wrote it, with the domain in ASCII.
func (e Email) String() string { return e.address }

// Key is the comparison form.
func (e Email) Key() string { return e.key }

func foldLocal(s string) string {
	// Go lowers the capital dotted I to a plain i, which would make it an ASCII letter's twin.
	s = strings.ReplaceAll(norm.NFKC.String(s), "\u0130", "i\u0307")
	return norm.NFKC.String(strings.ToLower(s))
}

// isDotAtom checks RFC 5322 §3.2.3 with the letters and digits of RFC 6531 §3.3.
func isDotAtom(s string) bool {
	if s == "" || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r)) {
				return false
			}
		case unicode.Is(unicode.M, r):
			if i == 0 {
				return false
			}
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return false
		}
	}
	return true
}

var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.BidiRule(), idna.VerifyDNSLength(true))

func asciiDomain(s string) (string, bool) {
	if s == "" || len(s) > maxEmail || strings.ContainsAny(s, "@ ") {
		return "", false
	}
	a, err := domains.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil || !strings.Contains(a, ".") || strings.HasSuffix(a, ".") {
		return "", false
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return "", false
	}
	last := a[strings.LastIndexByte(a, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", false // no top-level domain is a number
	}
	again, err := domains.ToASCII(a)
	return a, err == nil && again == a
}

// Username is a name to sign in with. The zero value is none.
//
// The comparison form is PRECIS UsernameCaseMapped (RFC 8265 §3.3): widths and case folded, NFC, no
// blanks, controls or invisible characters. An @ is refused, so that what is typed at login is
// either an address or a username, never both.
type Username struct{ name, key string }

// ParseUsername reads a username.
func ParseUsername(typed string) (Username, error) {
	bad := errs.Field(fieldUsername, KeyUsernameInvalid)
	typed = strings.Trim(typed, " \t\r\n")
	if typed == "" || len(typed) > maxUsername*utf8.UTFMax || !utf8.ValidString(typed) {
		return Username{}, bad
	}
	name, err := precis.UsernameCasePreserved.String(typed)
	if err != nil {
		return Username{}, bad
	}
	key, err := precis.UsernameCaseMapped.String(name)
	if err != nil || key == "" || utf8.RuneCountInString(name) > maxUsername || utf8.RuneCountInString(key) > maxUsername {
		return Username{}, bad
	}
	// As with addresses: a name whose fold is not final is refused.
	if again, err := precis.UsernameCaseMapped.String(key); err != nil || again != key {
		return Username{}, bad
	}
	if again, err := precis.UsernameCasePreserved.String(name); err != nil || again != name {
		return Username{}, bad
	}
	if strings.ContainsRune(name, '@') || strings.ContainsRune(key, '@') {
		return Username{}, errs.Field(fieldUsername, KeyUsernameIsEmail)
	}
	return Username{name: name, key: key}, nil
}

// String is the username as its owner wrote it.
func (u Username) String() string { return u.name }

// Key is the comparison form.
func (u Username) Key() string { return u.key }
