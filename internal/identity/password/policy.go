package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
)

// The field and the message keys of Check's errors: they say why, so that the next try can be
// better.
const (
	Field = "password"

	KeyTooShort        = "password_too_short"
	KeyTooLong         = "password_too_long"
	KeyInvalid         = "password_invalid"          // not Unicode text, or with a NUL
	KeyCommon          = "password_common"           // common, or a pattern that guessers try first
	KeyContainsName    = "password_contains_name"    // rests on the person's own name or address
	KeyContainsService = "password_contains_service" // rests on this service's name
)

// MinLength is the least number of code points of a new password.
func (s *Service) MinLength() int { return s.minLength }

// Check says whether pw may become somebody's password. about is what is known of that person:
// names, username, address. There are no rules on the kinds of characters (NIST SP 800-63B-4
// §3.1.1.2).
func (s *Service) Check(pw seal.Secret, about ...string) error {
	typed := pw.Reveal()
	// Limits before anything that reads the whole text.
	if len(typed) > maxBytes {
		return errs.Field(Field, KeyTooLong)
	}
	if err := wellFormed(typed); err != nil {
		return err
	}
	if utf8.RuneCountInString(typed) > MaxLength {
		return errs.Field(Field, KeyTooLong)
	}
	text := norm.NFC.String(typed)
	if utf8.RuneCountInString(text) < s.minLength {
		return errs.Field(Field, KeyTooShort)
	}
	// In this order the answer names the reason that helps most.
	switch {
	case guessable(text, nil):
		return errs.Field(Field, KeyCommon)
	case guessable(text, s.service):
		return errs.Field(Field, KeyContainsService)
	case guessable(text, append(words(about...), s.service...)):
		return errs.Field(Field, KeyContainsName)
	}
	return nil
}

// WellFormed refuses what Hash would refuse: too long to be looked at, or not text.
func WellFormed(pw seal.Secret) error { return wellFormed(pw.Reveal()) }

// wellFormed refuses what cannot be hashed the same way everywhere.
func wellFormed(typed string) error {
	switch {
	case len(typed) > maxBytes:
		return errs.Field(Field, KeyTooLong)
	case !utf8.ValidString(typed), strings.ContainsRune(typed, 0):
		return errs.Field(Field, KeyInvalid)
	}
	return nil
}

const (
	maxContext     = 4096 // bytes of text about a person that are looked at
	maxContextWord = 32
	minContextWord = 3
)

// words cuts texts about a person or the service into the words a guesser would try: each run of
// letters, and the whole without separators ("john.smith@example.com" gives john, smith,
// example, com, johnsmith).
func words(texts ...string) []string {
	var out []string
	add := func(w string) {
		w = plain(w)
		if n := utf8.RuneCountInString(w); n >= minContextWord && n <= maxContextWord {
			out = append(out, w)
		}
	}
	for _, t := range texts {
		if len(t) > maxContext {
			t = strings.ToValidUTF8(t[:maxContext], "")
		}
		t = norm.NFC.String(t)
		local, _, _ := strings.Cut(t, "@")
		for _, w := range strings.FieldsFunc(t, func(r rune) bool { return !unicode.IsLetter(r) }) {
			add(w)
		}
		add(squeeze(local))
	}
	return out
}
