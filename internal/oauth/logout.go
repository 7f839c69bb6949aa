package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// Logout is a checked logout request (OIDC RP-Initiated Logout §2).
type Logout struct {
	// Session is the sid of a verified hint: which session the application means, in its own words.
	Session string
	Client  id.Client
	// RedirectURI is registered for Client; "" means our own page.
	RedirectURI string
	State       string
	UILocales   []string
	// Trusted says that a verified hint names the session, so that nobody needs to be asked if it is
	// the session of this browser. Without it, a person must confirm (§2, security case LO-01).
	Trusted bool

	client *client.Client
	past   bool // the hint may have been one of ours
}

// Ends reports whether a logout request is about the session, so that it ends without a question.
func (e *Engine) Ends(l *Logout, s id.Session) bool {
	return l.Trusted && s != "" && subtle.ConstantTimeCompare([]byte(l.Session), []byte(e.sidOf(l.client, s))) == 1
}

// Location is where the browser goes after the logout, "" for our own page. state is added only
// if it was sent (§3).
func (l *Logout) Location() string {
	if l.RedirectURI == "" || l.State == "" {
		return l.RedirectURI
	}
	return addQuery(l.RedirectURI, url.Values{"state": {l.State}}.Encode())
}

// ParseLogout checks a logout request. A hint that is not an ID token of ours is an error: nothing
// about the request can be believed. So is an address that the browser may not be sent to (§3,
// security case LO-02): the request is not one that the application makes, and nothing ends by it.
func (e *Engine) ParseLogout(ctx context.Context, form url.Values) (*Logout, error) {
	if duplicate(form) != "" || len(form["resource"]) > 1 {
		return nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	l := &Logout{UILocales: words(form.Get("ui_locales"))}
	cid := form.Get("client_id")
	if len(cid) > maxClientID {
		return nil, refuse(InvalidRequest, "client_id is too long.")
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := e.verifyHint(hint)
		if l.past = errors.Is(err, errPastHint); l.past {
			// Applications keep ID tokens for longer than keys are kept. Nothing vouches for this one, so it
			// counts as none: the person is asked (§2: OPs should take expired ID tokens).
			return e.addressee(ctx, l, cid, form)
		}
		if err == nil && len(c.Audience) != 1 {
			err = errors.New("not one audience")
		}
		if err == nil && cid != "" && !c.issuedTo(id.Client(cid)) { // §2: client_id must match
			err = errors.New("client_id differs from the hint's audience")
		}
		if err != nil {
			return nil, refuse(InvalidRequest, "id_token_hint is not an ID token of this server for this application.").because(err)
		}
		cid = c.Audience[0]
		l.Session, l.Trusted = c.Session, c.Session != ""
	}
	return e.addressee(ctx, l, cid, form)
}

// addressee finds the client of a request and checks where it wants the browser to go.
func (e *Engine) addressee(ctx context.Context, l *Logout, cid string, form url.Values) (*Logout, error) {
	if cid != "" {
		c, err := e.clients.Recorded(ctx, id.Client(cid))
		switch {
		case errs.Is(err, errs.NotFound), err == nil && !c.Active():
			l.Trusted = false // nobody vouches for the request any more
		case err != nil:
			return nil, AsError(err)
		default:
			l.Client, l.client = c.ID, c
		}
	}
	if err := l.goBack(form); err != nil {
		return nil, err
	}
	return l, nil
}

// goBack accepts a registered redirect, and uses it only together with a verified hint: without one,
// any site could bounce people through us to an application (§2, §3). With a client_id
// alone the person is asked and stays with us (§2).
func (l *Logout) goBack(form url.Values) error {
	uri, state := form.Get("post_logout_redirect_uri"), form.Get("state")
	switch {
	case uri == "", l.past && l.client == nil: // whose address it is nobody can say, and nobody goes there
	case form.Get("id_token_hint") == "" && form.Get("client_id") == "":
		return refuse(InvalidRequest, "post_logout_redirect_uri needs an id_token_hint.")
	case l.client == nil, len(uri) > maxURI, !l.client.AllowsPostLogout(uri):
		return refuse(InvalidRequest, "post_logout_redirect_uri is not registered for this application.")
	case len(state) > maxState:
		return refuse(InvalidRequest, "state is too long.")
	case l.Trusted:
		l.RedirectURI, l.State = uri, state
	}
	return nil
}
