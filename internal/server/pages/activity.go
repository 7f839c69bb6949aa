package pages

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"signet/internal/identity/session"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// What happened to an account, from the audit log, in sentences that its owner can read.

var activityFrames = map[string]string{"activity": "account"}

func (p *Pages) activityRoutes() []server.Route {
	return []server.Route{p.get("/account/activity", p.activity)}
}

// activityPage is how many records one page looks at.
const activityPage = 50

// activityKeys has a sentence for each act that is worth an owner's look: "action" if it succeeded,
// "action!" if it was refused. Other records are for operators.
var activityKeys = map[string]string{
	"session.start": "activity.signed_in", "session.reauthenticate": "activity.confirmed",
	"login!": "activity.login_failed", "reauthenticate!": "activity.confirm_failed",
	"password.change": "activity.password_changed", "password.change!": "activity.confirm_failed",
	"password.reset": "activity.password_reset", "password.set": "activity.password_set",
	"reset.request": "activity.reset_asked", "reset.prove": "activity.reset_proved", "reset.prove!": "activity.code_wrong",
	"mail_code.request": "activity.code_asked", "mail_code.prove!": "activity.code_wrong",
	"address.request": "activity.address_asked", "address.change": "activity.address_changed",
	"address.verify": "activity.address_verified", "address.undo": "activity.address_undone",
	"username.change": "activity.username_changed", "profile.update": "activity.profile_saved", "terms.accept": "activity.terms_accepted",
	"signup.request": "activity.sign_up_tried",
	"totp.enrol":     "activity.totp_added", "totp.remove": "activity.totp_removed", "totp.verify!": "activity.totp_wrong",
	"recovery_codes.create": "activity.codes_made", "recovery_code.use": "activity.recovery_used", "recovery_code.use!": "activity.recovery_wrong",
	"mfa.reset":   "activity.mfa_reset",
	"passkey.add": "activity.passkey_added", "passkey.remove": "activity.passkey_removed", "passkey.rename": "activity.passkey_renamed",
	"browser.trust": "activity.browser_trusted", "browser.revoke": "activity.browser_forgotten",
	"browser.revoke_all": "activity.browsers_forgotten", "browser.untrust_all": "activity.browsers_forgotten",
	"upstream.link": "activity.upstream_linked", "upstream.unlink": "activity.upstream_unlinked",
	"device.approved": "activity.device_approved", "device.denied": "activity.device_denied",
	"ciba.asked": "activity.asked", "ciba.approved": "activity.asked_allowed", "ciba.denied": "activity.asked_denied",
	"consent.granted": "activity.app_allowed", "consent.revoked": "activity.app_removed",
	"account.create": "activity.account_made", "account.enable": "activity.account_enabled", "account.disable": "activity.account_disabled",
	"account.give_up": "activity.deletion_asked", "account.keep": "activity.deletion_stopped",
	"account.not_me": "activity.not_me", "data.export": "activity.exported",
}

// activityArgs names the details of a record that its sentence shows.
var activityArgs = []struct{ detail, arg string }{{"name", "Name"}, {"provider", "Provider"}, {"left", "Left"}}

// deed is a record as its owner sees it.
type deed struct {
	Text, Where string
	At          instant
}

func (p *Pages) activity(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	after, err := audit.ParseCursor(r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	list, err := p.d.Audit.List(r.Context(), audit.Filter{Target: string(m.account.ID), After: after, Limit: activityPage})
	if err != nil {
		return err
	}
	names, err := p.clientNames(r.Context(), list)
	if err != nil {
		return err
	}
	v := p.accountView(r, m, "activity.title")
	data := activityData{First: after == audit.Cursor{}}
	for _, rec := range list {
		if d, ok := deedOf(m.loc, rec, names); ok {
			data.Deeds = append(data.Deeds, d)
		}
	}
	if len(list) == activityPage {
		data.Older = "/account/activity?" + url.Values{"after": {list[len(list)-1].Cursor().String()}}.Encode()
	}
	v.Data = data
	return p.render(w, http.StatusOK, "activity", v)
}

type activityData struct {
	Deeds []deed
	Older string
	First bool
}

// clientNames finds what the applications in a list of records are called.
func (p *Pages) clientNames(ctx context.Context, list []audit.Record) (map[id.Client]string, error) {
	names := map[id.Client]string{}
	for _, rec := range list {
		if _, known := names[rec.Client]; known || rec.Client == "" {
			continue
		}
		names[rec.Client] = string(rec.Client)
		c, err := p.d.Clients.Recorded(ctx, rec.Client)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
		if err == nil {
			names[rec.Client] = c.Name
		}
	}
	return names, nil
}

// deedOf writes the sentence of a record; ok is false for those without one.
func deedOf(loc *locale, rec audit.Record, names map[id.Client]string) (deed, bool) {
	action := rec.Action
	if rec.Result != audit.OK {
		action += "!"
	}
	key := activityKeys[action]
	switch {
	case action == "session.end" && rec.Detail["reason"] == "":
		key = "activity.signed_out"
	case action == "session.end":
		key = "activity.session_ended"
	case key == "":
		return deed{}, false
	}
	args := []any{"Methods", methodNames(loc, rec.Detail["method"]), "Application", names[rec.Client]}
	for _, a := range activityArgs {
		args = append(args, a.arg, rec.Detail[a.detail])
	}
	d := deed{Text: loc.T(key, args...), At: loc.instant(rec.At)}
	if rec.Actor == "cli" {
		d.Where = loc.T("activity.by_admin")
		return d, true
	}
	var where []string
	if rec.UserAgent != "" {
		where = append(where, deviceText(loc, rec.UserAgent))
	}
	if rec.IP != "" {
		where = append(where, rec.IP)
	}
	d.Where = strings.Join(where, " · ")
	return d, true
}

var methodKeys = map[string]string{
	session.Password: "activity.method.pwd", session.TOTP: "activity.method.otp", session.Passkey: "activity.method.passkey",
	session.Recovery: "activity.method.recovery", session.MailCode: "activity.method.email", session.Upstream: "activity.method.fed",
	session.UpstreamMFA: "activity.method.fed_mfa", session.KnownBrowser: "activity.method.known",
}

// methodNames puts the methods of a sign-in into words.
func methodNames(loc *locale, methods string) string {
	var words []string
	for _, m := range strings.Fields(methods) {
		if key := methodKeys[m]; key != "" {
			words = append(words, loc.T(key))
		}
	}
	if len(words) == 0 {
		return loc.T("activity.method.other")
	}
	return strings.Join(words, loc.T("activity.and"))
}
