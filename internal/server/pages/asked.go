package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// The pages on which people answer applications that they are not in front of (CIBA §8). They are for the
// account that was hinted: to anybody else there is nothing here, whoever sent them the link.

var askedFrames = map[string]string{"asked": "account", "asked_confirm": "card"}

const askedPage = oauth.AskedPath + "/{request}"

func (p *Pages) askedRoutes() []server.Route {
	return []server.Route{
		p.get(oauth.AskedPath, p.askedList),
		p.get(askedPage, p.askedForm),
		p.post(askedPage, p.askedAnswer),
	}
}

// askedTarget is the page of the request that the address names; "" where it can be none.
func askedTarget(r *http.Request) string {
	row := r.PathValue("request")
	if len(row) != 36 || strings.Trim(row, "0123456789abcdef-") != "" {
		return ""
	}
	return oauth.AskedPath + "/" + row
}

// askedRow is a request in the list.
type askedRow struct {
	ID, Path, Name, Message string
	At, Until               instant
}

func (p *Pages) askedList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	list, err := p.d.Engine.AskedOf(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	var rows []askedRow
	for _, a := range list {
		c, err := p.d.Clients.Recorded(r.Context(), a.Client)
		if errs.Is(err, errs.NotFound) || err == nil && !c.Active() {
			continue
		}
		if err != nil {
			return err
		}
		rows = append(rows, askedRowOf(m.loc, a, c))
	}
	return p.render(w, http.StatusOK, "asked", p.askedListView(r, m, rows))
}

func askedRowOf(loc *locale, a *oauth.Asked, c *client.Client) askedRow {
	return askedRow{
		ID: a.ID, Path: oauth.AskedPath + "/" + a.ID, Name: c.Name, Message: a.Message,
		At: loc.instant(a.CreatedAt), Until: loc.instant(a.ExpiresAt),
	}
}

func (p *Pages) askedListView(r *http.Request, m *member, rows []askedRow) *view {
	v := p.accountView(r, m, "asked.title")
	v.Data = struct{ Rows []askedRow }{rows}
	return v
}

// question is a request in front of the person whom it is for, who has proven what is asked of them.
type question struct {
	m      *member
	asked  *oauth.Asked
	client *client.Client
	local  signin.Local
}

// question finds the request that the address names. nil without an error: the answer is written.
func (p *Pages) question(w http.ResponseWriter, r *http.Request) (*question, error) {
	target := askedTarget(r)
	if target == "" {
		return nil, errs.New(errs.NotFound, "", nil)
	}
	m, err := p.admit(w, r, signin.Local{Target: target})
	if m == nil || err != nil {
		return nil, err
	}
	a, err := p.d.Engine.FindAsked(r.Context(), m.account.ID, r.PathValue("request"))
	if errs.Is(err, errs.NotFound) {
		return nil, p.notAsked(w, r, m)
	}
	if err != nil {
		return nil, err
	}
	c, err := p.d.Clients.Get(r.Context(), a.Client)
	if errs.Is(err, errs.NotFound) || err == nil && !c.Active() {
		return nil, p.notAsked(w, r, m)
	}
	if err != nil {
		return nil, err
	}
	local := demands(c.Metadata, target)
	if len(a.ACRValues) > 0 {
		local.ACRValues = a.ACRValues
	}
	owed, err := p.d.Journeys.Standing(r.Context(), m.sess, local)
	switch {
	case err != nil:
		return nil, err
	case owed.Step == signin.Refuse:
		return nil, p.render(w, http.StatusForbidden, "message", p.askedMessage(r, m, "asked.title", "device.unmet"))
	case owed.Step != signin.Done:
		return nil, p.comeBack(w, r, local)
	}
	return &question{m, a, c, local}, nil
}

// notAsked is for a request that was answered, has expired, or is somebody else's: the same for all, so that
// a link tells nobody anything.
func (p *Pages) notAsked(w http.ResponseWriter, r *http.Request, m *member) error {
	return p.render(w, http.StatusNotFound, "message", p.askedMessage(r, m, "asked.gone", oauth.KeyNotAsked))
}

func (p *Pages) askedMessage(r *http.Request, m *member, title, text string) *view {
	v := p.view(r, m.loc, title)
	v.Data = message{
		Text: []string{m.loc.T(text), m.loc.T("asked.who", "Who", personOf(m.account).Name)},
		Link: &action{URL: oauth.AskedPath, Text: m.loc.T("asked.all")},
	}
	return v
}

func (p *Pages) askedForm(w http.ResponseWriter, r *http.Request) error {
	q, err := p.question(w, r)
	if q == nil || err != nil {
		return err
	}
	apis, err := p.d.Clients.APIs(r.Context())
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "asked_confirm", p.askedView(r, q, apis))
}

// askedAnswer takes a yes or a no. Who allows what to whom comes from the session and the request, never
// from the form.
func (p *Pages) askedAnswer(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	q, err := p.question(w, r)
	if q == nil || err != nil {
		return err
	}
	answer := form.Get("answer")
	if answer != "allow" && answer != "deny" || form.Get("seen") != seenAsked(q) {
		return seeOther(w, q.local.Target) // not what the page showed: show it
	}
	err = p.d.Engine.DecideAsked(r.Context(), q.asked, p.d.Journeys.LocalLogin(q.m.sess, q.local), answer == "allow")
	var refused *oauth.Error
	switch {
	case errs.Is(err, errs.NotFound): // decided in another window, or too late
		return p.notAsked(w, r, q.m)
	case errors.As(err, &refused) && slices.Contains([]string{oauth.LoginRequired, oauth.UnmetRequirements}, refused.Code):
		return seeOther(w, q.local.Target) // where it is asked for
	case refused != nil && refused.Status < http.StatusInternalServerError: // what the application may have has changed
		return p.render(w, http.StatusForbidden, "message", p.askedMessage(r, q.m, "asked.title", "asked.lapsed"))
	case err != nil:
		return err
	case answer == "deny":
		return seeOther(w, oauth.AskedPath+"?saved=request_denied")
	}
	return seeOther(w, oauth.AskedPath+"?saved=request_allowed")
}

// askedView shows who asks for what, since when, and what is to be compared with the application: somebody
// else may have made it ask (CIBA §7.1, binding_message).
func (p *Pages) askedView(r *http.Request, q *question, apis *client.APIs) *view {
	m, a := q.m, q.asked
	v := p.view(r, m.loc, "asked.confirm")
	v.App = appView(q.client, knownHost(q.client))
	v.Data = confirmation{
		Code: a.Message, Seen: seenAsked(q), Allow: m.loc.T("consent.allow"), Who: personOf(m.account),
		wish: p.wishOf(m, q.client, apis, a.Scopes, a.Resources, a.Details),
		Facts: []fact{
			{m.loc.T("asked.at"), m.loc.instant(a.CreatedAt).Text},
			{m.loc.T("asked.from"), a.IP},
			{m.loc.T("asked.until"), m.loc.instant(a.ExpiresAt).Text},
		},
	}
	return v
}

// seenAsked stands for what the page showed to whom; it has no authority.
func seenAsked(q *question) string {
	parts := slices.Concat([]string{"asked", string(q.m.sess.ID), q.asked.ID}, q.asked.Scopes, []string{""}, q.asked.Resources)
	return id.Digest(strings.Join(parts, "\x00"))
}
