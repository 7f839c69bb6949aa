package pages

import (
	"net/http"

	"signet/internal/server"
)

// cookieTheme holds the colour scheme chosen in this browser; without it the system decides.
const cookieTheme = "signet_theme"

// theme returns light or dark, or "" for what the system says.
func theme(r *http.Request) string {
	if v := readCookie(r, cookieTheme); v == "light" || v == "dark" {
		return v
	}
	return ""
}

// wear remembers a theme; false if it is none. The answer under way wears it already: its view
// is built from the request.
func wear(w http.ResponseWriter, r *http.Request, value string) bool {
	switch value {
	case "light", "dark":
		setCookie(w, r, cookieTheme, value, year)
	case "auto":
		setCookie(w, r, cookieTheme, "", -1)
	default:
		return false
	}
	name := cookieName(r, cookieTheme)
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if c.Name != name {
			r.AddCookie(c)
		}
	}
	if value != "auto" {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return true
}

// switchTheme remembers the scheme and goes back to the page it was chosen on.
func (p *Pages) switchTheme(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	wear(w, r, form.Get("theme"))
	return seeOther(w, localPath(form.Get("return")))
}

// themeChoices is the switch as pages show it. "auto" is the absence of a choice.
func themeChoices(loc *locale, chosen string) []choice {
	return []choice{
		{"auto", loc.T("page.theme_auto"), chosen == ""},
		{"light", loc.T("page.theme_light"), chosen == "light"},
		{"dark", loc.T("page.theme_dark"), chosen == "dark"},
	}
}

// dress puts on a page what belongs to the browser and to the operator: colours, logo, links.
func (p *Pages) dress(r *http.Request, v *view) {
	v.Theme, v.lastWay = theme(r), lastUsed(r)
	v.Themes = themeChoices(v.locale, v.Theme)
	if b := p.brand; b.logo != nil {
		l := b.logo
		v.Logo, v.LogoNight = p.files.logo, p.files.night
		if v.Theme == "dark" && b.night != nil {
			l, v.Logo = b.night, p.files.night
		}
		if v.Theme != "" {
			v.LogoNight = "" // chosen here, not by the browser
		}
		v.LogoWord, v.LogoWidth = l.word(), l.width()
	}
	v.Help, v.Greeting = p.brand.help, p.brand.text[v.Lang]
	for _, l := range p.brand.legal {
		v.Legal = append(v.Legal, link{Path: l.url, Text: v.T(l.key)})
	}
}

// Last is the mark of a way to sign in if it was used last in this browser, else "".
func (v *view) Last(way string) string {
	if way == "" || way != v.lastWay {
		return ""
	}
	return v.T("login.last_used")
}
