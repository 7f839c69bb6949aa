package mail

import (
	"fmt"
	"maps"
	netmail "net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signet/internal/platform/seal"
)

// form says what a field may hold; it is checked before anything is rendered.
type form uint8

const (
	words   form = iota // text, some of it typed by strangers: made inert
	code                // digits and letters to type
	link                // an address at our own issuer: mails lead nowhere else
	address             // an e-mail address
	count               // a number
	ip                  // an IP address
	term                // a word of ours, translated by words.json; anything else is words
)

type field struct {
	form     form
	required bool
}

// kinds are the mails there are, with the fields that a sender gives. Those in everywhere may be
// given with any of them. A template may show fields, Service, Host, To and Valid (how long what
// the mail carries works, in words), nothing else.
//
// A mail to an address that nobody has proven yet (verify_signup, already_registered,
// verify_address) shows nothing that the person who asked for it could choose, the address itself
// excepted: else strangers could send their own words in our name.
var kinds = map[string]map[string]field{
	"verify_signup":          {"Code": {code, true}, "Link": {link, true}},
	"already_registered":     {"SignIn": {link, true}, "Reset": {link, false}},
	"verify_address":         {"Code": {code, true}, "Link": {link, true}, "Address": {address, false}},
	"address_changed":        {"Old": {address, false}, "New": {address, true}, "Undo": {link, true}},
	"reset":                  {"Code": {code, true}, "Link": {link, true}},
	"sign_in_code":           {"Code": {code, true}, "Link": {link, false}},
	"asked":                  {"Application": {words, true}, "Link": {link, true}},
	"invitation":             {"Link": {link, true}, "Inviter": {words, false}},
	"notice_sign_in":         {"NotMe": {link, true}},
	"notice_factor_added":    {"Factor": {term, true}, "NotMe": {link, true}},
	"notice_factor_removed":  {"Factor": {term, true}, "NotMe": {link, true}},
	"notice_password":        {"NotMe": {link, true}},
	"notice_address":         {"Address": {address, false}, "Old": {address, false}, "New": {address, false}, "NotMe": {link, true}},
	"notice_recovery_code":   {"Left": {count, true}, "NotMe": {link, true}},
	"notice_identity_linked": {"Provider": {words, true}, "NotMe": {link, true}},
	"notice_deletion":        {"Undo": {link, false}, "SignIn": {link, false}, "NotMe": {link, false}},
	"test":                   {},
}

var everywhere = map[string]field{
	"Name": {words, false}, "Browser": {words, false}, "Place": {words, false}, "IP": {ip, false}, "At": {words, false},
}

// Kinds lists the names of the mails there are.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// fields returns what a kind's template may show of a sender's data.
func fields(kind string) map[string]field {
	out := maps.Clone(everywhere)
	maps.Copy(out, kinds[kind])
	return out
}

// values checks data against the kind and turns it into text. Every field of the kind has a value
// then, "" where nothing was given.
func (s *Service) values(m Message, lang *language, now time.Time) (map[string]any, error) {
	if _, known := kinds[m.Kind]; !known {
		return nil, fmt.Errorf("mail: there is no mail %q", m.Kind)
	}
	list := fields(m.Kind)
	for name := range m.Data {
		if _, known := list[name]; !known {
			return nil, fmt.Errorf("mail %s: it has no field %s", m.Kind, name)
		}
	}
	out := map[string]any{
		"Service": inert(s.d.Name), "Host": s.host, "To": m.To, "Valid": lang.duration(m.Expires.Sub(now)),
	}
	for name, f := range list {
		text, err := textOf(m.Data[name], lang)
		if err == nil && text == "" && f.required {
			err = fmt.Errorf("is missing")
		}
		if err == nil && text != "" {
			text, err = s.admit(name, f.form, text, lang)
		}
		if err != nil {
			return nil, fmt.Errorf("mail %s: field %s %w", m.Kind, name, err)
		}
		out[name] = text
	}
	return out, nil
}

func textOf(v any, lang *language) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case seal.Secret:
		return v.Reveal(), nil
	case int:
		return strconv.Itoa(v), nil
	case time.Time:
		return lang.time(v), nil
	}
	return "", fmt.Errorf("is a %T, not text", v)
}

const maxLink = 2048

// admit checks one value. Text of strangers is made inert rather than refused: a strange name must
// not keep a notice from its owner.
func (s *Service) admit(name string, f form, text string, lang *language) (string, error) {
	switch f {
	case code:
		if len(text) > 32 || strings.ContainsFunc(text, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
		}) {
			return "", fmt.Errorf("is not a code")
		}
		return text, nil
	case link:
		if !strings.HasPrefix(text, s.d.Issuer+"/") || len(text) > maxLink || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("is not an address at %s", s.d.Issuer)
		}
		return text, nil
	case address:
		if a, err := netmail.ParseAddress(text); err == nil && a.Name == "" && a.Address == text {
			return text, nil
		}
	case ip:
		if _, err := netip.ParseAddr(text); err == nil {
			return text, nil
		}
	case term:
		if known := lang.words[strings.ToLower(name)+"."+text]; known != "" {
			return known, nil
		}
	case count, words:
	}
	return inert(text), nil
}

const maxWords = 120 // characters of text that strangers chose

// inert makes text that somebody chose harmless in a mail: one line, bounded, without invisible
// characters, and without anything that a mail program would turn into a link. It need not look
// the same afterwards, only readable.
func inert(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r): // controls, bidirectional marks, zero-width characters
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxWords {
		s = string([]rune(s)[:maxWords-1]) + "…"
	}
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		// A word joiner after what holds hosts and addresses together: nothing to see, no link.
		if strings.ContainsRune(".:/@。．", r) && i+1 < len(runes) && runes[i+1] != ' ' && !between(runes, i) {
			b.WriteRune('\u2060')
		}
	}
	return b.String()
}

// between reports whether the rune at i stands between two digits, as in a time or a version: that
// stays as it is.
func between(runes []rune, i int) bool {
	digit := func(r rune) bool { return '0' <= r && r <= '9' }
	return (runes[i] == '.' || runes[i] == ':') && i > 0 && digit(runes[i-1]) && digit(runes[i+1])
}
