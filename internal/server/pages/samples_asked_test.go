package pages

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
)

func init() { areaSamples = append(areaSamples, askedSamples) }

// askedSamples are the pages on which people answer applications.
func askedSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	const row = "0199a3c4-7f3e-7c1a-9d52-5a0b8a3f2c11"
	r := httptest.NewRequest(http.MethodGet, oauth.AskedPath, nil)
	m := &member{account: testAccount(), loc: loc, sess: &session.Session{ID: "s1"}, waiting: 2}
	at := time.Date(2026, 10, 3, 14, 5, 0, 0, time.UTC)
	a := &oauth.Asked{
		ID: row, Client: "c1", Message: "W4SC-7TQ", Scopes: []string{"openid", "profile", "offline_access", "notes.read"},
		Details: []oauth.Detail{{Type: "payment", Words: "Make a payment <b>", Lines: []string{"amount.value: 12.50", "creditor: Bakery <script>"}}},
		IP:      "2001:db8::17", CreatedAt: at, ExpiresAt: at.Add(5 * time.Minute),
	}
	c := &client.Client{ID: "c1", Name: "Harbour <Bank>", ManagedBy: client.ManagedByAdmin, Metadata: client.Metadata{ClientURI: "https://bank.example.com"}}
	add("asked", "asked", 200, p.askedListView(r, m, []askedRow{
		askedRowOf(loc, a, c), {ID: "q2", Path: oauth.AskedPath + "/q2", Name: "cli", At: loc.instant(at), Until: loc.instant(at)},
	}))
	add("asked-none", "asked", 200, p.askedListView(r, m, nil))

	one := httptest.NewRequest(http.MethodGet, oauth.AskedPath+"/"+row, nil)
	add("asked-confirm", "asked_confirm", 200, p.askedView(one, &question{m: m, asked: a, client: c}, &client.APIs{}))
	bare := *a
	bare.Message, bare.Details, bare.Scopes = "", nil, []string{"openid"}
	stranger := &client.Client{ID: "c3", Name: "Signet Security", ManagedBy: client.ManagedByItself, Metadata: client.Metadata{ClientURI: "https://id.example.com", Quarantined: true}}
	plain := p.askedView(one, &question{m: m, asked: &bare, client: stranger}, &client.APIs{})
	if plain.App.Host != "" {
		t.Error("an application that registered itself says where it lives")
	}
	add("asked-confirm-unverified", "asked_confirm", 200, plain)
	add("asked-gone", "message", 404, p.askedMessage(one, m, "asked.gone", oauth.KeyNotAsked))
	add("asked-lapsed", "message", 403, p.askedMessage(one, m, "asked.title", "asked.lapsed"))
	add("asked-unmet", "message", 403, p.askedMessage(one, m, "asked.title", "device.unmet"))
}
