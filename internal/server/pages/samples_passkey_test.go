package pages

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"signet/internal/identity/passkey"
)

func init() { areaSamples = append(areaSamples, passkeySamples) }

// passkeySamples are the pages of passkeys, and the others with their button on it.
func passkeySamples(_ testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	at := func(path string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", loc.tag)
		return r
	}
	options := []byte(`{"challenge":"<script>\"'&","rpId":"id.example.com"}`)
	v := testVisit(loc)

	login := p.loginView(at(journeyPath(v.j.ID, "login")), v)
	login.Passkey = login.passkeyForm("get", journeyPath(v.j.ID, "passkey"), "passkey.sign_in", options)
	login.Passkey.Conditional, login.Passkey.Unknown = true, `{"rpId":"id.example.com","credentialId":"AAAA"}`
	login.Data = struct{ Reason, SignUp, Forgot, MailCode string }{SignUp: journeyPath(v.j.ID, "signup"), Forgot: journeyPath(v.j.ID, "forgot")}
	add("login-passkey", "login", 401, login.fail("", loc.T(passkey.KeyUnknown)))

	for name, problem := range map[string]string{"offer": "", "offer-failed": passkey.KeyStale} {
		offer := p.page(at(journeyPath(v.j.ID, "offer")), v, "offer.title")
		offer.Passkey = offer.passkeyForm("create", journeyPath(v.j.ID, "offer"), "passkey.create", options)
		offer.Passkey.Primary, offer.Passkey.Upgrade = true, string(options)
		offer.Data = struct{ Who person }{personOf(*v.owed.Account)}
		if problem != "" {
			offer.fail("", loc.T(problem))
		}
		add(name, "offer", 200, offer)
	}

	m := &member{account: testAccount(), loc: loc}
	made := time.Date(2026, 2, 3, 4, 5, 0, 0, time.UTC)
	list := []passkey.Credential{
		{ID: "p1", Name: "Apple Passwords", Synced: true, BackedUp: true, CreatedAt: made, LastUsedAt: made.Add(time.Hour)},
		{ID: "p2", Name: "<b>Blue</b> YubiKey 5 NFC on the key ring with the small red torch", CreatedAt: made},
		{ID: "p3", CreatedAt: made},
	}
	for name, rows := range map[string][]passkey.Credential{"passkeys": list, "passkeys-none": nil} {
		page := p.accountView(at("/account/passkeys"), m, "passkeys.title")
		data := passkeysPage{Add: passkeyAddPath, Signal: `{"rpId":"id.example.com"}`}
		for _, c := range rows {
			data.Passkeys = append(data.Passkeys, rowOf(loc, c))
		}
		page.Data = data
		add(name, "passkeys", 200, page)
	}
	wrong := p.accountView(at("/account/passkeys"), m, "passkeys.title").fail("", loc.T(passkey.KeyLongName, "Max", passkey.MaxName))
	wrong.Data = passkeysPage{Passkeys: []passkeyRow{rowOf(loc, list[0])}, Add: passkeyAddPath, Wrong: "p1"}
	add("passkeys-name", "passkeys", 422, wrong)

	added := p.accountView(at(passkeyAddPath), m, "passkey_add.title")
	added.Passkey = added.passkeyForm("create", passkeyAddPath, "passkey.create", options)
	added.Passkey.Primary, added.Passkey.Unable = true, loc.T("passkey.unable")
	added.Data = struct{ List string }{passkeysPath}
	add("passkey_add", "passkey_add", 200, added)

	remove := p.accountView(at(removePath(list[1])), m, "passkey_remove.title").fail("", loc.T(passkey.KeyLastWay))
	remove.Data = struct {
		Passkey passkeyRow
		List    string
	}{rowOf(loc, list[1]), passkeysPath}
	add("passkey_remove", "passkey_remove", 409, remove)
}
