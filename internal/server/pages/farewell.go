package pages

import (
	"context"
	"html/template"
	"net/http"

	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// farewell is where a sign-out ends. Where applications are told through this browser, a page loads
// their frames first, and then goes on by itself or by its link (OIDC Front-Channel Logout §3). The
// back channel needs no page: its notices are in the outbox already.
func (p *Pages) farewell(w http.ResponseWriter, r *http.Request, f oauth.Farewell, l signin.Leave) error {
	if len(f.Frames) == 0 && (l.Location != "" || len(f.Apps) == 0) {
		return seeOther(w, after(l))
	}
	v, err := p.farewellView(r, f, l)
	if err != nil {
		return err
	}
	if l.Location != "" { // for browsers without script; theirs is the longer wait
		w.Header().Set("Refresh", "6; url="+l.Location)
	}
	return p.render(w, http.StatusOK, "farewell", v)
}

// farewellTo shows the frames of a session that ended by another act than a sign-out, where there are any,
// and goes on to one of our own pages.
func (p *Pages) farewellTo(w http.ResponseWriter, r *http.Request, f oauth.Farewell, path string) error {
	if len(f.Frames) == 0 {
		return seeOther(w, path)
	}
	loc := p.texts.of(r, nil)
	v := p.framesView(r, loc, f)
	v.Data = farewellData{f.Apps, f.Frames, true, template.URL(path), loc.T("logged_out.go_on")} //nolint:gosec // a path of ours
	w.Header().Set("Refresh", "6; url="+path)
	return p.render(w, http.StatusOK, "farewell", v)
}

// endAll ends everything of somebody and notes what is left to be done in this browser, if its session was
// theirs. It joins the transaction that ctx carries.
func (p *Pages) endAll(ctx context.Context, user id.User, sess *session.Session, f *oauth.Farewell) (err error) {
	if sess != nil && sess.User == user {
		if *f, err = p.d.Journeys.EndSession(ctx, sess.ID); err != nil {
			return err
		}
	}
	return p.endEverything(ctx, user)
}

// farewellData is what the page says.
type farewellData struct {
	Apps, Frames []string
	Onward       bool         // goes on by itself
	URL          template.URL // registered, or ours
	Link         string
}

func (p *Pages) farewellView(r *http.Request, f oauth.Farewell, l signin.Leave) (*view, error) {
	loc := p.texts.of(r, &signin.Journey{Leave: &l})
	v := p.framesView(r, loc, f)
	data := farewellData{f.Apps, f.Frames, l.Location != "", "/login", loc.T("logged_out.again")}
	if data.Onward {
		name, err := p.nameOf(r, l)
		if err != nil {
			return nil, err
		}
		data.URL, data.Link = template.URL(l.Location), loc.T("logged_out.onward", "App", name) //nolint:gosec // compared with the registration byte by byte
	}
	v.Data = data
	return v, nil
}

func (p *Pages) framesView(r *http.Request, loc *locale, f oauth.Farewell) *view {
	v := p.view(r, loc, "logged_out.title")
	v.Path = loggedOutPath // a language switch cannot repeat this page
	v.frames = f.Frames
	return v
}

func (p *Pages) nameOf(r *http.Request, l signin.Leave) (string, error) {
	c, err := p.d.Clients.Recorded(r.Context(), l.Client)
	if errs.Is(err, errs.NotFound) {
		return l.Location, nil
	}
	if err != nil {
		return "", err
	}
	return c.Name, nil
}

// mark keeps the cookie that the script of check_session_iframe reads in step with who is signed in
// (OIDC Session Management §3.2). It proves nothing and opens nothing, so it may be read by our
// scripts, and must be where we are in a frame of another site.
func (p *Pages) mark(w http.ResponseWriter, r *http.Request, sess *session.Session) {
	state := ""
	if sess != nil {
		state = p.d.Engine.BrowserState(sess.ID)
	}
	if state == readCookie(r, cookieState) {
		return
	}
	c := &http.Cookie{
		Name: cookieName(r, cookieState), Value: state, Path: "/", Secure: server.Secure(r), SameSite: http.SameSiteNoneMode,
	}
	if !c.Secure { // http is for localhost, where every port is the same site
		c.SameSite = http.SameSiteLaxMode
	}
	if state == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
