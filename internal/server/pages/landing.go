package pages

import (
	"net/http"
	"slices"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/server"
)

// Mailed links lead to /m/{token}. Mail scanners open links too, and browsers keep addresses: so a
// GET does nothing but move the token out of the address into a cookie, and show a page that says
// what its button will do. Only the button does it.

// cookieLink holds the token of the mailed link that was opened last.
const cookieLink = "signet_link"

// linkLife is how long the page behind a link may stay open, in seconds. The link can be opened
// again.
const linkLife = 30 * 60

// landing is what stands behind the mailed links of one purpose. Both functions say errs.NotFound
// with onetime.KeyUnknown, before anything is written, of a token that is not theirs.
type landing struct {
	// show renders the page. It changes nothing.
	show func(w http.ResponseWriter, r *http.Request, token string) error
	// act does what the button says.
	act func(w http.ResponseWriter, r *http.Request, token string) error
}

// landings has one entry per purpose of a mailed link.
func (p *Pages) landings() []landing {
	return append([]landing{
		{p.signUpLanding, p.signUpConfirmed},
		{p.inviteLanding, p.inviteAccepted},
	}, p.recoveryLandings()...)
}

var landingFrames = map[string]string{"landing": "card"}

func (p *Pages) landingRoutes() []server.Route {
	return []server.Route{
		p.get("/m/{token}", p.land),
		p.get("/m", p.landingPage),
		p.post("/m", p.landingAct),
	}
}

// land moves the token of a link out of the address.
func (p *Pages) land(w http.ResponseWriter, r *http.Request) error {
	token := r.PathValue("token")
	if !isLink(token) {
		return linkError(errs.New(errs.NotFound, onetime.KeyUnknown, nil))
	}
	setCookie(w, r, cookieLink, token, linkLife)
	return seeOther(w, "/m")
}

func isLink(token string) bool {
	return slices.ContainsFunc([]id.Kind{id.MailLink, id.Invitation}, func(k id.Kind) bool {
		_, ok := id.Hash(k, token)
		return ok
	})
}

func (p *Pages) landingPage(w http.ResponseWriter, r *http.Request) error {
	return p.onLanding(r, func(l landing, token string) error { return l.show(w, r, token) })
}

func (p *Pages) landingAct(w http.ResponseWriter, r *http.Request) error {
	return p.onLanding(r, func(l landing, token string) error { return l.act(w, r, token) })
}

// onLanding finds out what the opened link is for.
func (p *Pages) onLanding(r *http.Request, do func(l landing, token string) error) error {
	err := error(errs.New(errs.NotFound, onetime.KeyUnknown, nil))
	token := readCookie(r, cookieLink)
	if !isLink(token) {
		return linkError(err)
	}
	for _, l := range p.landings() {
		if err = do(l, token); err == nil || errs.As(err).Key != onetime.KeyUnknown {
			break
		}
	}
	return linkError(err)
}

// linkKeys are the pages about links that do nothing any more.
var linkKeys = map[string]string{
	onetime.KeyUnknown: "error.link_unknown", onetime.KeyUsed: "error.link_used", onetime.KeyExpired: "error.link_expired",
}

// linkError has the words for a link that does nothing any more.
func linkError(err error) error {
	if err == nil {
		return nil
	}
	if key := linkKeys[errs.As(err).Key]; key != "" && errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, key, err)
	}
	return err
}

// linkDone forgets the token: its page is not needed any more.
func linkDone(w http.ResponseWriter, r *http.Request) { setCookie(w, r, cookieLink, "", -1) }

// landingData is what the page behind a link shows.
type landingData struct {
	Text     []string
	Submit   string
	Password bool   // one is asked for
	Username string // for password managers
	Quiet    string // a last line
}
