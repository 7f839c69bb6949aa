package pages

import (
	"net/http"
	"net/url"
	"slices"

	"signet/internal/identity/account"
	"signet/internal/server"
)

// profileFields ties form fields to claims (OIDC Core §5.1). They have the claim's name, but for
// one: locale is what the language buttons of every page are called.
var profileFields = []struct {
	name string
	at   func(*account.Profile) *string
}{
	{"name", func(p *account.Profile) *string { return &p.Name }},
	{"given_name", func(p *account.Profile) *string { return &p.GivenName }},
	{"family_name", func(p *account.Profile) *string { return &p.FamilyName }},
	{"middle_name", func(p *account.Profile) *string { return &p.MiddleName }},
	{"nickname", func(p *account.Profile) *string { return &p.Nickname }},
	{"birthdate", func(p *account.Profile) *string { return &p.Birthdate }},
	{"gender", func(p *account.Profile) *string { return &p.Gender }},
	{"language", func(p *account.Profile) *string { return &p.Locale }},
	{"zoneinfo", func(p *account.Profile) *string { return &p.Zoneinfo }},
	{"website", func(p *account.Profile) *string { return &p.Website }},
	{"profile", func(p *account.Profile) *string { return &p.ProfileURL }},
	{"picture", func(p *account.Profile) *string { return &p.Picture }},
	{"phone_number", func(p *account.Profile) *string { return &p.PhoneNumber }},
	{"street_address", func(p *account.Profile) *string { return &p.Address.StreetAddress }},
	{"locality", func(p *account.Profile) *string { return &p.Address.Locality }},
	{"region", func(p *account.Profile) *string { return &p.Address.Region }},
	{"postal_code", func(p *account.Profile) *string { return &p.Address.PostalCode }},
	{"country", func(p *account.Profile) *string { return &p.Address.Country }},
}

func (p *Pages) profileForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showProfile(w, m, http.StatusOK, p.accountView(r, m, "profile.title").keep(profileValues(m.account.Profile)))
}

func (p *Pages) showProfile(w http.ResponseWriter, m *member, status int, v *view) error {
	v.KeepForm = true
	v.Data = struct {
		Email, Username string
		Verified        bool
	}{m.account.Email, m.account.Username, m.account.EmailVerified}
	return p.render(w, status, "profile", v)
}

func (p *Pages) profileSave(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.switched(w, r, m, form) {
		return p.showProfile(w, m, http.StatusOK, p.accountView(r, m, "profile.title").keep(form))
	}
	err = p.d.Accounts.UpdateProfile(r.Context(), m.account.ID, profileOf(form, m.account.Profile))
	if err != nil {
		v := p.accountView(r, m, "profile.title").keep(form)
		if status, ok := v.failFields(err); ok {
			slices.SortStableFunc(v.Problems, func(a, b problem) int { return position(a.Field) - position(b.Field) })
			return p.showProfile(w, m, status, v)
		}
		return err
	}
	return seeOther(w, "/account/profile?saved=profile")
}

// position orders the summary of problems like the form.
func position(field string) int {
	for i, f := range profileFields {
		if f.name == field {
			return i
		}
	}
	return len(profileFields)
}

func profileValues(profile account.Profile) url.Values {
	address := account.Address{}
	if profile.Address != nil {
		address = *profile.Address
	}
	profile.Address = &address
	out := url.Values{}
	for _, f := range profileFields {
		out.Set(f.name, *f.at(&profile))
	}
	return out
}

// profileOf reads the form over what is stored: what the form does not have stays.
func profileOf(form url.Values, old account.Profile) account.Profile {
	profile, address := old, account.Address{}
	if old.Address != nil {
		address = *old.Address
	}
	before := address
	profile.Address = &address
	for _, f := range profileFields {
		if form.Has(f.name) {
			*f.at(&profile) = form.Get(f.name)
		}
	}
	if address != before {
		address.Formatted = "" // it described the old one
	}
	if address == (account.Address{}) {
		profile.Address = nil
	}
	if profile.PhoneNumber != old.PhoneNumber {
		profile.PhoneVerified = false
	}
	return profile
}

func (p *Pages) usernameForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showUsername(w, http.StatusOK, p.accountView(r, m, "username.title").keep(url.Values{"username": {m.account.Username}}))
}

func (p *Pages) showUsername(w http.ResponseWriter, status int, v *view) error {
	v.KeepForm = true
	return p.render(w, status, "username", v)
}

func (p *Pages) usernameSave(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.switched(w, r, m, form) {
		return p.showUsername(w, http.StatusOK, p.accountView(r, m, "username.title").keep(form))
	}
	if err := p.d.Accounts.SetUsername(r.Context(), m.account.ID, form.Get("username")); err != nil {
		v := p.accountView(r, m, "username.title").keep(form)
		if status, ok := v.failFields(err); ok {
			return p.showUsername(w, status, v)
		}
		if status, text, ok := attempt(w, m.loc, err); ok {
			return p.showUsername(w, status, v.fail("", text))
		}
		return err
	}
	return seeOther(w, "/account/profile?saved=username")
}
