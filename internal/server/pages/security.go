package pages

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

var securityFrames = map[string]string{
	"security": "account", "totp": "account", "recovery_codes": "account", "recovery_codes_new": "account", "browsers": "account",
}

const (
	totpPath     = "/account/security/totp"
	codesPath    = "/account/security/recovery-codes"
	browsersPath = "/account/security/browsers"
)

func (p *Pages) securityRoutes() []server.Route {
	return []server.Route{
		p.get("/account/security", p.security),
		p.get(totpPath, p.totpForm),
		p.post(totpPath, p.totpAct),
		p.get(codesPath, p.codesForm),
		p.post(codesPath, p.codesNew),
		p.get(browsersPath, p.browserList),
		p.post(browsersPath, p.browserForget),
	}
}

// few is the number of recovery codes at which their owner is warned.
const few = 2

// protection is one line of the security page.
type protection struct {
	ID, Path, Title, Tag, Action string
	Text                         []string
	When                         instant
	WhenLabel, Warn              string
}

func (p *Pages) security(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	has, err := p.d.MFA.Of(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	app, err := p.d.MFA.TOTP(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	known, err := p.d.Devices.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	trusted := 0
	for _, b := range known {
		if b.Trusted {
			trusted++
		}
	}
	v := p.accountView(r, m, "security.title")
	data := securityOf(m.loc, protections{
		mode: p.d.Journeys.Policy().Mode, passkeys: p.d.Passkeys != nil, has: has, app: app, trusted: trusted,
	})
	linked, err := p.upstreamProtection(r, m)
	if err != nil {
		return err
	}
	if linked != nil {
		data.Rows = append(data.Rows, *linked)
	}
	v.Data = data
	return p.render(w, http.StatusOK, "security", v)
}

type securityData struct {
	Weak string
	Rows []protection
}

// protections is what the security page is made of.
type protections struct {
	mode     signin.Mode
	passkeys bool
	has      mfa.Factors
	app      *mfa.App
	trusted  int // browsers in which the second factor is skipped
}

func securityOf(loc *locale, x protections) securityData {
	var d securityData
	off, has := x.mode == signin.MFAOff, x.has
	if !off && !has.Any() {
		d.Weak = loc.T("security.weak")
	}
	add := func(id, path, title, text, action string) *protection {
		row := protection{ID: id, Path: path, Title: loc.T(title), Action: loc.T(action)}
		if text != "" {
			row.Text = []string{text}
		}
		d.Rows = append(d.Rows, row)
		return &d.Rows[len(d.Rows)-1]
	}
	add("password", "/account/password", "password.title", loc.T("security.password"), "security.change")
	switch {
	case x.passkeys && has.Passkeys > 0:
		add("passkeys", passkeysPath, "security.passkeys", loc.T("security.passkeys_count", "Count", has.Passkeys), "security.manage")
	case x.passkeys:
		add("passkeys", passkeysPath, "security.passkeys", loc.T("security.passkeys_none"), "security.set_up")
	}
	switch {
	case x.app != nil:
		row := add("totp", totpPath, "totp.title", "", "security.manage")
		row.Tag, row.When, row.WhenLabel = loc.T("security.totp_on"), loc.instant(x.app.LastUsedAt), loc.T("totp.used_at")
		if x.app.Locked {
			row.Warn = loc.T("totp.is_locked")
		}
	case !off:
		add("totp", totpPath, "totp.title", loc.T("security.totp_off"), "security.set_up")
	}
	if has.Any() && !off {
		if text, warn := codesLeft(loc, has.RecoveryLeft); warn {
			add("codes", codesPath, "codes.title", "", "security.manage").Warn = text
		} else {
			add("codes", codesPath, "codes.title", text, "security.manage")
		}
	}
	if x.trusted > 0 {
		add("browsers", browsersPath, "browsers.title", loc.T("security.browsers_count", "Count", x.trusted), "security.manage")
	} else {
		add("browsers", browsersPath, "browsers.title", loc.T("security.browsers_none"), "security.manage")
	}
	return d
}

// codesLeft says how many recovery codes are left, and whether that is too few.
func codesLeft(loc *locale, n int) (text string, warn bool) {
	switch {
	case n == 0:
		return loc.T("codes.none"), true
	case n <= few:
		return loc.T("codes.few", "Count", n), true
	}
	return loc.T("codes.left", "Count", n), false
}

// totpPage is what the page of the authenticator app shows.
type totpPage struct {
	On, Locked  bool
	Required    bool // and the only second factor: it cannot go
	Since, Used instant
	Setup       *setup
}

func (p *Pages) totpForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	v := p.totpView(r, m)
	var e *mfa.Enrolment
	if one := r.URL.Query().Get("setup"); one != "" {
		if e, err = p.pendingSetup(r, v, &m.account, one, sessionBinding(m.sess.ID)); err != nil {
			return err
		}
	}
	return p.showTOTP(w, r, m, http.StatusOK, v, e)
}

func (p *Pages) totpView(r *http.Request, m *member) *view { return p.accountView(r, m, "totp.title") }

func (p *Pages) showTOTP(w http.ResponseWriter, r *http.Request, m *member, status int, v *view, e *mfa.Enrolment) error {
	data := totpPage{}
	if e != nil {
		data.Setup = setupOf(*e)
		v.KeepForm = true
	} else {
		app, err := p.d.MFA.TOTP(r.Context(), m.account.ID)
		if err != nil {
			return err
		}
		if app != nil {
			data.On, data.Locked = true, app.Locked
			data.Since, data.Used = m.loc.instant(app.CreatedAt), m.loc.instant(app.LastUsedAt)
		}
		if data.Required, err = p.lastRequired(r.Context(), m); err != nil {
			return err
		}
	}
	v.Data = data
	return p.render(w, status, "totp", v)
}

// lastRequired reports whether the authenticator app is the only second factor where everybody has
// to have one.
func (p *Pages) lastRequired(ctx context.Context, m *member) (bool, error) {
	if p.d.Journeys.Policy().Mode != signin.MFARequired {
		return false, nil
	}
	has, err := p.d.MFA.Of(ctx, m.account.ID)
	return has.TOTP && has.Passkeys == 0, err
}

// factorGone runs in the transaction that takes a second factor away. Where everybody has to have one
// it refuses the last: of two who take the last two at once, the second waits here and sees that the
// first is gone. Elsewhere no browser stays remembered for a factor that there is not: the next one is
// asked for.
func (p *Pages) factorGone(ctx context.Context, user id.User) error {
	required := p.d.Journeys.Policy().Mode == signin.MFARequired
	if required {
		if err := p.d.Accounts.HoldProof(ctx, user, p.d.Clock.Now()); err != nil {
			return err
		}
	}
	has, err := p.d.MFA.Of(ctx, user)
	switch {
	case err != nil || has.Any():
		return err
	case required:
		return errs.New(errs.Conflict, keyLastFactor, nil)
	}
	_, err = p.d.Devices.UntrustAll(ctx, user)
	return err
}

const keyLastFactor = "totp.required"

func (p *Pages) totpAct(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	switch form.Get("act") {
	case "begin":
		e, err := p.d.MFA.BeginTOTP(r.Context(), m.account.ID, sessionBinding(m.sess.ID), labelOf(m.account))
		if err != nil {
			return err
		}
		return seeOther(w, totpPath+"?setup="+url.QueryEscape(e.ID))
	case "remove":
		return p.totpRemove(w, r, m)
	}
	moved := p.switched(w, r, m, form)
	v := p.totpView(r, m)
	e, err := p.pendingSetup(r, v, &m.account, form.Get("setup"), sessionBinding(m.sess.ID))
	switch {
	case err != nil:
		return err
	case e == nil:
		return p.showTOTP(w, r, m, http.StatusUnprocessableEntity, v, nil)
	case moved:
		return p.showTOTP(w, r, m, http.StatusOK, v, e)
	case form.Get("code") == "":
		return p.showTOTP(w, r, m, http.StatusUnprocessableEntity, v.fail("code", m.loc.T("problem.required")), e)
	}
	return p.totpConfirm(w, r, m, v, e, seal.Secret(form.Get("code")))
}

// totpConfirm turns the app on. Who has no recovery codes gets some with it.
func (p *Pages) totpConfirm(w http.ResponseWriter, r *http.Request, m *member, v *view, e *mfa.Enrolment, code seal.Secret) error {
	var codes []seal.Secret
	had, err := p.d.MFA.TOTP(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	err = p.d.MFA.ConfirmTOTP(r.Context(), m.account.ID, e.ID, sessionBinding(m.sess.ID), code, func(ctx context.Context) error {
		var err error
		if codes, err = p.firstCodes(ctx, m.account.ID); err != nil {
			return err
		}
		// Whoever skipped the second factor until now had none to be asked for.
		if _, err := p.d.Devices.UntrustAll(ctx, m.account.ID); err != nil {
			return err
		}
		return p.tellAdded(ctx, m.account.ID, "totp", had != nil)
	})
	switch {
	case err == nil:
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Conflict): // used by another post, or overtaken
		return seeOther(w, totpPath)
	default:
		v.Focus = "code"
		status, ok := v.failCode(w, err)
		if !ok {
			return err
		}
		return p.showTOTP(w, r, m, status, v, e)
	}
	if codes == nil {
		return seeOther(w, "/account/security?saved=totp")
	}
	return p.showFirstCodes(w, r, m, codes, "totp.added", "/account/security")
}

// firstCodes makes recovery codes for somebody who gets a second factor and has none: the day it is
// lost is too late. It joins the transaction in which the factor is added.
func (p *Pages) firstCodes(ctx context.Context, user id.User) ([]seal.Secret, error) {
	if p.d.Journeys.Policy().Mode == signin.MFAOff { // then it is never asked for
		return nil, nil
	}
	if has, err := p.d.MFA.Of(ctx, user); err != nil || has.RecoveryLeft > 0 {
		return nil, err
	}
	return p.d.MFA.NewRecoveryCodes(ctx, user)
}

func (p *Pages) showFirstCodes(w http.ResponseWriter, r *http.Request, m *member, codes []seal.Secret, saved, next string) error {
	shown := p.accountView(r, m, "codes.title")
	shown.Saved = m.loc.T(saved)
	shown.Data = p.codesData(m.loc, m.account, codes, next, false)
	return p.render(w, http.StatusOK, "recovery_codes_new", shown)
}

func (p *Pages) totpRemove(w http.ResponseWriter, r *http.Request, m *member) error {
	err := p.d.MFA.RemoveTOTP(r.Context(), m.account.ID, func(ctx context.Context) error {
		if err := p.factorGone(ctx, m.account.ID); err != nil {
			return err
		}
		return p.tell(ctx, m.account.ID, notice.FactorRemoved, map[string]any{"Factor": "totp"})
	})
	if errs.As(err).Key == keyLastFactor {
		return p.showTOTP(w, r, m, http.StatusUnprocessableEntity, p.totpView(r, m).fail("", m.loc.T(keyLastFactor)), nil)
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return seeOther(w, "/account/security?saved=totp_removed")
}

func (p *Pages) codesForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	has, err := p.d.MFA.Of(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	made, err := p.d.MFA.RecoveryCodesMade(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	v := p.accountView(r, m, "codes.title")
	v.Data = codesPageData(m.loc, has, made)
	return p.render(w, http.StatusOK, "recovery_codes", v)
}

type codesPage struct {
	Left, Class string
	Made        instant
	Possible    bool
}

func codesPageData(loc *locale, has mfa.Factors, made time.Time) codesPage {
	if !has.Any() {
		return codesPage{Left: loc.T("codes.no_factor")}
	}
	d := codesPage{Made: loc.instant(made), Possible: true}
	var warn bool
	if d.Left, warn = codesLeft(loc, has.RecoveryLeft); warn {
		d.Class = "note warn"
	}
	return d
}

func (p *Pages) codesNew(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	has, err := p.d.MFA.Of(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	if !has.Any() {
		return seeOther(w, codesPath)
	}
	made, err := p.d.MFA.RecoveryCodesMade(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	codes, err := p.d.MFA.NewRecoveryCodes(r.Context(), m.account.ID, func(ctx context.Context) error {
		return p.tell(ctx, m.account.ID, notice.FactorAdded, map[string]any{"Factor": "recovery_codes"})
	})
	if err != nil {
		return err
	}
	v := p.accountView(r, m, "codes.title")
	v.Data = p.codesData(m.loc, m.account, codes, "/account/security", !made.IsZero())
	return p.render(w, http.StatusOK, "recovery_codes_new", v)
}

// knownBrowser is one line of the list of browsers.
type knownBrowser struct {
	ID, Device, IP string
	Current        bool
	Seen, Until    instant
}

func (p *Pages) browserList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	list, err := p.d.Devices.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	data := struct{ Browsers []knownBrowser }{}
	for _, b := range list {
		row := knownBrowser{ID: b.ID, Device: deviceText(m.loc, b.UserAgent), IP: b.IP, Current: b.Current, Seen: m.loc.instant(b.LastSeenAt)}
		if b.Trusted {
			row.Until = m.loc.instant(b.TrustedUntil)
		}
		data.Browsers = append(data.Browsers, row)
	}
	v := p.accountView(r, m, "browsers.title")
	v.Data = data
	return p.render(w, http.StatusOK, "browsers", v)
}

// browserForget takes trust away, so it asks for no fresh sign-in.
func (p *Pages) browserForget(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if form.Get("all") != "" {
		if _, err := p.d.Devices.RevokeAll(r.Context(), m.account.ID); err != nil {
			return err
		}
		return seeOther(w, browsersPath+"?saved=browsers")
	}
	// Only one's own; a foreign id does nothing.
	if err := p.d.Devices.Revoke(r.Context(), m.account.ID, form.Get("browser")); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return seeOther(w, browsersPath+"?saved=browser")
}
