package account

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// The fields of an import beside the claims of a profile.
const (
	importUsername = "username"
	importEmail    = "email"
	importVerified = "email_verified"
	importPhone    = "phone_number_verified"
	importPassword = "password"
	importActive   = "active"
	importDisabled = "disabled"
)

// usualNames are what other systems call our fields; a field's own name comes first.
var usualNames = map[string][]string{
	importUsername: {"user_name", "login", "user", "preferred_username", "nick", "handle"},
	importEmail:    {"e_mail", "mail", "email_address", "emailaddress", "user_email"},
	importVerified: {"is_verified", "verified", "email_confirmed", "is_email_verified", "confirmed"},
	importPhone:    {"phone_verified", "is_phone_verified", "phone_confirmed", "mobile_verified"},
	importPassword: {"password_hash", "passwordhash", "hashed_password", "passwd", "pw", "pass", "pwhash", "pw_hash", "hash", "encrypted_password"},
	importActive:   {"is_active", "enabled", "is_enabled"},
	importDisabled: {"is_disabled", "locked", "blocked", "suspended", "is_locked"},
	"name":         {"full_name", "fullname", "display_name", "displayname", "real_name"},
	"given_name":   {"first_name", "firstname", "givenname", "forename"},
	"family_name":  {"last_name", "lastname", "surname", "familyname"},
	"nickname":     {"nick_name"},
	"picture":      {"avatar", "avatar_url", "photo", "image"},
	"website":      {"url", "homepage", "home_page"},
	"birthdate":    {"birthday", "date_of_birth", "dob", "birth_date"},
	"zoneinfo":     {"timezone", "time_zone", "tz"},
	"locale":       {"language", "lang"},
	"phone_number": {"phone", "mobile", "telephone", "tel", "phonenumber"},
	"postal_code":  {"zip", "zipcode", "zip_code", "postcode"},
	"locality":     {"city", "town"},
	"region":       {"province"},
}

// ImportFields lists the fields that columns can be mapped to.
func ImportFields() []string {
	out := []string{importUsername, importEmail, importVerified, importPhone, importPassword, importActive, importDisabled}
	for _, f := range profileFields {
		out = append(out, f.claim)
	}
	return out
}

// mapping says which column each field is read from.
type mapping struct {
	known   map[string]bool // columns of the source, as far as they were seen ahead
	column  map[string]string
	ignored []string
	source  string
	format  PasswordFormat
}

func newMapping(columns []string, o ImportOptions) (mapping, error) {
	m := mapping{known: map[string]bool{}, column: map[string]string{}, ignored: []string{}, source: "import", format: o.Passwords}
	if o.Source != "" {
		source, _ := text(100)(o.Source)
		m.source += ":" + source
	}
	switch m.format {
	case "":
		m.format = PasswordAuto
	case PasswordAuto, PasswordPlain, PasswordHash:
	default:
		return m, errs.New(errs.Invalid, "", fmt.Errorf("password format %q is none of auto, plain, hash", o.Passwords))
	}
	if err := m.explicit(columns, o.Columns); err != nil {
		return m, err
	}
	m.guess(columns)
	if m.column[importEmail] == "" && m.column[importUsername] == "" {
		return m, errs.New(errs.Invalid, "", fmt.Errorf("no column for email or username among %s: name one", quoted(columns)))
	}
	used := map[string]bool{}
	for _, c := range m.column {
		used[c] = true
	}
	for _, c := range columns {
		m.known[c] = true
		if !used[c] {
			m.ignored = append(m.ignored, c)
		}
	}
	return m, nil
}

// explicit takes what the caller mapped, and refuses names that do not exist with those that do.
func (m *mapping) explicit(columns []string, chosen map[string]string) error {
	var problems []error
	for field, column := range chosen {
		switch {
		case !slices.Contains(ImportFields(), field):
			problems = append(problems, fmt.Errorf("no field %q; there are %s", field, strings.Join(ImportFields(), ", ")))
		case !slices.Contains(columns, column):
			problems = append(problems, fmt.Errorf("no column %q for %s; there are %s", column, field, quoted(columns)))
		default:
			m.column[field] = column
		}
	}
	if len(problems) > 0 {
		sort.Slice(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
		return errs.New(errs.Invalid, "", errors.Join(problems...))
	}
	return nil
}

// guess finds the remaining fields under their usual names; a column serves one field.
func (m *mapping) guess(columns []string) {
	taken := map[string]bool{}
	for _, c := range m.column {
		taken[c] = true
	}
	for _, field := range ImportFields() {
		if m.column[field] != "" {
			continue
		}
		for _, name := range append([]string{field}, usualNames[field]...) {
			i := slices.IndexFunc(columns, func(c string) bool { return !taken[c] && columnKey(c) == name })
			if i >= 0 {
				m.column[field] = columns[i]
				taken[columns[i]] = true
				break
			}
		}
	}
}

// columnKey folds the spellings of a column's name: "E-Mail", "First name".
func columnKey(c string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(c)))
}

func quoted(columns []string) string {
	q := make([]string, len(columns))
	for i, c := range columns {
		q[i] = strconv.Quote(c)
	}
	return strings.Join(q, ", ")
}

func (m *mapping) used() map[string]string { return m.column }

// late finds a field that a row has under a name that nobody has seen when the columns were chosen, as JSON
// lines may: to leave it out would lose it without a word.
func (m *mapping) late(r Row) string {
	for _, field := range ImportFields() {
		if m.column[field] != "" {
			continue
		}
		for column, v := range r.Fields {
			if v != "" && !m.known[column] && (columnKey(column) == field || slices.Contains(usualNames[field], columnKey(column))) {
				return field + " comes here for the first time, too late to be found: give the first row a null for it"
			}
		}
	}
	return ""
}

// candidate checks a row, and reads what it says, without the database.
func (m *mapping) candidate(r Row) (candidate, string) {
	get := func(field string) string { return r.Fields[m.column[field]] }
	for field, column := range m.column {
		if v := r.Fields[column]; len(v) > maxField || !utf8.ValidString(v) {
			return candidate{}, field + " is too long or not UTF-8"
		}
	}
	if problem := m.late(r); problem != "" {
		return candidate{}, problem
	}
	c := candidate{line: r.Line, row: newRow{id: id.User(id.New()), status: Active, source: m.source}}
	email, username := strings.TrimSpace(get(importEmail)), strings.TrimSpace(get(importUsername))
	if email == "" && strings.Contains(username, "@") {
		email, username = username, "" // tables where the address is the username
	} else if strings.EqualFold(email, username) {
		username = ""
	}
	for _, step := range []func() string{
		func() string { return m.readNames(&c.row, email, username) },
		func() string { return m.readProfile(&c.row, get) },
		func() string { return m.readFlags(&c.row, get) },
		func() (problem string) {
			c.row.hash, c.plain, problem = readPassword(get(importPassword), m.format)
			return problem
		},
	} {
		if problem := step(); problem != "" {
			return candidate{}, problem
		}
	}
	return c, ""
}

func (m *mapping) readNames(row *newRow, email, username string) string {
	var err error
	if email != "" {
		if row.email, err = ParseEmail(email); err != nil {
			return "email is not a plain address"
		}
	}
	if username != "" {
		if row.username, err = ParseUsername(username); err != nil {
			if errs.As(err).Key == KeyUsernameIsEmail {
				return "username contains an @: it could be taken for an address"
			}
			return "username is not usable (1 to 64 letters, digits and signs without blanks)"
		}
	}
	if email == "" && username == "" {
		return "neither email nor username"
	}
	return ""
}

func (m *mapping) readFlags(row *newRow, get func(string) string) string {
	for _, f := range []struct {
		field string
		set   func(bool)
	}{
		{importVerified, func(v bool) { row.verified = v && row.email.key != "" }},
		// The operator's word, as for the address. Of no number it says nothing.
		{importPhone, func(v bool) { row.profile.PhoneVerified = v && row.profile.PhoneNumber != "" }},
		{importActive, func(v bool) {
			if !v {
				row.status = Disabled
			}
		}},
		{importDisabled, func(v bool) {
			if v {
				row.status = Disabled
			}
		}},
	} {
		v := strings.ToLower(strings.TrimSpace(get(f.field)))
		switch v {
		case "":
		case "1", "t", "true", "y", "yes", "on":
			f.set(true)
		case "0", "f", "false", "n", "no", "off":
			f.set(false)
		default:
			// Some systems keep the instant of the act in such a column.
			if !looksLikeTime(v) {
				return f.field + " is neither true nor false"
			}
			f.set(true)
		}
	}
	return ""
}

func looksLikeTime(v string) bool {
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if len(v) >= len(time.DateOnly) {
			if _, err := time.Parse(layout, strings.ToUpper(v)); err == nil {
				return true
			}
		}
	}
	return false
}

func (m *mapping) readProfile(row *newRow, get func(string) string) string {
	var p Profile
	for _, f := range profileFields {
		*f.at(&p) = get(f.claim)
	}
	p, problems := p.normalize()
	if len(problems) > 0 {
		e := errs.As(problems[0])
		return e.Field + ": " + strings.ReplaceAll(e.Key, "_", " ")
	}
	row.profile = p
	return ""
}
