package pages

import (
	"context"
	"errors"
	"net/http"

	"signet/internal/identity/federation"
	"signet/internal/identity/notice"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// The page on which people see with which accounts elsewhere they can sign in here.

// upstreamRow is one linked identity.
type upstreamRow struct {
	ID, Provider, Label string
	Gone                string // why one cannot sign in with it
	Linked, Used        instant
}

type upstreamData struct {
	Rows   []upstreamRow
	Others []upstreamButton // providers that can be linked; Action is the name
}

func (p *Pages) upstreamList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showUpstream(w, r, m, http.StatusOK, p.accountView(r, m, "upstream.title"))
}

func (p *Pages) showUpstream(w http.ResponseWriter, r *http.Request, m *member, status int, v *view) error {
	list, err := p.d.Upstreams.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	works := make([]bool, len(list))
	for i, l := range list {
		works[i] = p.d.Upstreams.Works(l)
	}
	v.Data = upstreamDataOf(m.loc, p.d.Upstreams.Providers(), list, works)
	v.Path = upstreamPath
	return p.render(w, status, "upstream", v)
}

func upstreamDataOf(loc *locale, providers []federation.Provider, list []federation.Link, works []bool) upstreamData {
	labels, linked := map[string]string{}, map[string]bool{}
	for _, one := range providers {
		labels[one.Name] = one.Label
	}
	var data upstreamData
	for i, l := range list {
		row := upstreamRow{ID: linkID(l), Provider: labels[l.Provider], Label: l.Label, Linked: loc.instant(l.CreatedAt), Used: loc.instant(l.LastLoginAt)}
		if row.Provider == "" {
			row.Provider = l.Provider
		}
		if works[i] {
			linked[l.Provider] = true
		} else {
			row.Gone = loc.T("upstream.gone")
		}
		data.Rows = append(data.Rows, row)
	}
	for _, one := range providers {
		if !linked[one.Name] {
			data.Others = append(data.Others, upstreamButton{Action: one.Name, Text: loc.T("upstream.link", "Provider", one.Label)})
		}
	}
	return data
}

// linkID names a link in a form; it is looked up among the person's own.
func linkID(l federation.Link) string {
	return id.Digest(l.Provider + "\x00" + l.Issuer + "\x00" + l.Subject)
}

func (p *Pages) upstreamAct(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	v := p.accountView(r, m, "upstream.title")
	if name := form.Get("link"); name != "" {
		to, err := p.d.Upstreams.Start(r.Context(), federation.Start{
			Provider: name, Browser: browser(w, r), User: m.account.ID, Session: m.sess.ID, Locale: m.loc.tag,
		})
		if err != nil {
			return p.upstreamActFailed(w, r, m, v, name, err)
		}
		return p.showAway(w, p.view(r, m.loc, "upstream.away"), name, to, upstreamPath)
	}
	list, err := p.d.Upstreams.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	for _, l := range list {
		if linkID(l) != form.Get("unlink") {
			continue
		}
		err := p.d.Upstreams.Unlink(r.Context(), l, func(ctx context.Context) error {
			return p.tell(ctx, m.account.ID, notice.FactorRemoved, map[string]any{"Factor": p.providerLabel(l.Provider)})
		})
		if err != nil && !errs.Is(err, errs.NotFound) {
			return p.upstreamActFailed(w, r, m, v, l.Provider, err)
		}
		return seeOther(w, upstreamPath+"?saved=unlinked")
	}
	return seeOther(w, upstreamPath) // gone already, or never theirs
}

func (p *Pages) upstreamActFailed(w http.ResponseWriter, r *http.Request, m *member, v *view, provider string, err error) error {
	status, text, ok := upstreamProblem(w, m.loc, p.providerLabel(provider), err)
	if !ok {
		return err
	}
	return p.showUpstream(w, r, m, status, v.fail("", text))
}

// upstreamLinked takes the answer for somebody who links an identity to their account. It counts for
// the very session that left, and only while that may still act.
func (p *Pages) upstreamLinked(w http.ResponseWriter, r *http.Request, provider string, a federation.Answer, failed error) error {
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if sess == nil || sess.ID != a.Session || sess.User != a.User {
		return errs.New(errs.NotFound, federation.KeyStale, errors.New("the session that left is not the one that came back"))
	}
	if errs.Is(failed, errs.Conflict) { // the same answer again: a reload
		return seeOther(w, upstreamPath)
	}
	owed, err := p.d.Journeys.Standing(r.Context(), sess, signin.Local{Target: upstreamPath})
	if err != nil {
		return err
	}
	if owed.Step != signin.Done || owed.Account == nil {
		return seeOther(w, upstreamPath) // which says what is owed
	}
	m := &member{sess: sess, account: *owed.Account, loc: p.texts.of(r, nil)}
	if failed == nil {
		failed = p.d.DB.InTx(r.Context(), func(ctx context.Context) error {
			isNew, err := p.d.Upstreams.Link(ctx, a.User, a.Identity)
			if err != nil || !isNew {
				return err
			}
			return p.tell(ctx, a.User, notice.IdentityLinked, map[string]any{"Provider": p.providerLabel(provider)})
		})
	}
	if failed != nil {
		r.URL.Path, r.URL.RawQuery = upstreamPath, "" // where the page belongs
		return p.upstreamActFailed(w, r, m, p.accountView(r, m, "upstream.title"), provider, failed)
	}
	return seeOther(w, upstreamPath+"?saved=linked")
}

// upstreamProtection is the line of the security page; nil where there is nothing to say.
func (p *Pages) upstreamProtection(r *http.Request, m *member) (*protection, error) {
	if p.d.Upstreams == nil {
		return nil, nil
	}
	list, err := p.d.Upstreams.List(r.Context(), m.account.ID)
	if err != nil || len(list) == 0 && len(p.d.Upstreams.Providers()) == 0 {
		return nil, err
	}
	return upstreamProtectionOf(m.loc, len(list)), nil
}

func upstreamProtectionOf(loc *locale, n int) *protection {
	row := protection{
		ID: "upstream", Path: upstreamPath, Title: loc.T("upstream.title"), Text: []string{loc.T("upstream.none")}, Action: loc.T("security.manage"),
	}
	if n > 0 {
		row.Text = []string{loc.T("upstream.count", "Count", n)}
	}
	return &row
}
