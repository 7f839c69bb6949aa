package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// The page on which people let in a device that has no browser (RFC 8628 §3.3). Only somebody who is
// signed in can enter a code; entering it shows what waits behind it, and nothing is allowed without
// another click (§5.4).

var deviceFrames = map[string]string{"device": "card", "device_confirm": "card"}

func (p *Pages) deviceRoutes() []server.Route {
	return []server.Route{
		p.get(oauth.DevicePath, p.deviceForm),
		p.post(oauth.DevicePath, p.deviceAnswer),
	}
}

// deviceOutcomes are what ?done= may say.
var deviceOutcomes = map[string]struct{ title, text string }{
	"allowed": {"device.allowed.title", "device.allowed.text"},
	"denied":  {"device.denied.title", "device.denied.text"},
}

// deviceTarget is the page with a code filled in. Only what can be a code gets into the address.
func deviceTarget(typed string) string {
	code, ok := oauth.ParseUserCode(typed)
	if !ok {
		return oauth.DevicePath
	}
	return oauth.DevicePath + "?user_code=" + oauth.ShowUserCode(code)
}

// deviceForm asks for the code. A link that has it (verification_uri_complete) fills it in, no more.
func (p *Pages) deviceForm(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		query = url.Values{}
	}
	m, err := p.admit(w, r, signin.Local{Target: deviceTarget(query.Get("user_code"))})
	if m == nil || err != nil {
		return err
	}
	if done, ok := deviceOutcomes[query.Get("done")]; ok {
		return p.render(w, http.StatusOK, "message", p.deviceDone(r, m, done.title, done.text))
	}
	v := p.deviceView(r, m)
	if code, ok := oauth.ParseUserCode(query.Get("user_code")); ok {
		v.typed.Set("user_code", oauth.ShowUserCode(code))
	}
	return p.showDevice(w, http.StatusOK, v)
}

func (p *Pages) deviceDone(r *http.Request, m *member, title, text string) *view {
	v := p.view(r, m.loc, title)
	v.Data = message{Text: []string{m.loc.T(text)}, Link: &action{URL: "/account/applications", Text: m.loc.T("device.applications")}}
	return v
}

func (p *Pages) deviceView(r *http.Request, m *member) *view {
	v := p.view(r, m.loc, "device.title")
	v.KeepForm, v.Focus = true, "user_code"
	v.Data = struct{ Who person }{personOf(m.account)}
	return v
}

func (p *Pages) showDevice(w http.ResponseWriter, status int, v *view) error {
	return p.render(w, status, "device", v)
}

// deviceAnswer takes a code and shows who waits with it, or takes the answer to that. Who allows what
// to whom comes from the session and the code, never from the form.
func (p *Pages) deviceAnswer(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	m, err := p.admit(w, r, signin.Local{Target: deviceTarget(form.Get("user_code"))})
	if m == nil || err != nil {
		return err
	}
	v := p.deviceView(r, m).keep(url.Values{"user_code": {form.Get("user_code")}})
	if p.switched(w, r, m, form) {
		again := p.deviceView(r, m)
		again.typed = v.typed
		return p.showDevice(w, http.StatusOK, again)
	}
	if strings.TrimSpace(form.Get("user_code")) == "" {
		return p.showDevice(w, http.StatusUnprocessableEntity, v.fail("user_code", m.loc.T("problem.required")))
	}
	d, c, err := p.findDevice(r, m, form.Get("user_code"))
	if err != nil {
		return p.deviceProblem(w, m, v, err)
	}
	local := demands(c.Metadata, deviceTarget(d.UserCode))
	owed, err := p.d.Journeys.Standing(r.Context(), m.sess, local)
	switch {
	case err != nil:
		return err
	case owed.Step == signin.Refuse:
		return p.showDevice(w, http.StatusForbidden, v.fail("", m.loc.T("device.unmet")))
	case owed.Step != signin.Done:
		return p.comeBack(w, r, local)
	}
	answer := form.Get("answer")
	if answer != "allow" && answer != "deny" || form.Get("seen") != seenDevice(m, d) {
		return p.confirmDevice(w, r, m, d, c)
	}
	err = p.d.Engine.DecideDevice(r.Context(), d, p.d.Journeys.LocalLogin(m.sess, local), answer == "allow")
	if err != nil {
		return p.deviceProblem(w, m, v, err)
	}
	if answer == "deny" {
		return seeOther(w, oauth.DevicePath+"?done=denied")
	}
	return seeOther(w, oauth.DevicePath+"?done=allowed")
}

func (p *Pages) findDevice(r *http.Request, m *member, typed string) (*oauth.DeviceRequest, *client.Client, error) {
	d, err := p.d.Engine.FindDevice(r.Context(), m.account.ID, typed)
	if err != nil {
		return nil, nil, err
	}
	c, err := p.d.Clients.Get(r.Context(), d.Client)
	if err == nil && !c.Active() {
		err = errs.New(errs.NotFound, oauth.KeyNoDevice, nil)
	}
	return d, c, err
}

// deviceProblem shows what is wrong with a code at its field.
func (p *Pages) deviceProblem(w http.ResponseWriter, m *member, v *view, err error) error {
	if errs.Is(err, errs.NotFound) {
		return p.showDevice(w, http.StatusUnprocessableEntity, v.fail("user_code", m.loc.T(oauth.KeyNoDevice)))
	}
	if status, text, ok := attempt(w, m.loc, err); ok {
		return p.showDevice(w, status, v.fail("", text))
	}
	return err
}

// leastAge is the youngest sign-in that a device may demand, in seconds: it must last from the sign-in
// to the click.
const leastAge = 300

// demands is what the application registered for everybody who comes in through it.
func demands(meta client.Metadata, target string) signin.Local {
	l := signin.Local{Target: target, TwoFactors: meta.RequireMFA, ACRValues: meta.DefaultACRValues}
	if meta.DefaultMaxAge != nil {
		age := max(*meta.DefaultMaxAge, leastAge)
		l.MaxAge = &age
	}
	return l
}

// confirmation is what a page shows on which somebody lets in an application that is elsewhere.
type confirmation struct {
	Code, Seen string // Code is to be compared with what the application shows
	Allow      string // the yes
	Facts      []fact
	Who        person
	wish
}

// wish is what an application asks for, and who it is as far as anybody here knows.
type wish struct {
	New     []permission
	Details []detailWords
	Origin  origin
}

func (p *Pages) wishOf(m *member, c *client.Client, apis *client.APIs, scopes, resources []string, details []oauth.Detail) wish {
	who := &visit{loc: m.loc, owed: signin.Owed{Account: &m.account}}
	asks := p.permissions(who, apis, scopes)
	if i := slices.Index(scopes, "offline_access"); i >= 0 { // no session of this browser ends it
		asks[i].Detail = m.loc.T("scope.offline_access.elsewhere")
	}
	return wish{
		New:     append(asks, resourceNames(m.loc, apis, resources)...),
		Details: detailsInWords(details), Origin: p.originOf(m.loc, c),
	}
}

// knownHost is where an application lives that no redirect leads back to: its own word for it counts only if
// an operator wrote it down.
func knownHost(c *client.Client) string {
	u, err := url.Parse(c.Metadata.ClientURI)
	if err != nil || !safeLink(c.Metadata.ClientURI) || c.ManagedBy != client.ManagedByAdmin && c.ManagedBy != client.ManagedByFile {
		return ""
	}
	return u.Host
}

// detailWords is an authorization detail as people see it (RFC 9396 §12).
type detailWords struct {
	Title string
	Lines []string
}

func detailsInWords(list []oauth.Detail) []detailWords {
	var out []detailWords
	for _, d := range list {
		title := d.Words
		if title == "" {
			title = d.Type
		}
		out = append(out, detailWords{title, d.Lines})
	}
	return out
}

// confirmDevice shows the application, what it asks for, when and from where, and the code once more, to
// be compared: somebody may have been sent a code that belongs to another's device (RFC 8628 §5.4).
func (p *Pages) confirmDevice(w http.ResponseWriter, r *http.Request, m *member, d *oauth.DeviceRequest, c *client.Client) error {
	apis, err := p.d.Clients.APIs(r.Context())
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "device_confirm", p.confirmDeviceView(r, m, d, c, apis))
}

func (p *Pages) confirmDeviceView(r *http.Request, m *member, d *oauth.DeviceRequest, c *client.Client, apis *client.APIs) *view {
	v := p.view(r, m.loc, "device.confirm")
	v.Path = deviceTarget(d.UserCode) // where a switch of language leads back to
	v.App = appView(c, knownHost(c))
	v.Data = confirmation{
		Code: oauth.ShowUserCode(d.UserCode), Seen: seenDevice(m, d), Allow: m.loc.T("device.allow"), Who: personOf(m.account),
		wish: p.wishOf(m, c, apis, d.Scopes, d.Resources, d.Details),
		Facts: []fact{
			{m.loc.T("device.at"), m.loc.instant(d.CreatedAt).Text},
			{m.loc.T("device.from"), d.IP},
			{m.loc.T("device.with"), deviceText(m.loc, d.UserAgent)},
		},
	}
	return v
}

// seenDevice stands for what the page showed to whom; it has no authority.
func seenDevice(m *member, d *oauth.DeviceRequest) string {
	parts := slices.Concat([]string{"device", string(m.sess.ID), d.ID}, d.Scopes, []string{""}, d.Resources)
	return id.Digest(strings.Join(parts, "\x00"))
}
