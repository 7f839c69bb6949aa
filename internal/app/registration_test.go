package app_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/oauth/registration"
)

// object is a JSON object.
type object = map[string]any

// call sends JSON as an application does and returns status, header and the decoded answer.
func call(t *testing.T, a *apptest.App, method, address, token string, body any) (int, http.Header, object) {
	t.Helper()
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := a.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%d %s: %v", res.StatusCode, text, err)
		}
	}
	return res.StatusCode, res.Header, out
}

func text(o object, name string) string { s, _ := o[name].(string); return s }

// site is somebody's web server: a client's documents and pictures. It counts what it is asked.
type site struct {
	*httptest.Server
	asked atomic.Int64
	files map[string]string // path → JSON
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{files: map[string]string{}}
	var logo bytes.Buffer
	if err := png.Encode(&logo, image.NewGray(image.Rect(0, 0, 300, 300))); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if r.URL.Path == "/logo.png" {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(logo.Bytes())
			return
		}
		if text, ok := s.files[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func open(c *config.Config) {
	c.Register.Mode = "open"
	c.OAuth.ClientDocuments = true
}

// TestRegistration_Answer: what the registration modules of the OpenID conformance suite look at
// (OIDC Registration §3.2, RFC 7591 §3.2.1, RFC 7592 §2): 201 with JSON, every member that was
// registered, working management, 204 for the end.
func TestRegistration_Answer(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: open}, func(t *testing.T, a *apptest.App) {
		_, _, meta := call(t, a, http.MethodGet, a.URL+"/.well-known/openid-configuration", "", nil)
		endpoint := text(meta, "registration_endpoint")
		if endpoint != a.URL+"/oauth2/register" || meta["client_id_metadata_document_supported"] != true {
			t.Fatalf("discovery: %v, %v", endpoint, meta["client_id_metadata_document_supported"])
		}
		_, _, same := call(t, a, http.MethodGet, a.URL+"/.well-known/oauth-authorization-server", "", nil)
		if text(same, "registration_endpoint") != endpoint { // RFC 8414 §3
			t.Errorf("RFC 8414 metadata: %v", same["registration_endpoint"])
		}
		asked := object{
			"client_name": "Suite", "redirect_uris": []string{"https://suite.example/a/callback"}, "grant_types": []string{"authorization_code"},
			"response_types": []string{"code"}, "token_endpoint_auth_method": "client_secret_basic", "contacts": []string{"suite@example.com"},
			"initiate_login_uri": "https://suite.example/start", "logo_uri": "https://suite.example/logo.png",
			"policy_uri": "https://suite.example/policy", "tos_uri": "https://suite.example/tos", "client_uri": "https://suite.example/",
			"userinfo_signed_response_alg": "RS256", "default_max_age": 3600.0, "subject_type": "public", "nobody_knows_this": true,
		}
		status, header, made := call(t, a, http.MethodPost, endpoint, "", asked)
		if status != http.StatusCreated || header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %v", status, header, made)
		}
		for name, want := range asked {
			if got, _ := json.Marshal(made[name]); name != "nobody_knows_this" && string(got) != mustJSON(t, want) {
				t.Errorf("%s: %s, want %v", name, got, want)
			}
		}
		if made["nobody_knows_this"] != nil { // RFC 7591 §2: ignored, so not registered
			t.Error("an unknown member was registered")
		}
		if made["id_token_signed_response_alg"] != "RS256" { // OIDC Registration §2: the default
			t.Errorf("id_token_signed_response_alg: %v", made["id_token_signed_response_alg"])
		}
		if text(made, "client_secret") == "" || made["client_secret_expires_at"] != 0.0 || made["client_id_issued_at"] == nil {
			t.Errorf("credentials: %v", made)
		}
		uri, token := text(made, "registration_client_uri"), text(made, "registration_access_token")
		status, header, read := call(t, a, http.MethodGet, uri, token, nil)
		if status != http.StatusOK || header.Get("Content-Type") != "application/json" || read["initiate_login_uri"] != asked["initiate_login_uri"] {
			t.Errorf("read: %d %v", status, read)
		}
		if read["registration_access_token"] != token || read["registration_client_uri"] != uri { // RFC 7592 §3
			t.Errorf("read: %v", read)
		}
		if status, _, _ := call(t, a, http.MethodDelete, uri, token, nil); status != http.StatusNoContent {
			t.Errorf("delete: %d", status)
		}
		status, header, _ = call(t, a, http.MethodGet, uri, token, nil)
		if status != http.StatusUnauthorized || !strings.Contains(header.Get("WWW-Authenticate"), `error="invalid_token"`) { // RFC 7592 §2.1
			t.Errorf("after the end: %d %v", status, header)
		}
	})
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRegistration_Refuses: oidcc-redirect-uri-regfrag, oidcc-registration-sector-bad and
// oidcc-3rd_party-init-login-nohttps of the conformance suite, and their relatives.
func TestRegistration_Refuses(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: func(c *config.Config) { open(c); c.Register.PerNetwork = 1000 }})
	for name, c := range map[string]struct {
		change object
		code   string
	}{
		"fragment (RFC 6749 §3.1.2)":          {object{"redirect_uris": []string{"https://suite.example/cb#f"}}, "invalid_redirect_uri"},
		"no redirect URI":                     {object{"redirect_uris": nil}, "invalid_redirect_uri"},
		"javascript (RFC 7591 §5)":            {object{"redirect_uris": []string{"javascript:alert(1)"}}, "invalid_redirect_uri"},
		"http (OIDC Registration §2)":         {object{"redirect_uris": []string{"http://suite.example/cb"}}, "invalid_redirect_uri"},
		"initiate_login_uri over http":        {object{"initiate_login_uri": "http://suite.example/start"}, "invalid_client_metadata"},
		"sector that cannot be read":          {object{"sector_identifier_uri": "https://127.0.0.1:1/uris.json"}, "invalid_client_metadata"},
		"sector over http (OIDC Core §8.1)":   {object{"sector_identifier_uri": "http://localhost/uris.json"}, "invalid_client_metadata"},
		"pairwise with two hosts":             {object{"subject_type": "pairwise", "redirect_uris": []string{"https://a.example/", "https://b.example/"}}, "invalid_client_metadata"},
		"implicit (RFC 9700 §2.1.2)":          {object{"response_types": []string{"id_token"}, "grant_types": []string{"implicit"}}, "invalid_client_metadata"},
		"hybrid":                              {object{"response_types": []string{"code id_token"}, "grant_types": []string{"authorization_code", "implicit"}}, "invalid_client_metadata"},
		"client_credentials, open":            {object{"redirect_uris": nil, "grant_types": []string{"client_credentials"}}, "invalid_client_metadata"},
		"password":                            {object{"grant_types": []string{"password"}}, "invalid_client_metadata"},
		"unsigned ID token":                   {object{"id_token_signed_response_alg": "none"}, "invalid_client_metadata"},
		"HS256":                               {object{"id_token_signed_response_alg": "HS256"}, "invalid_client_metadata"},
		"RSA1_5":                              {object{"userinfo_encrypted_response_alg": "RSA1_5"}, "invalid_client_metadata"},
		"unknown method":                      {object{"token_endpoint_auth_method": "secret_handshake"}, "invalid_client_metadata"},
		"keys twice":                          {object{"jwks_uri": "https://suite.example/jwks", "jwks": object{"keys": []any{}}}, "invalid_client_metadata"},
		"a private key":                       {object{"jwks": object{"keys": []any{object{"kty": "oct", "k": "AAAA"}}}}, "invalid_client_metadata"},
		"a scope of nobody":                   {object{"scope": "admin"}, "invalid_client_metadata"},
		"wrong type":                          {object{"contacts": "suite@example.com"}, "invalid_client_metadata"},
		"name with a direction (RFC 7591 §5)": {object{"client_name": "\u202eevil"}, "invalid_client_metadata"},
		"policy that is script":               {object{"policy_uri": "javascript:alert(1)"}, "invalid_client_metadata"},
		"a logo in the data":                  {object{"logo_uri": "data:image/png;base64,AA"}, "invalid_client_metadata"},
		"details":                             {object{"authorization_details_types": []string{"payment"}}, "invalid_client_metadata"},
	} {
		body := object{"redirect_uris": []string{"https://suite.example/cb"}}
		for k, v := range c.change {
			body[k] = v
		}
		status, header, got := call(t, a, http.MethodPost, a.URL+"/oauth2/register", "", body)
		if status != http.StatusBadRequest || text(got, "error") != c.code || header.Get("Content-Type") != "application/json" || text(got, "error_description") == "" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	if n := a.Count(t, "client"); n != 0 {
		t.Errorf("%d clients", n)
	}
}

// TestRegistration_LoginPage: oidcc-registration-logo-uri, -policy-uri and -tos-uri want all three on
// the login page (OIDC Registration §2). The logo is our copy; nothing on the page is of elsewhere.
func TestRegistration_LoginPage(t *testing.T) {
	t.Parallel()
	rp := newSite(t)
	a := apptest.Start(t, apptest.Options{Config: open})
	_, _, made := call(t, a, http.MethodPost, a.URL+"/oauth2/register", "", object{
		"client_name": "Night <Owl>", "redirect_uris": []string{"https://owl.example/cb"}, "logo_uri": rp.URL + "/logo.png",
		"policy_uri": "https://owl.example/policy", "tos_uri": "https://owl.example/tos",
	})
	owl := a.Known(t, text(made, "client_id"), text(made, "client_secret"), "https://owl.example/cb", "openid profile")
	b := a.Browser(t)
	page := b.Open(owl.AuthURL())
	for _, want := range []string{`href="https://owl.example/policy"`, `href="https://owl.example/tos"`, "Night &lt;Owl&gt;", `src="/client-logo?`} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("no %s on the login page:\n%s", want, page)
		}
	}
	_, rest, _ := strings.Cut(page.Body, `src="/client-logo?`)
	query, _, _ := strings.Cut(rest, `"`)
	for range 2 {
		res, err := a.Client().Get(a.URL + "/client-logo?" + strings.ReplaceAll(query, "&amp;", "&"))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(res.Body)
		if err != nil || img.Bounds().Dx() > 128 || res.Header.Get("Content-Type") != "image/png" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("logo: %v %v", res.Header, err)
		}
		_ = res.Body.Close()
	}
	if n := rp.asked.Load(); n != 1 {
		t.Errorf("the logo was fetched %d times", n)
	}
	// Nobody vouched for it, and the consent page says so.
	if page := b.Login(a.Person(t)); !strings.Contains(page.Text(), "Unverified application") || !strings.Contains(page.Text(), "owl.example") {
		t.Errorf("consent:\n%s", page)
	}
	if tokens := owl.Exchange(b.Click("answer=allow")); apptest.Claims(t, tokens.IDToken)["aud"] != string(owl.ID) {
		t.Error("no tokens")
	}
	// An operator looked at it.
	if err := a.Clients.Approve(t.Context(), owl.ID); err != nil {
		t.Fatal(err)
	}
	if page := b.Open(owl.AuthURL("prompt", "consent")); strings.Contains(page.Text(), "Unverified") {
		t.Errorf("after approval:\n%s", page)
	}
}

// TestRegistration_Token: with an initial access token nobody is quarantined, each use counts once,
// and machine clients are possible (RFC 7591 §1.2, §3).
func TestRegistration_Token(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: func(c *config.Config) { c.Register.Mode = "token" }}, func(t *testing.T, a *apptest.App) {
		if _, err := a.Clients.CreateAPI(t.Context(), client.API{Audience: "https://api.test/", Name: "API", Scopes: map[string]string{"read": "r"}}); err != nil {
			t.Fatal(err)
		}
		_, token, err := a.Register.Create(t.Context(), registration.NewInitial{Uses: 1, Policy: registration.Grant{Scopes: []string{"read"}}})
		if err != nil {
			t.Fatal(err)
		}
		body := object{"grant_types": []string{"client_credentials"}, "client_name": "Robot"}
		for _, wrong := range []string{"", "sgn_iat_nonsense", token.Reveal() + "x"} {
			status, header, got := call(t, a, http.MethodPost, a.URL+"/oauth2/register", wrong, body)
			if status != http.StatusUnauthorized || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%q: %d %v", wrong, status, got)
			}
		}
		// A mistake costs no use.
		if status, _, _ := call(t, a, http.MethodPost, a.URL+"/oauth2/register", token.Reveal(), object{"grant_types": []string{"password"}}); status != http.StatusBadRequest {
			t.Errorf("mistake: %d", status)
		}
		status, _, made := call(t, a, http.MethodPost, a.URL+"/oauth2/register", token.Reveal(), body)
		if status != http.StatusCreated || text(made, "scope") != "read" {
			t.Fatalf("%d %v", status, made)
		}
		if status, _, _ := call(t, a, http.MethodPost, a.URL+"/oauth2/register", token.Reveal(), body); status != http.StatusUnauthorized {
			t.Errorf("second use: %d", status)
		}
		robot := a.Known(t, text(made, "client_id"), text(made, "client_secret"), "", "read")
		got := robot.Token("grant_type", "client_credentials", "scope", "read", "resource", "https://api.test/")
		if got.Status != http.StatusOK || apptest.Claims(t, got.AccessToken)["aud"] != "https://api.test/" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		c, err := a.Clients.Get(t.Context(), robot.ID)
		if err != nil || c.Metadata.Quarantined {
			t.Errorf("quarantined, %v", err)
		}
	})
}

// TestRegistration_Off: by default there is nothing to call.
func TestRegistration_Off(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{})
	res, err := a.Client().Post(a.URL+"/oauth2/register", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	_, _, meta := call(t, a, http.MethodGet, a.URL+"/.well-known/openid-configuration", "", nil)
	if res.StatusCode != http.StatusNotFound || meta["registration_endpoint"] != nil || meta["client_id_metadata_document_supported"] != nil {
		t.Errorf("%d %v", res.StatusCode, meta)
	}
}

// TestRegistration_Expires: a quarantined client that nobody uses goes, one that somebody uses stays.
func TestRegistration_Expires(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: open}, func(t *testing.T, a *apptest.App) {
		register := func() *apptest.RP {
			_, _, made := call(t, a, http.MethodPost, a.URL+"/oauth2/register", "", object{"redirect_uris": []string{"https://owl.example/cb"}})
			return a.Known(t, text(made, "client_id"), text(made, "client_secret"), "https://owl.example/cb", "openid")
		}
		used, unused := register(), register()
		b := a.Browser(t)
		b.Open(used.AuthURL())
		person := a.Person(t)
		a.Clock.Advance(6 * 24 * time.Hour)
		b.Open(used.AuthURL())
		b.Login(person)
		used.Exchange(b.Click("answer=allow"))
		a.Clock.Advance(2 * 24 * time.Hour)
		if err := a.RunJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Clients.Get(t.Context(), used.ID); err != nil {
			t.Errorf("in use, gone: %v", err)
		}
		if _, err := a.Clients.Get(t.Context(), unused.ID); err == nil {
			t.Error("not in use, still there")
		}
	})
}

// TestMCP_Document: an MCP client finds its way with no set-up: metadata, a client_id that is a URL,
// PKCE, a resource, a token for that resource (draft-ietf-oauth-client-id-metadata-document, RFC
// 8414, RFC 8707). The consent page names the host, and a refresh works without the owner's server.
func TestMCP_Document(t *testing.T) {
	t.Parallel()
	const tools = "https://tools.example/mcp"
	apptest.Each(t, apptest.Options{Config: func(c *config.Config) {
		open(c)
		c.Register.Mode = "off"
		c.Register.Scopes = []string{"openid", "offline_access", "tools.use"}
	}}, func(t *testing.T, a *apptest.App) {
		if _, err := a.Clients.CreateAPI(t.Context(), client.API{Audience: tools, Name: "Tools", Scopes: map[string]string{"tools.use": "Use tools"}}); err != nil {
			t.Fatal(err)
		}
		owner := newSite(t)
		cid := owner.URL + "/oauth/client.json"
		owner.files["/oauth/client.json"] = mustJSON(t, object{
			"client_id": cid, "client_name": "Agent", "redirect_uris": []string{"http://127.0.0.1:33418/cb"}, "grant_types": []string{"authorization_code", "refresh_token"},
			"response_types": []string{"code"}, "token_endpoint_auth_method": "none", "application_type": "native",
		})
		agent := a.Known(t, cid, "", "http://127.0.0.1:40404/cb", "offline_access tools.use")
		b := a.Browser(t)
		b.Open(agent.AuthURL("resource", tools))
		page := b.Login(a.Person(t))
		host := strings.TrimPrefix(owner.URL, "http://")
		if !strings.Contains(page.Text(), "Unverified application") || !strings.Contains(page.Text(), host) {
			t.Errorf("the consent page does not name %s:\n%s", host, page)
		}
		if n := a.Count(t, "client"); n != 0 {
			t.Errorf("%d rows before anybody consented", n)
		}
		page = b.Click("answer=allow")
		tokens := agent.Redeem(agent.Code(page), "resource", tools)
		if tokens.Status != http.StatusOK || apptest.Claims(t, tokens.AccessToken)["aud"] != tools || apptest.Claims(t, tokens.AccessToken)["client_id"] != cid {
			t.Fatalf("%d %s", tokens.Status, tokens.Body)
		}
		owner.Close()
		a.Clock.Advance(2 * time.Hour)
		if next := agent.Refresh(tokens.RefreshToken, "resource", tools); next.Status != http.StatusOK {
			t.Errorf("refresh while the owner is away: %d %s", next.Status, next.Body)
		}
		if err := a.Clients.Disable(t.Context(), agent.ID); err != nil {
			t.Fatal(err)
		}
		if page := b.Open(agent.AuthURL("resource", tools)); page.Status != http.StatusBadRequest {
			t.Errorf("disabled:\n%s", page)
		}
	})
}

// TestMCP_Registration: the same way by dynamic registration, from a page of any origin (CORS).
func TestMCP_Registration(t *testing.T) {
	t.Parallel()
	const tools, origin = "https://tools.example/mcp", "http://localhost:6274"
	a := apptest.Start(t, apptest.Options{Config: func(c *config.Config) {
		open(c)
		c.Register.Scopes, c.Register.Audiences = []string{"openid", "offline_access"}, []string{tools}
	}})
	if _, err := a.Clients.CreateAPI(t.Context(), client.API{Audience: tools, Name: "Tools"}); err != nil {
		t.Fatal(err)
	}
	_, header, meta := call(t, a, http.MethodGet, a.URL+"/.well-known/oauth-authorization-server", "", nil)
	methods, _ := meta["code_challenge_methods_supported"].([]any)
	if header.Get("Access-Control-Allow-Origin") != "*" || !slices.Contains(methods, any("S256")) {
		t.Fatalf("%v %v", header, methods)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, text(meta, "registration_endpoint"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", "POST")
	res, err := a.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %v", res.Header)
	}
	_, header, made := call(t, a, http.MethodPost, text(meta, "registration_endpoint"), "", object{
		"client_name": "Inspector", "redirect_uris": []string{origin + "/oauth/callback"}, "grant_types": []string{"authorization_code", "refresh_token"},
		"response_types": []string{"code"}, "token_endpoint_auth_method": "none", "client_uri": "https://inspector.example", "scope": "offline_access mcp:unknown",
	})
	if header.Get("Access-Control-Allow-Origin") != "*" || text(made, "client_id") == "" || made["client_secret"] != nil || text(made, "scope") != "offline_access" {
		t.Fatalf("%v %v", header, made)
	}
	agent := a.Known(t, text(made, "client_id"), "", origin+"/oauth/callback", "offline_access")
	b := a.Browser(t)
	b.Open(agent.AuthURL("resource", tools))
	b.Login(a.Person(t))
	code := agent.Code(b.Click("answer=allow"))
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {agent.Redirect}, "code_verifier": {agent.Verifier},
		"client_id": {string(agent.ID)}, "resource": {tools},
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	res, err = a.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&tokens); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	if res.Header.Get("Access-Control-Allow-Origin") != origin || apptest.Claims(t, tokens.AccessToken)["aud"] != tools {
		t.Errorf("%v %v", res.Header, apptest.Claims(t, tokens.AccessToken))
	}
}
