package pages

import (
	"context"
	"net/http"

	"signet/internal/identity/notice"
	"signet/internal/server"
)

// "This wasn't me": the link in every notice.

var notMeFrames = map[string]string{}

func (p *Pages) notMeRoutes() []server.Route { return nil } // it is behind /m, see landing

func (p *Pages) notMeLanding(w http.ResponseWriter, r *http.Request, token string) error {
	l, err := p.d.Notices.Peek(r.Context(), token)
	if err != nil {
		return err
	}
	return p.showLink(w, p.notMeView(r, l))
}

func (p *Pages) notMeView(r *http.Request, l notice.Link) *view {
	v := p.linkView(r, "link.not_me")
	data, _ := v.Data.(landingData)
	what := v.T("link.about."+string(l.Kind), "At", v.instant(l.At).Text)
	data.Text = append([]string{what}, data.Text...)
	v.Data = data
	return v
}

// notMeLinked ends every session, grant and remembered browser at once, and begins a reset.
func (p *Pages) notMeLinked(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := p.d.Notices.Peek(r.Context(), token); err != nil {
		return err
	}
	l, err := p.d.Notices.Take(r.Context(), token, func(ctx context.Context, l notice.Link) error {
		return p.endEverything(ctx, l.User)
	})
	if err != nil {
		return err
	}
	return p.afterAlarm(w, r, l.User, "link.ended")
}
