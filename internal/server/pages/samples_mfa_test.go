package pages

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/mfa"
	"signet/internal/platform/seal"
	"signet/internal/signin"
)

func init() { areaSamples = append(areaSamples, mfaSamples) }

// mfaSamples are the pages of second factors and of what protects an account.
func mfaSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	at := func(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
	v := testVisit(loc)
	who := testAccount()
	v.owed.Half = &who
	v.owed.Factors = mfa.Factors{TOTP: true, RecoveryLeft: 7}
	show := func(name string, status int, prepare func(*visit, *view)) {
		one := *v
		page := p.mfaView(at(journeyPath(v.j.ID, "mfa")), &one)
		prepare(&one, page)
		if err := p.showMFA(httptest.NewRecorder(), &one, status, page); err != nil {
			t.Fatal(err)
		}
		if data, ok := page.Data.(secondFactor); ok && one.owed.Step == signin.MFA { // as for a half sign-in
			data.Reason, data.Remember = "", rememberFor(loc, 30*24*time.Hour)
			page.Data = data
		}
		add(name, "mfa", status, page)
	}
	show("mfa", 200, func(one *visit, _ *view) { one.owed.Step = signin.MFA })
	show("mfa-wrong", 401, func(one *visit, page *view) {
		one.owed.Step = signin.MFA
		page.fail("code", loc.T(mfa.KeyWrong))
	})
	show("mfa-locked", 401, func(_ *visit, page *view) { page.fail("", loc.T(mfa.KeyLocked)) })
	show("mfa-limited", 429, func(_ *visit, page *view) { page.fail("", loc.T("error.limited.text", "Count", 4)) })
	show("mfa-phr", 200, func(one *visit, _ *view) {
		one.owed.Factors.Passkeys, one.owed.Resistant = 1, true
	})

	recovery := func(name string, status int, problem string) {
		page := p.recoveryCodeView(at(journeyPath(v.j.ID, "mfa/recovery")), v)
		if problem != "" {
			page.fail("recovery_code", loc.T(problem))
		}
		if err := p.showRecoveryCode(httptest.NewRecorder(), v, status, page); err != nil {
			t.Fatal(err)
		}
		add(name, "recovery_code", status, page)
	}
	recovery("recovery", 200, "")
	recovery("recovery-wrong", 401, mfa.KeyRecoveryWrong)

	set := testSetup()
	enroll := func(name string, status int, reason string, set *setup, prepare func(*view)) {
		page := p.page(at(journeyPath(v.j.ID, "enroll")), v, "enroll.title")
		page.Data = enrolling{
			Who: personOf(who), Reason: loc.T(reason), TOTP: reason != "enroll.reason_passkey", Setup: set, Login: journeyPath(v.j.ID, "login"),
		}
		prepare(page)
		add(name, "enroll", status, page)
	}
	enroll("enroll", 200, "enroll.reason_policy", nil, func(*view) {})
	enroll("enroll-application", 200, "enroll.reason_app", nil, func(*view) {})
	enroll("enroll-passkey", 200, "enroll.reason_passkey", nil, func(*view) {})
	enroll("enroll-over", 422, "enroll.reason_policy", nil, func(page *view) { page.fail("", loc.T("totp.again")) })
	enroll("enroll-scan", 200, "enroll.reason_policy", set, func(*view) {})
	enroll("enroll-wrong", 401, "enroll.reason_policy", set, func(page *view) { page.fail("code", loc.T(mfa.KeyWrong)) })

	codes := []seal.Secret{}
	for _, c := range "0123456789" {
		codes = append(codes, seal.Secret(strings.ReplaceAll("aaaa-bbbb-cccc-dddd-eeee-ffff", "a", string(c))))
	}
	within := p.page(at(journeyPath(v.j.ID, "enroll")), v, "codes.title")
	within.CancelURL = ""
	within.Data = p.codesData(loc, who, codes, journeyPath(v.j.ID, ""), false)
	add("codes-enroll", "enroll_codes", 200, within)

	m := &member{account: who, loc: loc}
	fresh := p.accountView(at(codesPath), m, "codes.title")
	fresh.Data = p.codesData(loc, who, codes, "/account/security", true)
	add("codes-new", "recovery_codes_new", 200, fresh)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, has := range map[string]mfa.Factors{"left": {TOTP: true, RecoveryLeft: 8}, "few": {TOTP: true, RecoveryLeft: 2}, "none": {}, "gone": {TOTP: true}} {
		page := p.accountView(at(codesPath), m, "codes.title")
		made := now
		if has.RecoveryLeft == 0 {
			made = time.Time{}
		}
		page.Data = codesPageData(loc, has, made)
		add("codes-"+name, "recovery_codes", 200, page)
	}

	app := func(name string, status int, data totpPage, prepare func(*view)) {
		page := p.accountView(at(totpPath), m, "totp.title")
		page.Data = data
		prepare(page)
		add(name, "totp", status, page)
	}
	on := totpPage{On: true, Since: loc.instant(now), Used: loc.instant(now)}
	locked, needed := on, on
	locked.Locked, needed.Required = true, true
	app("totp", 200, totpPage{}, func(*view) {})
	app("totp-scan", 200, totpPage{Setup: set}, func(*view) {})
	app("totp-wrong", 401, totpPage{Setup: set}, func(page *view) { page.fail("code", loc.T(mfa.KeyWrong)) })
	app("totp-on", 200, on, func(*view) {})
	app("totp-locked", 200, locked, func(*view) {})
	app("totp-needed", 422, needed, func(page *view) { page.fail("", loc.T("totp.required")) })

	list := p.accountView(at(browsersPath+"?saved=browser"), m, "browsers.title")
	list.Data = struct{ Browsers []knownBrowser }{[]knownBrowser{
		{"b1", deviceText(loc, "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0"), "192.0.2.7", true, loc.instant(now), loc.instant(now.Add(30 * 24 * time.Hour))},
		{"b2", deviceText(loc, "curl/8"), "", false, loc.instant(now), instant{}},
	}}
	add("browsers", "browsers", 200, list)
	none := p.accountView(at(browsersPath), m, "browsers.title")
	none.Data = struct{ Browsers []knownBrowser }{}
	add("browsers-none", "browsers", 200, none)

	for name, x := range map[string]protections{
		"security": {
			mode: signin.MFAOptional, passkeys: true, has: mfa.Factors{TOTP: true, Passkeys: 2, RecoveryLeft: 1},
			app: &mfa.App{LastUsedAt: now}, trusted: 2,
		},
		"security-weak":   {mode: signin.MFAOptional, passkeys: true},
		"security-locked": {mode: signin.MFARequired, has: mfa.Factors{TOTP: true, RecoveryLeft: 10}, app: &mfa.App{LastUsedAt: now, Locked: true}, trusted: 1},
		"security-off":    {mode: signin.MFAOff},
	} {
		page := p.accountView(at("/account/security"), m, "security.title")
		page.Data = securityOf(loc, x)
		add(name, "security", 200, page)
	}
}

// testSetup is a set-up with a picture like a QR code.
func testSetup() *setup {
	return &setup{ID: "0197a0de-0000-7000-8000-000000000002", Key: "ABCD EFGH IJKL MNOP QRST UVWX YZ23 4567", Size: 29, Path: "M4 4h7v1h-7zM4 10h7v1h-7zM18 18h3v3h-3z"}
}
