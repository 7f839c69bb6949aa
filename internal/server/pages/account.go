package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/id"
	"signet/internal/signin"
)

// member is a signed-in person on the account pages.
type member struct {
	sess    *session.Session
	account account.Account
	loc     *locale
	waiting int // applications that wait for an answer
}

// require returns who is signed in and owes nothing. Otherwise it begins a journey of our own that
// comes back to this page, and returns nil. Account pages have fixed paths, so the target is ours.
func (p *Pages) require(w http.ResponseWriter, r *http.Request) (*member, error) {
	return p.admit(w, r, signin.Local{Target: r.URL.Path})
}

// freshness is how recent a sign-in must be for what could lock the owner out.
const freshness = 10 * time.Minute

// requireFresh is require for such pages: an older sign-in is renewed first, with the second factor
// of whoever has one (also in a remembered browser).
func (p *Pages) requireFresh(w http.ResponseWriter, r *http.Request) (*member, error) {
	maxAge := int64(freshness / time.Second)
	return p.admit(w, r, signin.Local{Target: r.URL.Path, MaxAge: &maxAge, Strong: true})
}

func (p *Pages) admit(w http.ResponseWriter, r *http.Request, l signin.Local) (*member, error) {
	sess, err := p.session(r)
	if err != nil {
		return nil, err
	}
	if sess == nil {
		return nil, p.comeBack(w, r, l)
	}
	owed, err := p.d.Journeys.Standing(r.Context(), sess, l)
	switch {
	case err != nil:
		return nil, err
	case owed.Account == nil:
		if _, err := p.signOut(w, r, sess.ID); err != nil {
			return nil, err
		}
		return nil, p.comeBack(w, r, l)
	case owed.Step != signin.Done:
		return nil, p.comeBack(w, r, l)
	}
	m := &member{sess: sess, account: *owed.Account, loc: p.texts.of(r, nil)}
	if strings.HasPrefix(r.URL.Path, "/account") { // where the navigation tells of it
		m.waiting, err = p.d.Engine.AskedCount(r.Context(), m.account.ID)
	}
	return m, err
}

func (p *Pages) comeBack(w http.ResponseWriter, r *http.Request, l signin.Local) error {
	j, err := p.d.Journeys.BeginLocal(r.Context(), browser(w, r), l)
	if err != nil {
		return err
	}
	return seeOther(w, journeyPath(j, ""))
}

// signOut ends a session with everything issued under it, and makes the browser forget it. What is
// left to do is for farewell.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request, sid id.Session) (oauth.Farewell, error) {
	f, err := p.d.Journeys.EndSession(r.Context(), sid)
	if err != nil {
		return f, err
	}
	p.forget(w, r)
	return f, nil
}

// forget takes the session cookie away and with it every page that was kept. "cookies" would
// reach those of sibling hosts, so it is not among the types.
func (p *Pages) forget(w http.ResponseWriter, r *http.Request) {
	setCookie(w, r, cookieSession, "", -1)
	p.mark(w, r, nil)
	w.Header().Set("Clear-Site-Data", `"cache"`)
}

// sections is the navigation of the account pages.
var sections = []struct{ path, title, detail string }{
	{"/account", "overview.title", ""},
	{"/account/profile", "profile.title", "overview.profile"},
	{"/account/security", "security.title", "security.detail"},
	{"/account/sessions", "sessions.title", "overview.sessions"},
	{"/account/applications", "applications.title", "overview.applications"},
	{"/account/activity", "activity.title", "overview.activity"},
	{"/account/data", "data.title", "overview.data"},
}

// doors are the sections that somebody has: requests only while one waits.
func (m *member) doors() []link {
	var out []link
	for i, s := range sections {
		detail := ""
		if s.detail != "" {
			detail = m.loc.T(s.detail)
		}
		out = append(out, link{Path: s.path, Text: m.loc.T(s.title), Detail: detail})
		if i == 0 && m.waiting > 0 {
			out = append(out, link{Path: oauth.AskedPath, Text: m.loc.T("asked.title"), Detail: m.loc.T("asked.waiting", "Count", m.waiting)})
		}
	}
	return out
}

// sectionOf says under which entry of the navigation a page stands.
func sectionOf(path string) string {
	switch {
	case path == "/account/username", path == "/account/address", path == "/account/address/code":
		return "/account/profile"
	case strings.HasPrefix(path, oauth.AskedPath+"/"):
		return oauth.AskedPath
	case path == "/account/delete":
		return "/account/data"
	case path == "/account/password", strings.HasPrefix(path, "/account/passkeys"), path == "/account/upstream", strings.HasPrefix(path, "/account/security/"):
		return "/account/security"
	}
	return path
}

// savedKeys are what ?saved= may say; anything else says nothing.
var savedKeys = map[string]string{
	"profile": "profile.saved", "username": "username.saved", "address": "address.saved", "verified": "address.verified", "password": "password.saved",
	"totp": "totp.added", "totp_removed": "totp.removed", "browser": "browsers.forgotten", "browsers": "browsers.all_forgotten",
	"session": "sessions.ended", "others": "sessions.others_ended", "application": "applications.revoked",
	"request_allowed": "asked.allowed", "request_denied": "asked.denied",
	"linked": "upstream.linked", "unlinked": "upstream.unlinked",
	"passkey_added": "passkeys.added", "passkey_name": "passkeys.renamed", "passkey_removed": "passkeys.removed",
}

func (p *Pages) accountView(r *http.Request, m *member, title string) *view {
	v := p.view(r, m.loc, title)
	for _, s := range m.doors() {
		s.Current = s.Path == sectionOf(r.URL.Path)
		v.Nav = append(v.Nav, s)
	}
	if q, err := url.ParseQuery(r.URL.RawQuery); err == nil && r.Method == http.MethodGet {
		if key := savedKeys[q.Get("saved")]; key != "" {
			v.Saved = m.loc.T(key)
		}
	}
	return v
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	v := p.accountView(r, m, "overview.title")
	data := struct {
		Who   person
		Doors []link
	}{Who: personOf(m.account)}
	data.Doors = m.doors()[1:]
	v.Data = data
	return p.render(w, http.StatusOK, "overview", v)
}

// switched reports whether an account form was sent by a button for language or colours, see
// relocated.
func (p *Pages) switched(w http.ResponseWriter, r *http.Request, m *member, form url.Values) bool {
	if wear(w, r, form.Get("theme")) {
		return true
	}
	loc := p.texts.byTag[form.Get("locale")]
	if loc == nil {
		return false
	}
	setLocale(w, r, loc.tag, "")
	m.loc = loc
	return true
}
