package password

import (
	"context"
	"crypto/sha1" //nolint:gosec // the key of public lists of leaked passwords; it protects nothing here
	"encoding/hex"
	"strings"

	"golang.org/x/text/unicode/norm"

	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
)

// KeyBreached is the message key for a password that stands in a list of leaked ones.
const KeyBreached = "password_breached"

// sumLen is the length of a SHA-1 sum in hexadecimal, prefixLen how much of it a range API is told.
const (
	sumLen    = 2 * sha1.Size
	prefixLen = 5
)

// Breaches is a list of passwords that leaked from somewhere and that guessers therefore try (NIST
// SP 800-63B-4 §3.1.1.2). BreachFile and RangeAPI are such lists.
type Breaches interface {
	// Name says which list it is, in logs and metrics.
	Name() string
	// Holds reports whether the list has the SHA-1 sum, 40 upper-case hexadecimal digits. That it
	// does not know is an error.
	Holds(ctx context.Context, sum string) (bool, error)
}

// leaked refuses a password that stands in one of the lists. A list that does not answer is passed
// over: whoever wants a password now is not kept from it because somebody else's service is down.
func (s *Service) leaked(ctx context.Context, pw seal.Secret) error {
	if len(s.breaches) == 0 {
		return nil
	}
	sum := breachSum(pw)
	for _, list := range s.breaches {
		found, err := list.Holds(ctx, sum)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err() // the visitor left
		case err != nil:
			s.observe("breach_check."+list.Name(), "unanswered")
			s.log.WarnContext(ctx, "new password accepted without a look at a list of leaked ones", "list", list.Name(), "error", err.Error())
		case found:
			s.observe("breach_check."+list.Name(), "found")
			return errs.Field(Field, KeyBreached)
		default:
			s.observe("breach_check."+list.Name(), "clean")
		}
	}
	return nil
}

// breachSum is how the lists name a password.
func breachSum(pw seal.Secret) string {
	sum := sha1.Sum(norm.NFC.Bytes([]byte(pw.Reveal()))) //nolint:gosec // see the import
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// sumOf reads the beginning of a line "SUM:COUNT" or "SUM" of n digits. Counts of zero are padding,
// which says nothing.
func sumOf(line string, n int) (sum string, padding, ok bool) {
	sum, count, counted := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
	if len(sum) != n || strings.Trim(sum, "0123456789ABCDEFabcdef") != "" {
		return "", false, false
	}
	if counted && (count == "" || strings.Trim(count, "0123456789") != "") {
		return "", false, false
	}
	return strings.ToUpper(sum), counted && strings.Trim(count, "0") == "", true
}
