package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// message is a page that says something: what happened, what to do, a way on.
type message struct {
	Text  []string
	Facts []fact
	Link  *action
}

type fact struct{ Name, Value string }

type action struct {
	URL, Text         string
	External, Primary bool
}

// kindKeys names the sentences of each kind of error.
var kindKeys = map[errs.Kind]string{
	errs.Internal: "error.internal", errs.Invalid: "error.invalid", errs.NotFound: "error.not_found",
	errs.Conflict: "error.conflict", errs.Unauthenticated: "error.unauthenticated", errs.Forbidden: "error.forbidden",
	errs.Limited: "error.limited", errs.Busy: "error.busy", errs.Unavailable: "error.unavailable",
}

// Fail shows an error to a person. It is the Fail of the Browser area, so it must not need
// anything that can fail itself, the store in particular.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	var protocol *oauth.Error
	if errors.As(err, &protocol) {
		if p.Refused(w, r, protocol) == nil {
			return
		}
	}
	status, e := server.Status(err), errs.As(err)
	key := kindKeys[e.Kind]
	loc := p.texts.of(r, nil)
	switch {
	case status == http.StatusMethodNotAllowed:
		key = "error.method"
	case status == http.StatusMisdirectedRequest:
		key = "error.host"
	case e.Key != "" && loc.has(e.Key+".title"):
		key = e.Key
	}
	page := p.view(r, loc, key+".title")
	page.Path = returnPath(r)
	count := minutes(e.RetryAfter)
	if e.Kind == errs.Busy {
		count = seconds(e.RetryAfter)
	}
	m := message{Text: []string{loc.T(key+".text", "Count", count)}, Facts: p.requestFacts(r, loc)}
	switch {
	case key == "error.unauthenticated":
		m.Link = &action{URL: "/login", Text: loc.T("login.title"), Primary: true}
	case key == "error.host": // the issuer is configuration, so this leads nowhere else
		m.Link = &action{URL: p.d.Issuer + "/", Text: p.host, Primary: true}
	case !strings.HasPrefix(key, "error.journey"):
		m.Link = &action{URL: "/account", Text: loc.T("page.home")}
	}
	p.showError(w, status, page, m)
}

// Refused shows an error that the application must not be told by redirect (RFC 6749
// §4.1.2.1): there is no checked address to send it to.
func (p *Pages) Refused(w http.ResponseWriter, r *http.Request, e *oauth.Error) error {
	loc := p.texts.of(r, nil)
	form, _ := server.Form(r) // a form that cannot be read has nothing to show
	if asked := p.texts.match(form.Get("ui_locales")); asked != nil {
		loc = asked
	}
	key, facts := "error.request", []fact{}
	switch {
	case e.Status >= http.StatusInternalServerError:
		key = "error.unavailable"
		if e.Status == http.StatusInternalServerError {
			key = "error.internal"
		}
	case strings.HasSuffix(r.URL.Path, "/logout"):
		key = "error.logout"
	case e.Code == oauth.InvalidRequestURI: // mostly a page that was opened again
		key = "error.request_uri"
	case slices.Contains([]string{oauth.InvalidRequestObject, oauth.RequestNotSupported, oauth.RequestURINotSupported}, e.Code):
	default:
		key, facts = p.blame(r, loc, form.Get("client_id"), form.Get("redirect_uri"))
	}
	page := p.view(r, loc, key+".title")
	page.Path = returnPath(r)
	m := message{Text: []string{loc.T(key + ".text")}}
	m.Facts = append(facts, fact{loc.T("error.code"), e.Code})
	if e.Description != "" {
		m.Facts = append(m.Facts, fact{loc.T("error.detail"), e.Description})
	}
	m.Facts = append(m.Facts, p.requestFacts(r, loc)...)
	if key == "error.logout" {
		m.Link = &action{URL: "/logout", Text: loc.T("logout.submit"), Primary: true}
	}
	p.showError(w, e.Status, page, m)
	return nil
}

// blame finds out which part of an authorization request the page should speak of. What was
// received and what is registered are shown only to developers.
func (p *Pages) blame(r *http.Request, loc *locale, clientID, redirect string) (key string, facts []fact) {
	c, err := p.d.Clients.Get(r.Context(), id.Client(clientID))
	switch {
	case errs.Is(err, errs.NotFound) || err == nil && !c.Active():
		if p.d.Dev && clientID != "" {
			facts = []fact{{loc.T("error.received"), clientID}}
		}
		return "error.client", facts
	case err != nil || c.AllowsRedirect(redirect):
		return "error.request", nil
	}
	if p.d.Dev {
		facts = []fact{{loc.T("error.received"), redirect}}
		if near := closest(redirect, c.Metadata.RedirectURIs); near != "" {
			facts = append(facts, fact{loc.T("error.closest"), near})
		}
	}
	return "error.redirect", facts
}

func (p *Pages) requestFacts(r *http.Request, loc *locale) []fact {
	if rid := server.RequestID(r); rid != "" {
		return []fact{{loc.T("page.request_id"), rid}}
	}
	return nil
}

func (p *Pages) showError(w http.ResponseWriter, status int, page *view, m message) {
	page.Data = m
	// The title says "Error:", also where no field is to blame.
	page.Title = page.T("page.error_prefix") + " " + page.Title
	if err := p.render(w, status, "message", page); err != nil {
		p.d.Log.Error("error page", "error", err)
	}
}

// returnPath is where a language switch on an error page goes: the same address if it can be
// opened with a GET.
func returnPath(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/account"
	}
	return localPath(r.URL.RequestURI())
}

// closest returns the entry of list with the least edit distance to s, "" for an empty list.
// Both sides are cut, because the cost grows with their product and s is input.
func closest(s string, list []string) string {
	const longest = 512
	best, least := "", -1
	for _, candidate := range list {
		if d := distance(s[:min(len(s), longest)], candidate[:min(len(candidate), longest)]); least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
