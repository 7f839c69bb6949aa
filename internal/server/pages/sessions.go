package pages

import (
	"net/http"

	"signet/internal/identity/notice"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
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
		f, err := p.signOut(w, r, sid)
		if err != nil {
			return err
		}
		return p.farewell(w, r, f, signin.Leave{})
	}
	list, err := p.d.Sessions.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	for _, s := range list { // only one's own; a foreign id does nothing
		if s.ID == sid {
			// Frames are for the browser of that session, which is elsewhere.
			if _, err := p.d.Journeys.EndSession(r.Context(), sid); err != nil {
				return err
			}
		}
	}
	return seeOther(w, "/account/sessions?saved=session")
}

// deviceText names a browser in a sentence.
func deviceText(loc *locale, userAgent string) string {
	b, s := notice.Device(userAgent)
	switch {
	case b != "" && s != "":
		return loc.T("sessions.device", "Browser", b, "System", s)
	case b+s != "":
		return b + s
	}
	return loc.T("sessions.unknown_device")
}
