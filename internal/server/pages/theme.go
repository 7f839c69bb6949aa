package pages

import (
	"net/http"

	"signet/internal/server"
)

// cookieTheme holds the colour scheme chosen in this browser; without it the system decides.
const cookieTheme = "signet_theme"

// themes are the choices in the order of their buttons. "auto" is the absence of a choice.
var themes = []string{"auto", "light", "dark"}

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

// themeChoices is the switch as pages show it.
func themeChoices(loc *locale, chosen string) []choice {
	if chosen == "" {
		chosen = "auto"
	}
	var out []choice
	for _, t := range themes {
		out = append(out, choice{Tag: t, Name: loc.T("page.theme_" + t), Current: t == chosen})
	}
	return out
}
