package pages

import (
	"net/http"
	"strings"

	"signet/internal/platform/id"
	"signet/internal/server"
)

func (p *Pages) sessionList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	list, err := p.d.Sessions.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	type row struct {
		ID          id.Session
		Device, IP  string
		Current     bool
		Seen, Began instant
	}
	data := struct {
		Sessions []row
		Others   bool
	}{}
	for _, s := range list {
		data.Sessions = append(data.Sessions, row{
			ID: s.ID, Device: deviceText(m.loc, s.UserAgent), IP: s.IP, Current: s.ID == m.sess.ID,
			Seen: m.loc.instant(s.LastSeenAt), Began: m.loc.instant(s.CreatedAt),
		})
		data.Others = data.Others || s.ID != m.sess.ID
	}
	v := p.accountView(r, m, "sessions.title")
	v.Data = data
	return p.render(w, http.StatusOK, "sessions", v)
}

func (p *Pages) sessionEnd(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if form.Get("all") == "others" {
		if err := p.d.Journeys.EndOthers(r.Context(), m.account.ID, m.sess.ID); err != nil {
			return err
		}
		return seeOther(w, "/account/sessions?saved=others")
	}
	sid := id.Session(form.Get("session"))
	if sid == m.sess.ID {
		if err := p.signOut(w, r, sid); err != nil {
			return err
		}
		return seeOther(w, loggedOutPath)
	}
	list, err := p.d.Sessions.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	for _, s := range list { // only one's own; a foreign id does nothing
		if s.ID == sid {
			if err := p.d.Journeys.EndSession(r.Context(), sid); err != nil {
				return err
			}
		}
	}
	return seeOther(w, "/account/sessions?saved=session")
}

// browsers and systems in the order in which their marks are telling: later ones imitate
// earlier ones. The User-Agent is a hint for its owner, nothing is decided by it.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Whale/", "Whale"},
		{"Firefox/", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	}
)

func deviceText(loc *locale, userAgent string) string {
	find := func(list [][2]string) string {
		for _, mark := range list {
			if strings.Contains(userAgent, mark[0]) {
				return mark[1]
			}
		}
		return ""
	}
	b, s := find(browsers), find(systems)
	switch {
	case b != "" && s != "":
		return loc.T("sessions.device", "Browser", b, "System", s)
	case b+s != "":
		return b + s
	}
	return loc.T("sessions.unknown_device")
}
