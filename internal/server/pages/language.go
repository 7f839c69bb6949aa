package pages

import (
	"net/http"
	"net/url"
	stdpath "path"
	"strings"

	"signet/internal/server"
)

// switchLanguage remembers the language and goes back to the page it was chosen on. Within a
// journey it changes nothing of the journey, only the cookie.
func (p *Pages) switchLanguage(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	back := localPath(form.Get("return"))
	if loc := p.texts.byTag[form.Get("locale")]; loc != nil {
		setLocale(w, r, loc.tag, journeyIn(back))
	}
	return seeOther(w, back)
}

// relocated reports whether a page's main form was sent by one of the buttons for language or
// colours. Then the page is shown again with what was typed, and nothing else happens.
func (p *Pages) relocated(w http.ResponseWriter, r *http.Request, v *visit, form url.Values) bool {
	if wear(w, r, form.Get("theme")) {
		return true
	}
	loc := p.texts.byTag[form.Get("locale")]
	if loc == nil {
		return false
	}
	setLocale(w, r, loc.tag, string(v.j.ID))
	v.loc = loc
	return true
}

// localPath admits an address of this very server, as a path with an optional query, and turns
// everything else into the front door. It is the only place where a target comes from input;
// it allows only what no parser can read as another host.
func localPath(s string) string {
	const front = "/"
	if len(s) > 8192 || !strings.HasPrefix(s, "/") {
		return front
	}
	for _, c := range s {
		if c <= ' ' || c == '\\' || c >= 0x7f {
			return front
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" ||
		u.RawPath != "" || stdpath.Clean(u.Path) != u.Path || strings.ContainsAny(u.Path, "\\;") {
		return front
	}
	return u.String()
}

// journeyIn returns the journey whose page a local path is, "" if none.
func journeyIn(local string) string {
	rest, ok := strings.CutPrefix(local, "/signin/")
	if !ok {
		return ""
	}
	j, _, _ := strings.Cut(rest, "/")
	if len(j) > 64 || strings.ContainsFunc(j, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) {
		return ""
	}
	return j
}
