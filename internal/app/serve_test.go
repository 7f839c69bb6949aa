package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"signet/internal/app"
	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/internal/server"
)

// TestServe_TLSFromFiles: an https issuer with its own certificate, HTTP/2, HSTS, and cookies
// that only https sees.
func TestServe_TLSFromFiles(t *testing.T) {
	t.Parallel()
	sample := httptest.NewTLSServer(http.NotFoundHandler()) // only for its certificate
	defer sample.Close()
	pair := sample.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := apptest.Config("https://id.example.com")
	cfg.Listen = "127.0.0.1:0"
	cfg.TLS.CertFile, cfg.TLS.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a, err := app.New(t.Context(), cfg, app.Options{DB: storetest.Open(t, store.SQLite)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+a.Addr()+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "id.example.com"
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusSeeOther || !strings.Contains(resp.Header.Get("Strict-Transport-Security"), "max-age=63072000") {
		t.Errorf("%s %d %v", resp.Proto, resp.StatusCode, resp.Header)
	}
	for _, cookie := range resp.Cookies() {
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("cookie %+v", cookie)
		}
	}
	if len(resp.Cookies()) == 0 {
		t.Error("no cookie was set")
	}
	plain, err := http.Get("http://" + a.Addr() + "/login")
	if err == nil {
		_ = plain.Body.Close()
		if plain.StatusCode < 400 || plain.Header.Get("Location") != "" {
			t.Errorf("plain http on the TLS port: %d %s", plain.StatusCode, plain.Header.Get("Location"))
		}
	}
}

// TestKeys_AlgorithmOfANewClient: a client that wants EdDSA gets a key for it, without a
// restart.
func TestKeys_AlgorithmOfANewClient(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{})
	a.RP(t, client.Web, func(m *client.Metadata) { m.IDTokenAlg = "EdDSA" })
	eventually(t, "a key for EdDSA", func() bool { return slices.Contains(a.Keys.Algs(), "EdDSA") })
	_, body := get(t, a.URL+"/.well-known/jwks.json")
	var set struct{ Keys []struct{ Alg string } }
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 3 {
		t.Errorf("%v %s", err, body)
	}
}

// everythingOn switches on what adds routes.
func everythingOn(c *config.Config) {
	c.Register.Mode = "open"
	c.OAuth.ClientDocuments, c.OAuth.LegacyResponseTypes, c.OAuth.RequestURIs, c.OAuth.RequestObjects = true, true, true, "unsigned"
}

// TestRoutes_TheWholeTable goes through every route that exists: methods that it does not have
// are refused, browser posts without our origin are refused, nothing answers 5xx, and every
// answer has its headers. A new route is covered the day it is added.
func TestRoutes_TheWholeTable(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: everythingOn})
	methods := map[string][]string{}
	documents := map[string]bool{} // same for everybody, without the headers of pages and log lines
	for _, r := range a.Routes() {
		methods[r.Path] = append(methods[r.Path], r.Method)
		documents[r.Path] = documents[r.Path] || r.Document
	}
	open := []string{}
	send := func(method, path string, headers ...string) *http.Response {
		t.Helper()
		path = strings.NewReplacer("{journey}", "01a1fff2-8c58-72e2-abe0-4ea241024e24", "{file}", "none.css").Replace(path)
		req, err := http.NewRequestWithContext(t.Context(), method, a.URL+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := a.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := []string{"X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"}
		if !documents[path] {
			want = append(want, "Referrer-Policy", "X-Frame-Options", "X-Request-Id")
		}
		for _, h := range want {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s %s (%d) lacks %s", method, path, resp.StatusCode, h)
			}
		}
		if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s %s: %d", method, path, resp.StatusCode)
		}
		return resp
	}
	for _, r := range a.Routes() {
		send(r.Method, r.Path, "Origin", a.URL)
		if r.Area != server.Browser || r.Method != http.MethodPost {
			continue
		}
		for name, headers := range map[string][]string{
			"no header":  nil,
			"cross-site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			"sibling":    {"Sec-Fetch-Site", "same-site", "Origin", "https://app.example.com"},
			"null":       {"Origin", "null"},
		} {
			resp := send(r.Method, r.Path, headers...)
			switch {
			case r.CrossSite && name == "cross-site":
				open = append(open, r.Path)
			case !r.CrossSite && resp.StatusCode != http.StatusForbidden:
				t.Errorf("%s %s from %s: %d, want 403", r.Method, r.Path, name, resp.StatusCode)
			}
		}
	}
	// Decision: only these may be posted to from other sites; each answers a POST with a GET.
	slices.Sort(open)
	if want := []string{"/oauth2/authorize", "/oauth2/logout"}; !slices.Equal(open, want) {
		t.Errorf("open to other sites: %v, want %v", open, want)
	}
	for path, has := range methods {
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if slices.Contains(has, m) {
				continue
			}
			if resp := send(m, path); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
				t.Errorf("%s %s: %d, Allow %q", m, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
	}
}
