package client

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// CIBA §4: what a client may say of backchannel authentication; push is refused by name.
func TestValidate_CIBA(t *testing.T) {
	t.Parallel()
	keys := json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)
	for _, tc := range []struct {
		field string // of the problem; "" for none
		text  string // in it
		kind  Kind
		edit  func(*Metadata)
	}{
		{"", "", Web, func(*Metadata) {}},
		{"", "", Web, func(m *Metadata) { m.CIBADelivery = DeliverPoll }},
		{"", "", Web, func(m *Metadata) {
			m.CIBADelivery, m.CIBANotification = DeliverPing, "https://bank.example/ciba"
		}},
		{"", "", Web, func(m *Metadata) { m.CIBADelivery, m.CIBANotification = DeliverPing, "http://127.0.0.1:8080/ciba" }},
		{"", "", Web, func(m *Metadata) { m.CIBARequestAlg, m.JWKS = "ES256", keys }},
		{"", "", Web, func(m *Metadata) {
			m.GrantTypes, m.RedirectURIs, m.ResponseTypes = []string{GrantCIBA, GrantRefreshToken}, nil, nil
		}},
		{"", "", Web, func(m *Metadata) {
			m.GrantTypes, m.RedirectURIs, m.ResponseTypes = []string{GrantCIBA, GrantRefreshToken}, nil, nil
			m.Profile, m.AuthMethod, m.JWKS = ProfileFAPI2, PrivateKeyJWT, keys
		}},
		{"backchannel_token_delivery_mode", "push, which is not offered", Web, func(m *Metadata) { m.CIBADelivery = "push" }},
		{"backchannel_token_delivery_mode", "must be poll or ping", Web, func(m *Metadata) { m.CIBADelivery = "Ping" }},
		{"backchannel_client_notification_endpoint", "is missing", Web, func(m *Metadata) { m.CIBADelivery = DeliverPing }},
		{"backchannel_client_notification_endpoint", "is for", Web, func(m *Metadata) { m.CIBANotification = "https://bank.example/ciba" }},
		{"backchannel_client_notification_endpoint", "plain http", Web, func(m *Metadata) {
			m.CIBADelivery, m.CIBANotification = DeliverPing, "http://bank.example/ciba"
		}},
		{"backchannel_client_notification_endpoint", "user name", Web, func(m *Metadata) {
			m.CIBADelivery, m.CIBANotification = DeliverPing, "https://x@bank.example/ciba"
		}},
		{"backchannel_authentication_request_signing_alg", "must be one of", Web, func(m *Metadata) { m.CIBARequestAlg, m.JWKS = "none", keys }},
		{"backchannel_authentication_request_signing_alg", "needs jwks", Web, func(m *Metadata) { m.CIBARequestAlg = "ES256" }},
		{"backchannel_authentication_request_signing_alg", "profile fapi2 allows", Web, func(m *Metadata) {
			m.CIBARequestAlg, m.JWKS, m.Profile, m.AuthMethod = "RS256", keys, ProfileFAPI2, PrivateKeyJWT
		}},
		{"backchannel_user_code_parameter", "not offered", Web, func(m *Metadata) { m.CIBAUserCode = true }},
		{"grant_types", "for the backchannel settings", Web, func(m *Metadata) {
			m.GrantTypes, m.CIBADelivery = []string{GrantAuthorizationCode}, DeliverPoll
			m.Scopes = []string{"openid"}
		}},
		// Only an application that authenticates asks people.
		{"grant_types", "which a native client may have", Native, func(*Metadata) {}},
		{"grant_types", "which a spa client may have", SPA, func(*Metadata) {}},
	} {
		m := Defaults(tc.kind)
		m.RedirectURIs = []string{"https://bank.example/cb"}
		m.GrantTypes = append(m.GrantTypes, GrantCIBA)
		tc.edit(&m)
		problems := ProblemsOf(m.Validate(tc.kind))
		switch {
		case tc.field == "" && len(problems) > 0:
			t.Errorf("%+v: %v", m.Protocol, problems)
		case tc.field != "" && !slices.ContainsFunc(problems, func(p Problem) bool { return p.Field == tc.field && strings.Contains(p.Text, tc.text) }):
			t.Errorf("%+v: %v, want %s …%s…", m.Protocol, problems, tc.field, tc.text)
		}
	}
}

// A client that registers itself has the grant type only where the terms name it, and is told so.
func TestRegistration_CIBA(t *testing.T) {
	t.Parallel()
	const text = `{"client_name":"Bank","grant_types":["authorization_code","urn:openid:params:grant-type:ciba"],"redirect_uris":["https://bank.example/cb"]`
	r, err := ReadRegistration([]byte(text+`}`), Terms{}, false)
	if err != nil || slices.Contains(r.Metadata.GrantTypes, GrantCIBA) {
		t.Errorf("%v, %v", r.Metadata.GrantTypes, err)
	}
	if _, err := ReadRegistration([]byte(text+`,"backchannel_token_delivery_mode":"poll"}`), Terms{}, false); err == nil {
		t.Error("the settings stand without the grant type")
	}
	open := Terms{GrantTypes: append(DefaultGrantTypes(), GrantCIBA)}
	r, err = ReadRegistration([]byte(text+`,"backchannel_token_delivery_mode":"poll"}`), open, false)
	if err != nil || !slices.Contains(r.Metadata.GrantTypes, GrantCIBA) || r.Kind != Web {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = ReadRegistration([]byte(`{"client_name":"Bank","grant_types":["urn:openid:params:grant-type:ciba"]}`), open, false)
	if err != nil || r.Kind != Web || len(r.Metadata.ResponseTypes) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
