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
	// Trusted says that a verified hint names the session and nothing about the request is wrong, so
	// that nobody needs to be asked if it is the session of this browser. Without it, a person must
	// confirm (§2, security case LO-01).
	Trusted bool

	client *client.Client
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
// about the request can be believed. An address that is not registered for the client is dropped, and
// the person is asked whether to sign out: it then ends on our own page (§3, security case LO-02).
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
	if cid == "" {
		return l, nil
	}
	c, err := e.clients.Get(ctx, id.Client(cid))
	if errs.Is(err, errs.NotFound) || err == nil && !c.Active() {
		l.Trusted = false // nobody vouches for the request any more
		return l, nil
	}
	if err != nil {
		return nil, AsError(err)
	}
	l.Client, l.client = c.ID, c
	l.goBack(form)
	return l, nil
}

// goBack accepts the redirect only together with a verified hint: without one, any site could bounce
// people through us to an application (§2, §3). A request for another address is not quite the
// application's, so it is not believed at its word either: the person is asked.
func (l *Logout) goBack(form url.Values) {
	uri, state := form.Get("post_logout_redirect_uri"), form.Get("state")
	switch {
	case uri == "":
	case len(uri) > maxURI, len(state) > maxState, !l.client.AllowsPostLogout(uri):
		l.Trusted = false
	case l.Trusted:
		l.RedirectURI, l.State = uri, state
	}
}
