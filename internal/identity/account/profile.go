package account

import (
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"signet/internal/platform/errs"
)

// Profile is the standard claims that people edit themselves (OIDC Core §5.1). "" is unknown.
type Profile struct {
	Name          string   `json:"name,omitempty"`
	GivenName     string   `json:"given_name,omitempty"`
	FamilyName    string   `json:"family_name,omitempty"`
	MiddleName    string   `json:"middle_name,omitempty"`
	Nickname      string   `json:"nickname,omitempty"`
	ProfileURL    string   `json:"profile,omitempty"`
	Picture       string   `json:"picture,omitempty"`
	Website       string   `json:"website,omitempty"`
	Gender        string   `json:"gender,omitempty"`
	Birthdate     string   `json:"birthdate,omitempty"` // YYYY-MM-DD, 0000-MM-DD or YYYY
	Zoneinfo      string   `json:"zoneinfo,omitempty"`  // a name of the IANA time zone database
	Locale        string   `json:"locale,omitempty"`    // a BCP 47 tag
	PhoneNumber   string   `json:"phone_number,omitempty"`
	PhoneVerified bool     `json:"phone_number_verified,omitempty"` // never set by UpdateProfile
	Address       *Address `json:"address,omitempty"`
}

// Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// The message keys of profile fields; the field is the claim's name.
const (
	KeyTooLong          = "too_long"
	KeyBadCharacters    = "bad_characters" // control, bidirectional override or invisible characters
	KeyURLInvalid       = "url_invalid"
	KeyBirthdateInvalid = "birthdate_invalid"
	KeyZoneinfoInvalid  = "zoneinfo_invalid"
	KeyLocaleInvalid    = "locale_invalid"
	KeyPhoneInvalid     = "phone_number_invalid"
)

// check is one rule: it returns the canonical form of a non-empty value, or a message key.
type check func(string) (string, string)

type profileField struct {
	claim string
	at    func(*Profile) *string
	check check
}

// profileFields is every text claim of a profile with its rule; the address follows.
var profileFields = []profileField{
	{"name", func(p *Profile) *string { return &p.Name }, text(200)},
	{"given_name", func(p *Profile) *string { return &p.GivenName }, text(100)},
	{"family_name", func(p *Profile) *string { return &p.FamilyName }, text(100)},
	{"middle_name", func(p *Profile) *string { return &p.MiddleName }, text(100)},
	{"nickname", func(p *Profile) *string { return &p.Nickname }, text(100)},
	{"profile", func(p *Profile) *string { return &p.ProfileURL }, webURL},
	{"picture", func(p *Profile) *string { return &p.Picture }, webURL},
	{"website", func(p *Profile) *string { return &p.Website }, webURL},
	{"gender", func(p *Profile) *string { return &p.Gender }, text(40)},
	{"birthdate", func(p *Profile) *string { return &p.Birthdate }, birthdate},
	{"zoneinfo", func(p *Profile) *string { return &p.Zoneinfo }, zoneinfo},
	{"locale", func(p *Profile) *string { return &p.Locale }, locale},
	{"phone_number", func(p *Profile) *string { return &p.PhoneNumber }, phone},
	{"formatted", func(p *Profile) *string { return &p.address().Formatted }, lines(500)},
	{"street_address", func(p *Profile) *string { return &p.address().StreetAddress }, lines(300)},
	{"locality", func(p *Profile) *string { return &p.address().Locality }, text(100)},
	{"region", func(p *Profile) *string { return &p.address().Region }, text(100)},
	{"postal_code", func(p *Profile) *string { return &p.address().PostalCode }, text(20)},
	{"country", func(p *Profile) *string { return &p.address().Country }, text(100)},
}

func (p *Profile) address() *Address {
	if p.Address == nil {
		p.Address = &Address{}
	}
	return p.Address
}

// normalize returns p in canonical form, or every problem it has.
func (p Profile) normalize() (Profile, []error) {
	if p.Address != nil {
		copied := *p.Address
		p.Address = &copied
	}
	var problems []error
	for _, f := range profileFields {
		v := f.at(&p)
		if strings.TrimSpace(*v) == "" {
			*v = ""
			continue
		}
		canonical, key := f.check(*v)
		if key != "" {
			problems = append(problems, errs.Field(f.claim, key))
			continue
		}
		*v = canonical
	}
	if *p.address() == (Address{}) {
		p.Address = nil
	}
	if p.PhoneNumber == "" {
		p.PhoneVerified = false
	}
	return p, problems
}

// Claims returns the standard claims that are known of a, under their names of OIDC Core §5.1.
// "sub" and the choice by scope are the OAuth half's.
func (a Account) Claims() map[string]any {
	out := map[string]any{"updated_at": a.UpdatedAt.Unix()}
	p := a.Profile
	for _, f := range profileFields[:claimFields] {
		if v := *f.at(&p); v != "" {
			out[f.claim] = v
		}
	}
	if p.PhoneNumber != "" {
		out["phone_number_verified"] = p.PhoneVerified
	}
	if p.Address != nil {
		out["address"] = *p.Address
	}
	if a.Username != "" {
		out["preferred_username"] = a.Username
	}
	if a.Email != "" {
		out["email"], out["email_verified"] = a.Email, a.EmailVerified
	}
	return out
}

// claimFields is how many of profileFields are claims of their own rather than parts of address.
const claimFields = 13

// text accepts one line of at most limit code points.
func text(limit int) check {
	return func(s string) (string, string) {
		s = strings.TrimSpace(norm.NFC.String(s))
		switch {
		case !utf8.ValidString(s) || strings.ContainsFunc(s, unseen):
			return "", KeyBadCharacters
		case utf8.RuneCountInString(s) > limit:
			return "", KeyTooLong
		}
		return s, ""
	}
}

// lines accepts line breaks too (OIDC Core §5.1.1), as "\n".
func lines(limit int) check {
	one := text(limit)
	return func(s string) (string, string) {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		parts := strings.Split(s, "\n")
		for i := range parts {
			part, key := one(parts[i])
			if key != "" {
				return "", key
			}
			parts[i] = part
		}
		s = strings.TrimSpace(strings.Join(parts, "\n"))
		if utf8.RuneCountInString(s) > limit {
			return "", KeyTooLong
		}
		return s, ""
	}
}

// unseen reports characters that let text look like something else where it is shown: controls,
// line separators, and all format characters (bidirectional overrides, zero-width ones) but the
// two joiners that scripts and emoji need.
func unseen(r rune) bool {
	const zwnj, zwj = '\u200c', '\u200d'
	return r != zwnj && r != zwj && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) ||
		unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError)
}

// webURL accepts absolute http and https URLs: these end up as links on other people's pages,
// where another scheme could run.
func webURL(s string) (string, string) {
	s = strings.TrimSpace(s)
	if len(s) > 2048 {
		return "", KeyTooLong
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unseen(r) || unicode.IsSpace(r) }) || strings.ContainsAny(s, `"<>\`) {
		return "", KeyURLInvalid
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", KeyURLInvalid
	}
	return s, ""
}

// birthdate accepts YYYY-MM-DD, the year 0000 for one that is not told, and YYYY alone (OIDC
// Core §5.1).
func birthdate(s string) (string, string) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.DateOnly, "2006"} {
		if len(s) == len(layout) {
			if _, err := time.Parse(layout, s); err == nil {
				return s, ""
			}
		}
	}
	return "", KeyBirthdateInvalid
}

var reZone = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// zoneinfo checks the form alone: which names exist changes several times a year.
func zoneinfo(s string) (string, string) {
	s = strings.TrimSpace(s)
	if len(s) > 64 || !reZone.MatchString(s) {
		return "", KeyZoneinfoInvalid
	}
	return s, ""
}

// locale accepts a BCP 47 tag; some write it with an underscore (OIDC Core §5.1).
func locale(s string) (string, string) {
	s = strings.TrimSpace(s)
	if len(s) > 35 { // RFC 5646 §4.4.1
		return "", KeyLocaleInvalid
	}
	tag, err := language.Parse(s)
	if err != nil || tag == language.Und {
		return "", KeyLocaleInvalid
	}
	return tag.String(), ""
}

var rePhone = regexp.MustCompile(`^\+[1-9][0-9]{5,14}(;ext=[0-9]{1,10})?$`)

// phone accepts E.164 with an RFC 3966 extension, and drops what people put between the digits.
func phone(s string) (string, string) {
	s = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "/", "", "\u00a0", "").Replace(strings.TrimSpace(s))
	if !rePhone.MatchString(s) {
		return "", KeyPhoneInvalid
	}
	return s, ""
}
