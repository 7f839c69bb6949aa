package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
)

func init() { areaSamples = append(areaSamples, deviceSamples) }

// deviceSamples are the pages that let in a device.
func deviceSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, oauth.DevicePath, nil)
	m := &member{account: testAccount(), loc: loc, sess: &session.Session{ID: "s1"}}
	enter := func(name string, status int, prepare func(*view)) {
		v := p.deviceView(r, m)
		prepare(v)
		add(name, "device", status, v)
	}
	enter("device", 200, func(*view) {})
	enter("device-filled", 200, func(v *view) { v.keep(url.Values{"user_code": {"WDJB-MJHT"}}) })
	enter("device-wrong", 422, func(v *view) {
		v.keep(url.Values{"user_code": {"WDJB-MJHX"}}).fail("user_code", loc.T(oauth.KeyNoDevice))
	})
	enter("device-limited", 429, func(v *view) { v.fail("", loc.T("error.limited.text", "Count", 4)) })
	enter("device-unmet", 403, func(v *view) { v.fail("", loc.T("device.unmet")) })

	d := &oauth.DeviceRequest{
		ID: "d1", Client: "c1", UserCode: "WDJBMJHT", Scopes: []string{"openid", "profile", "offline_access", "notes.read"},
		Details: []oauth.Detail{{Type: "payment", Words: "Make a payment <b>", Lines: []string{"amount.value: 12.50", "creditor: Bakery <script>"}}},
		IP:      "2001:db8::17", UserAgent: "Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36",
		CreatedAt: time.Date(2026, 10, 3, 14, 5, 0, 0, time.UTC),
	}
	c := &client.Client{ID: "c1", Name: "Living Room <TV>", ManagedBy: client.ManagedByAdmin, Metadata: client.Metadata{ClientURI: "https://tv.example.com"}}
	add("device-confirm", "device_confirm", 200, p.confirmDeviceView(r, m, d, c, &client.APIs{}))
	stranger := &client.Client{ID: "c3", Name: "Signet Security", ManagedBy: client.ManagedByItself, Metadata: client.Metadata{ClientURI: "https://id.example.com", Quarantined: true}}
	asking := p.confirmDeviceView(r, m, d, stranger, &client.APIs{})
	if asking.App.Host != "" {
		t.Error("an application that registered itself says where it lives")
	}
	add("device-confirm-unverified", "device_confirm", 200, asking)
	bare := *d
	bare.Scopes, bare.Details, bare.UserAgent = []string{"openid"}, nil, ""
	add("device-confirm-plain", "device_confirm", 200, p.confirmDeviceView(r, m, &bare, &client.Client{ID: "c2", Name: "cli"}, &client.APIs{}))
	for _, name := range []string{"allowed", "denied"} {
		done := deviceOutcomes[name]
		add("device-"+name, "message", 200, p.deviceDone(r, m, done.title, done.text))
	}
}
