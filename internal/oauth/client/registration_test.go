package client

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// RFC 7591 §2, OIDC Registration §2: what an application leaves out, and what sort of application it
// then is.
func TestReadRegistration_Derives(t *testing.T) {
	t.Parallel()
	type want struct {
		Kind                      Kind
		Auth                      AuthMethod
		Grants, Responses, Scopes []string
		PKCE, PerInstance         bool
		Alg                       string
		Origins                   []string
	}
	all := []string{"openid", "profile", "email"}
	refreshing := append(slices.Clone(all), "offline_access")
	code := []string{GrantAuthorizationCode}
	for name, c := range map[string]struct {
		text     string
		terms    Terms
		document bool
		want     want
	}{
		"nothing but a redirect URI": {`{"redirect_uris":["https://a.test/cb"]}`, Terms{RequirePKCE: true}, false,
			want{Web, SecretBasic, code, []string{"code"}, all, true, false, "RS256", nil}},
		"the same as a document": {`{"redirect_uris":["https://a.test/cb"]}`, Terms{RequirePKCE: true}, true,
			want{SPA, None, code, []string{"code"}, all, true, false, "RS256", nil}},
		"an old confidential client": {`{"redirect_uris":["https://a.test/cb"]}`, Terms{}, false,
			want{Web, SecretBasic, code, []string{"code"}, all, false, false, "RS256", nil}},
		"public ones do PKCE whatever the terms": {`{"redirect_uris":["https://a.test/cb"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`, Terms{}, false,
			want{SPA, None, []string{GrantAuthorizationCode, GrantRefreshToken}, []string{"code"}, refreshing, true, false, "RS256", nil}},
		"on this machine": {`{"redirect_uris":["http://127.0.0.1:33418/cb","http://localhost/cb"],"token_endpoint_auth_method":"none"}`, Terms{}, false,
			want{Native, None, code, []string{"code"}, all, true, false, "RS256", []string{"http://127.0.0.1:33418", "http://localhost"}}},
		"native, as VS Code does it": {`{"application_type":"native","redirect_uris":["https://vscode.dev/redirect","http://127.0.0.1:33418/"],"token_endpoint_auth_method":"none",
			"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"]}`, Terms{}, false,
			want{Native, None, []string{GrantAuthorizationCode, GrantRefreshToken, GrantDeviceCode}, []string{"code"}, refreshing, true, false, "RS256",
				[]string{"https://vscode.dev", "http://127.0.0.1:33418"}}},
		"a secret of one installation (RFC 8252 §8.5)": {`{"redirect_uris":["com.example.agent:/cb"]}`, Terms{}, false,
			want{Native, SecretBasic, code, []string{"code"}, all, false, true, "RS256", nil}},
		"a device": {`{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"token_endpoint_auth_method":"none"}`, Terms{}, false,
			want{Native, None, []string{GrantDeviceCode}, nil, all, true, false, "RS256", nil}},
		"a machine": {`{"grant_types":["client_credentials"]}`, Terms{GrantTypes: []string{GrantClientCredentials}, Scopes: []string{"openid", "read"}}, false,
			want{Machine, SecretBasic, []string{GrantClientCredentials}, nil, []string{"read"}, false, false, "", nil}},
		"grant types that are not offered": {`{"redirect_uris":["https://a.test/cb"],"grant_types":["authorization_code","password","client_credentials","implicit"]}`, Terms{}, false,
			want{Web, SecretBasic, code, []string{"code"}, all, false, false, "RS256", nil}},
		"scopes that are not offered": {`{"redirect_uris":["https://a.test/cb"],"scope":"admin email openid"}`, Terms{}, false,
			want{Web, SecretBasic, code, []string{"code"}, []string{"openid", "email"}, false, false, "RS256", nil}},
		"words in another order (RFC 6749 §3.1.1)": {`{"redirect_uris":["https://a.test/cb"],"response_types":["token id_token","id_token code"]}`, Terms{Legacy: true}, false,
			want{Web, SecretBasic, []string{GrantAuthorizationCode, GrantImplicit}, []string{"id_token token", "code id_token"}, all, false, false, "RS256", nil}},
		"an algorithm of its choice": {`{"redirect_uris":["https://a.test/cb"],"id_token_signed_response_alg":"ES256"}`, Terms{}, false,
			want{Web, SecretBasic, code, []string{"code"}, all, false, false, "ES256", nil}},
		"null is left out (RFC 7592 §2.2)": {`{"redirect_uris":["https://a.test/cb"],"grant_types":null,"jwks":null,"scope":null}`, Terms{}, false,
			want{Web, SecretBasic, code, []string{"code"}, all, false, false, "RS256", nil}},
	} {
		got, err := ReadRegistration([]byte(c.text), c.terms, c.document)
		m := got.Metadata
		if d := cmp.Diff(c.want, want{got.Kind, m.AuthMethod, m.GrantTypes, m.ResponseTypes, m.Scopes, m.RequirePKCE, m.PerInstance, m.IDTokenAlg, m.AllowedOrigins}); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
}

func TestReadRegistration_Refuses(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		``: "client_metadata", `[]`: "client_metadata", `"x"`: "client_metadata", `null`: "client_metadata", `{} {}`: "client_metadata",
		`{"client_name":"a","client_name":"b"}`:                                                  "client_metadata",
		`{"redirect_uris":{}}`:                                                                   "redirect_uris",
		`{"redirect_uris":[1]}`:                                                                  "redirect_uris",
		`{"default_max_age":"soon","redirect_uris":["https://a.test/"]}`:                         "default_max_age",
		`{"application_type":"robot","redirect_uris":["https://a.test/"]}`:                       "application_type",
		`{"application_type":"web","redirect_uris":["com.example.app:/cb"]}`:                     "redirect_uris",
		`{"response_types":["id_token"],"redirect_uris":["https://a.test/"]}`:                    "response_types",
		`{"scope":"root","redirect_uris":["https://a.test/"]}`:                                   "scope",
		`{"authorization_details_types":["payment"],"redirect_uris":["https://a.test/"]}`:        "authorization_details_types",
		`{"client_name":"a\u200bb","redirect_uris":["https://a.test/"]}`:                         "name",
		`{"client_name":"` + strings.Repeat("a", 101) + `","redirect_uris":["https://a.test/"]}`: "name",
		`{"token_endpoint_auth_method":"private_key_jwt","redirect_uris":["https://a.test/"]}`:   "jwks",
	} {
		_, err := ReadRegistration([]byte(text), Terms{}, false)
		if !slices.ContainsFunc(ProblemsOf(err), func(p Problem) bool { return p.Field == field }) {
			t.Errorf("%s: %v, want a problem of %s", text, err, field)
		}
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"} {
		text := `{"redirect_uris":["https://a.test/"],"token_endpoint_auth_method":"` + method + `"}`
		if _, err := ReadRegistration([]byte(text), Terms{}, true); err == nil {
			t.Errorf("a document with %s", method)
		}
	}
	legacy := Terms{Legacy: true}
	for uri, fine := range map[string]bool{"https://a.test/": true, "http://127.0.0.1/": false, "https://localhost/": false} {
		text := `{"redirect_uris":["` + uri + `"],"response_types":["id_token"],"grant_types":["implicit"]}`
		if _, err := ReadRegistration([]byte(text), legacy, false); (err == nil) != fine { // OIDC Registration §2
			t.Errorf("implicit at %s: %v", uri, err)
		}
	}
}

// What an operator decides is not for an application to say: to it those are unknown members.
func TestReadRegistration_IgnoresWhatIsGranted(t *testing.T) {
	t.Parallel()
	got, err := ReadRegistration([]byte(`{"redirect_uris":["https://a.test/"],"token_exchange_clients":["bank"],"token_exchange_impersonation":true,
		"jwt_bearer_issuers":["corp"],"first_party":true,"require_pkce":false,"require_mfa":false,"access_token_format":"opaque","audiences":["https://bank.test"],
		"quarantined":false,"allowed_origins":["https://evil.test"],"access_token_ttl":86400}`), Terms{RequirePKCE: true}, false)
	m := got.Metadata
	if err != nil || m.ExchangeClients != nil || m.Impersonates || m.TrustedIssuers != nil || m.FirstParty || !m.RequirePKCE ||
		m.AccessTokenFormat != FormatJWT || m.Audiences != nil || m.AllowedOrigins != nil || m.AccessTokenTTL != 0 {
		t.Errorf("%v %+v", err, m)
	}
}

// RFC 7591 §2.3: what a statement says goes before what the request says.
func TestOverride(t *testing.T) {
	t.Parallel()
	out, err := Override([]byte(`{"client_name":"Mine","scope":"openid","logo_uri":"https://a.test/l.png"}`), []byte(`{"client_name":"Theirs","software_id":"s1"}`))
	var got map[string]string
	if err := errors.Join(err, json.Unmarshal(out, &got)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"client_name": "Theirs", "scope": "openid", "logo_uri": "https://a.test/l.png", "software_id": "s1"}, got); d != "" {
		t.Error(d)
	}
}

// FuzzReadRegistration: nothing that comes out breaks a rule or carries what only an operator grants,
// and what is told about it reads as the same registration again.
func FuzzReadRegistration(f *testing.F) {
	for _, text := range []string{
		`{"redirect_uris":["https://a.test/cb"]}`, `{"redirect_uris":["com.example.app:/cb"],"application_type":"native"}`,
		`{"grant_types":["client_credentials"],"scope":"read"}`, `{"a":{"b":[null,1e9]},"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"none"}`,
		`{"redirect_uris":["https://a.test/cb"],"response_types":["code id_token"],"jwks":{"keys":[]},"default_max_age":3}`, `null`, `{"client_name":`,
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, document bool) {
		terms := Terms{Legacy: true, Scopes: []string{"openid", "offline_access", "read"}, GrantTypes: append(DefaultGrantTypes(), GrantClientCredentials)}
		got, err := ReadRegistration(raw, terms, document)
		if err != nil {
			if len(ProblemsOf(err)) == 0 {
				t.Fatalf("an error without problems: %v", err)
			}
			return
		}
		m := got.Metadata
		if err := m.Validate(got.Kind); err != nil {
			t.Fatal(err)
		}
		if m.FirstParty || m.ExchangeClients != nil || m.Impersonates || m.TrustedIssuers != nil || document && m.UsesSecret() || m.AuthMethod == None && !m.RequirePKCE {
			t.Fatalf("%+v", m)
		}
		for _, s := range m.Scopes {
			if !slices.Contains(terms.Scopes, s) {
				t.Fatalf("scope %q", s)
			}
		}
		told, err := json.Marshal((&Client{Name: got.Name, Kind: got.Kind, Metadata: m}).Describe())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadRegistration(told, terms, document)
		if err != nil || again.Kind != got.Kind || again.Name != got.Name || !sameMetadata(again.Metadata, m) {
			t.Fatalf("%v\n%+v\n%+v", err, m, again.Metadata)
		}
	})
}
