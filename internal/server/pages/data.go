package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"signet/internal/identity/account"
	"signet/internal/oauth"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// A person's data: take it along, give the account up, and have it back for a while.

var dataFrames = map[string]string{"data": "account", "delete": "account", "restore": "card"}

func (p *Pages) dataRoutes() []server.Route {
	return []server.Route{
		p.get("/account/data", p.dataForm),
		p.post("/account/data", p.dataExport),
		p.get("/account/delete", p.deleteForm),
		p.post("/account/delete", p.deleteAccount),
		p.get("/account/deleted", p.deleted),
		p.get("/signin/{journey}/restore", p.restoreForm),
		p.post("/signin/{journey}/restore", p.restore),
	}
}

func (p *Pages) dataForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "data", p.accountView(r, m, "data.title"))
}

// takeout is the file that a person downloads: everything there is about them, secrets excepted.
type takeout struct {
	Service      string         `json:"service"`
	MadeAt       time.Time      `json:"made_at"`
	Account      account.Export `json:"account"`
	Factors      takenFactors   `json:"second_factors"`
	Browsers     []takenBrowser `json:"known_browsers"`
	Linked       []takenLink    `json:"linked_accounts"`
	Sessions     []takenSession `json:"sessions"`
	Applications []takenApp     `json:"applications"`
	Activity     []takenDeed    `json:"activity"`
}

type takenFactors struct {
	AuthenticatorSince *time.Time     `json:"authenticator_app_since,omitempty"`
	RecoveryCodesLeft  int            `json:"recovery_codes_left"`
	Passkeys           []takenPasskey `json:"passkeys"`
}

type takenPasskey struct {
	Name       string     `json:"name"`
	Model      string     `json:"aaguid"`
	Synced     bool       `json:"synced"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

type takenBrowser struct {
	UserAgent    string     `json:"user_agent"`
	IP           string     `json:"ip"`
	CreatedAt    time.Time  `json:"created_at"`
	LastSeenAt   time.Time  `json:"last_seen_at"`
	TrustedUntil *time.Time `json:"trusted_until,omitempty"`
}

type takenLink struct {
	Provider    string     `json:"provider"`
	Issuer      string     `json:"issuer"`
	Subject     string     `json:"subject"`
	Label       string     `json:"label"`
	CreatedAt   time.Time  `json:"created_at"`
	LastLoginAt *time.Time `json:"last_login_at,omitempty"`
}

type takenSession struct {
	ID         id.Session `json:"id"`
	Methods    []string   `json:"methods"`
	UserAgent  string     `json:"user_agent"`
	IP         string     `json:"ip"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt time.Time  `json:"last_seen_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
}

type takenApp struct {
	Client     id.Client  `json:"client_id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	GrantedAt  time.Time  `json:"granted_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

type takenDeed struct {
	At        time.Time `json:"at"`
	Text      string    `json:"text,omitempty"` // in the language of the page; operators' records have none
	Action    string    `json:"action"`
	Result    string    `json:"result"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Client    id.Client `json:"client_id,omitempty"`
}

// maxTakenDeeds bounds the file: newer ones come first, and their retention bounds them anyway.
const maxTakenDeeds = 20000

func (p *Pages) dataExport(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	if _, err := server.Form(r); err != nil {
		return err
	}
	out, err := p.takeout(r.Context(), m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="account-`+p.d.Clock.Now().UTC().Format("2006-01-02")+`.json"`)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(b.Bytes())
	return err
}

func (p *Pages) takeout(ctx context.Context, m *member) (takeout, error) {
	out := takeout{
		Service: p.d.Issuer, MadeAt: p.d.Clock.Now(), Browsers: []takenBrowser{}, Linked: []takenLink{},
		Sessions: []takenSession{}, Applications: []takenApp{}, Activity: []takenDeed{},
	}
	var err error
	if out.Account, err = p.d.Accounts.Export(ctx, m.account.ID); err != nil {
		return out, err
	}
	for _, part := range []func(context.Context, *member, *takeout) error{
		p.takeFactors, p.takeBrowsers, p.takeLinks, p.takeSessions, p.takeApplications, p.takeActivity,
	} {
		if err := part(ctx, m, &out); err != nil {
			return out, errs.Wrap("export", err)
		}
	}
	return out, nil
}

func (p *Pages) takeFactors(ctx context.Context, m *member, out *takeout) error {
	out.Factors.Passkeys = []takenPasskey{}
	app, err := p.d.MFA.TOTP(ctx, m.account.ID)
	if err != nil {
		return err
	}
	if app != nil {
		out.Factors.AuthenticatorSince = &app.CreatedAt
	}
	f, err := p.d.MFA.Of(ctx, m.account.ID)
	if err != nil {
		return err
	}
	out.Factors.RecoveryCodesLeft = f.RecoveryLeft
	if p.d.Passkeys == nil {
		return nil
	}
	keys, err := p.d.Passkeys.List(ctx, m.account.ID)
	for _, k := range keys {
		out.Factors.Passkeys = append(out.Factors.Passkeys, takenPasskey{k.Name, k.AAGUID, k.Synced, k.CreatedAt, sometime(k.LastUsedAt)})
	}
	return err
}

func (p *Pages) takeBrowsers(ctx context.Context, m *member, out *takeout) error {
	list, err := p.d.Devices.List(ctx, m.account.ID)
	for _, b := range list {
		out.Browsers = append(out.Browsers, takenBrowser{b.UserAgent, b.IP, b.CreatedAt, b.LastSeenAt, sometime(b.TrustedUntil)})
	}
	return err
}

func (p *Pages) takeLinks(ctx context.Context, m *member, out *takeout) error {
	list, err := p.d.Upstreams.List(ctx, m.account.ID)
	for _, l := range list {
		out.Linked = append(out.Linked, takenLink{l.Provider, l.Issuer, l.Subject, l.Label, l.CreatedAt, sometime(l.LastLoginAt)})
	}
	return err
}

func (p *Pages) takeSessions(ctx context.Context, m *member, out *takeout) error {
	list, err := p.d.Sessions.List(ctx, m.account.ID)
	for _, s := range list {
		out.Sessions = append(out.Sessions, takenSession{s.ID, s.AMR(), s.UserAgent, s.IP, s.CreatedAt, s.LastSeenAt, s.ExpiresAt})
	}
	return err
}

func (p *Pages) takeApplications(ctx context.Context, m *member, out *takeout) error {
	list, err := p.d.Engine.Applications(ctx, m.account.ID)
	for _, a := range list {
		out.Applications = append(out.Applications, takenApp{a.Client, a.Name, a.Scopes, a.GrantedAt, sometime(a.LastUsedAt)})
	}
	return err
}

func (p *Pages) takeActivity(ctx context.Context, m *member, out *takeout) error {
	f := audit.Filter{Target: string(m.account.ID), Limit: audit.MaxLimit}
	for len(out.Activity) < maxTakenDeeds {
		list, err := p.d.Audit.List(ctx, f)
		if err != nil || len(list) == 0 {
			return err
		}
		names, err := p.clientNames(ctx, list)
		if err != nil {
			return err
		}
		for _, rec := range list {
			d, _ := deedOf(m.loc, rec, names)
			out.Activity = append(out.Activity, takenDeed{rec.At, d.Text, rec.Action, rec.Result, rec.IP, rec.UserAgent, rec.Client})
		}
		f.After = list[len(list)-1].Cursor()
	}
	return nil
}

func sometime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (p *Pages) deleteForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "delete", p.deleteView(r, m, p.d.Accounts.Grace()))
}

func (p *Pages) deleteView(r *http.Request, m *member, grace time.Duration) *view {
	v := p.accountView(r, m, "delete.title")
	data := struct {
		Who   person
		Grace string
	}{Who: personOf(m.account), Grace: m.loc.T("delete.at_once")}
	if grace > 0 {
		data.Grace = m.loc.T("delete.grace", "Count", days(grace))
	}
	v.Data = data
	return v
}

func days(d time.Duration) int { return max(1, int(d/(24*time.Hour))) }

// deleteAccount needs the box to be ticked: this is the one act here that nothing brings back.
func (p *Pages) deleteAccount(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if form.Get("sure") != "yes" {
		v := p.deleteView(r, m, p.d.Accounts.Grace()).fail("sure", m.loc.T("delete.tick"))
		return p.render(w, http.StatusUnprocessableEntity, "delete", v)
	}
	var f oauth.Farewell
	_, err = p.d.Accounts.GiveUp(r.Context(), m.account.ID, func(ctx context.Context) error {
		return p.endAll(ctx, m.account.ID, m.sess, &f)
	})
	if err != nil {
		return err
	}
	p.forget(w, r)
	return p.farewellTo(w, r, f, "/account/deleted")
}

// deleted says goodbye. It is nobody's page: who sees it is signed out.
func (p *Pages) deleted(w http.ResponseWriter, r *http.Request) error {
	return p.render(w, http.StatusOK, "message", p.deletedView(r, p.d.Accounts.Grace()))
}

func (p *Pages) deletedView(r *http.Request, grace time.Duration) *view {
	loc := p.texts.of(r, nil)
	v := p.view(r, loc, "deleted.title")
	m := message{Text: []string{loc.T("deleted.at_once")}}
	if grace > 0 {
		m = message{
			Text: []string{loc.T("deleted.grace", "Count", days(grace))},
			Link: &action{URL: "/login", Text: loc.T("deleted.keep")},
		}
	}
	v.Data = m
	return v
}

// restoreForm is the step of somebody who signs in to an account that waits for its deletion.
func (p *Pages) restoreForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Restore)
	if v == nil || err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "restore", p.restoreView(r, v))
}

func (p *Pages) restoreView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "restore.title")
	page.Data = struct {
		Who person
		At  instant
	}{personOf(*v.owed.Account), v.loc.instant(v.owed.Account.DeleteAt)}
	return page
}

func (p *Pages) restore(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Restore)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	switch form.Get("answer") {
	case "keep":
		if err := p.d.Accounts.Keep(r.Context(), v.owed.Account.ID); err != nil {
			return err
		}
		return p.proceed(w, r, v)
	case "leave":
		f, err := p.signOut(w, r, v.sess.ID)
		if err != nil {
			return err
		}
		return p.farewellTo(w, r, f, "/account/deleted")
	}
	return seeOther(w, journeyPath(v.j.ID, "restore"))
}
