package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
)

func init() { areaSamples = append(areaSamples, recoverySamples, dataSamples) }

// recoverySamples are the pages of resets, codes by mail, addresses and alarms.
func recoverySamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	v, m := testVisit(loc), &member{account: testAccount(), loc: loc}
	at := func(path string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", loc.tag)
		return r
	}
	in := func(page string) *http.Request { return at(journeyPath(v.j.ID, page)) }

	add("forgot", "forgot", 200, p.forgotView(in("forgot"), v))
	add("forgot-empty", "forgot", 422, p.forgotView(in("forgot"), v).fail("identifier", loc.T("problem.required")))
	add("mailcode", "forgot", 200, p.mailCodeView(in("mail-code"), v).keep(url.Values{"identifier": {"ada"}}))
	add("mailed", "mailed", 200, p.resetMailed(in("reset"), v))
	add("mailed-again", "mailed", 200, p.resetMailed(in("reset?sent=1"), v))
	add("mailed-wrong", "mailed", 422, p.resetMailed(in("reset"), v).fail("code", loc.T("mailed.wrong")))
	add("mailed-code", "mailed", 200, p.mailCodeMailed(in("mail-code/enter"), v))
	add("reset", "reset", 200, p.resetView(in("reset"), v))
	add("reset-short", "reset", 422, p.resetView(in("reset"), v).fail("password", loc.T("password_too_short", "Min", 15)))
	add("overtaken", "message", 409, p.sayView(in("reset"), v, saying{"reset.overtaken.title", "reset.overtaken.text", "/forgot", "reset.start_over"}))

	add("link_reset", "landing", 200, p.linkView(at("/m"), resetWording))
	add("link_address", "landing", 200, p.linkView(at("/m"), addressWording, "Email", "ada@example.org"))
	add("link_undo", "landing", 200, p.linkView(at("/m"), undoWording, "Old", "ada@example.com", "New", "<b>thief</b>@example.org"))
	for kind := range aboutKeys {
		add("link_notme-"+string(kind), "landing", 200, p.notMeView(at("/m"), notice.Link{Kind: kind, At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}))
	}

	for name, account := range map[string]member{"address": *m, "address-unproven": {account: testAccount(), loc: loc}} {
		account.account.EmailVerified = name == "address"
		page := p.accountView(at("/account/address"), &account, "address.title")
		page.Data = addressData{Email: account.account.Email, Verified: account.account.EmailVerified, Mail: true}
		page.KeepForm = true
		add(name, "address", 200, page)
	}
	page := p.accountView(at("/account/address"), m, "address.title").fail("email", loc.T("email_invalid"))
	page.Data, page.KeepForm = addressData{Email: m.account.Email, Verified: true, Mail: true}, true
	add("address-wrong", "address", 422, page)
	page = p.accountView(at("/account/address"), m, "address.title")
	page.Data, page.KeepForm = addressData{Email: m.account.Email, Verified: true}, true
	add("address-nomail", "address", 200, page)
	add("mailed-address", "address_code", 200, p.addressCodePage(at("/account/address/code"), m, "c1", "ada@example.org"))
}

// dataSamples are the pages of activity, export and deletion.
func dataSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	v, m := testVisit(loc), &member{account: testAccount(), loc: loc}
	at := func(path string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", loc.tag)
		return r
	}
	activity := p.accountView(at("/account/activity"), m, "activity.title")
	data := activityData{Older: "/account/activity?after=x"}
	for _, rec := range sampleRecords() {
		if d, ok := deedOf(loc, rec, map[id.Client]string{"c1": "Team Wiki"}); ok {
			data.Deeds = append(data.Deeds, d)
		}
	}
	activity.Data = data
	add("activity", "activity", 200, activity)
	empty := p.accountView(at("/account/activity"), m, "activity.title")
	empty.Data = activityData{First: true}
	add("activity-none", "activity", 200, empty)

	add("data", "data", 200, p.accountView(at("/account/data"), m, "data.title"))
	add("delete", "delete", 200, p.deleteView(at("/account/delete"), m, 14*24*time.Hour))
	add("delete-sure", "delete", 422, p.deleteView(at("/account/delete"), m, 0).fail("sure", loc.T("delete.tick")))
	add("deleted", "message", 200, p.deletedView(at("/account/deleted"), 24*time.Hour))
	add("deleted-now", "message", 200, p.deletedView(at("/account/deleted"), 0))
	v.owed.Account.DeleteAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	add("restore", "restore", 200, p.restoreView(at(journeyPath(v.j.ID, "restore")), v))
}

const (
	chromeOnWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
	safariOnPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1"
)

func sampleRecords() []audit.Record {
	rec := func(action, result string, detail ...string) audit.Record {
		r := audit.Record{
			Action: action, Result: result, At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), IP: "192.0.2.7", UserAgent: chromeOnWindows,
			Detail: map[string]string{},
		}
		for i := 0; i+1 < len(detail); i += 2 {
			r.Detail[detail[i]] = detail[i+1]
		}
		return r
	}
	byAdmin := rec("password.set", audit.OK)
	byAdmin.Actor, byAdmin.UserAgent, byAdmin.IP = "cli", "", ""
	app := rec("consent.granted", audit.OK)
	app.Client, app.UserAgent = "c1", safariOnPhone
	return []audit.Record{
		rec("session.start", audit.OK, "method", "pwd otp", "session", "s1"), rec("session.start", audit.OK, "method", "passkey"),
		rec("login", audit.Refused, "reason", "wrong_password"), rec("session.end", audit.OK), rec("session.end", audit.OK, "reason", "all"),
		rec("passkey.add", audit.OK, "name", "<b>Phone</b>"), rec("recovery_code.use", audit.OK, "left", "2"),
		rec("upstream.link", audit.OK, "provider", "GitHub"), rec("password.upgrade", audit.OK), byAdmin, app,
	}
}
