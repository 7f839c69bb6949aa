package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t *testing.T, by *issued, edit func(c *x509.Certificate)) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
	edit(c)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert, key}
}

func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const mutualURL = "https://mtls.id.example.com"

// mutualApp is a server with a listener for certificates, and the authority that it trusts.
func mutualApp(t *testing.T, edit func(c *config.Config)) (*app.App, issued) {
	t.Helper()
	ca := issue(t, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.KeyUsage = "authority", true, x509.KeyUsageCertSign
	})
	host := issue(t, nil, func(c *x509.Certificate) { c.DNSNames = []string{"id.example.com", "mtls.id.example.com"} })
	key, err := x509.MarshalPKCS8PrivateKey(host.key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := apptest.Config("https://id.example.com")
	cfg.Listen = "127.0.0.1:0"
	cfg.TLS.CertFile, cfg.TLS.KeyFile = writePEM(t, "cert.pem", "CERTIFICATE", host.cert.Raw), writePEM(t, "key.pem", "PRIVATE KEY", key)
	cfg.MTLS.URL, cfg.MTLS.CAFile = mutualURL, writePEM(t, "ca.pem", "CERTIFICATE", ca.cert.Raw)
	edit(cfg)
	a, err := app.New(t.Context(), cfg, app.Options{DB: storetest.Open(t, store.SQLite), NewKey: apptest.Keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, ca
}

// speak sends one request to an address under a host name, with a certificate or without.
func speak(t *testing.T, addr, host, method, path string, form url.Values, with *issued, edit func(*http.Request)) (int, map[string]any) {
	t.Helper()
	secure := &tls.Config{InsecureSkipVerify: true}
	if with != nil {
		secure.Certificates = []tls.Certificate{{Certificate: [][]byte{with.cert.Raw}, PrivateKey: with.key}}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+addr+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if edit != nil {
		edit(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var m map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&m)
	return resp.StatusCode, m
}

func newMachine(t *testing.T, a *app.App, edit func(m *client.Metadata)) string {
	t.Helper()
	m := client.Defaults(client.Machine)
	edit(&m)
	c, _, err := a.Clients.Create(t.Context(), client.NewClient{Name: "Robot", Kind: client.Machine, Metadata: m})
	if err != nil {
		t.Fatal(err)
	}
	return string(c.ID)
}

// TestMutual_OverTheWire: a client authenticates by the certificate of a real handshake, gets a token
// that is bound to it, and finds nothing else at that listener; the public one asks nobody (RFC 8705 §2.1, §3, §5).
func TestMutual_OverTheWire(t *testing.T) {
	t.Parallel()
	a, ca := mutualApp(t, func(c *config.Config) { c.MTLS.Listen = "127.0.0.1:0" })
	leaf := func(by *issued) issued {
		return issue(t, by, func(c *x509.Certificate) {
			c.Subject, c.ExtKeyUsage = pkix.Name{CommonName: "robot", Organization: []string{"Example"}}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})
	}
	own, forged := leaf(&ca), leaf(nil)
	id := newMachine(t, a, func(m *client.Metadata) {
		m.AuthMethod, m.TLSSubjectDN, m.CertificateBound = client.TLS, "CN=robot,O=Example", true
	})
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
	const host = "mtls.id.example.com"

	status, m := speak(t, a.Mutual(), host, "POST", "/oauth2/token", form, &own, nil)
	if status != 200 || m["token_type"] != "Bearer" {
		t.Fatalf("%d %v", status, m)
	}
	var claims struct {
		Confirm map[string]string `json:"cnf"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(m["access_token"].(string), ".")[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil || len(claims.Confirm["x5t#S256"]) != 43 {
		t.Errorf("%s", raw)
	}
	for name, with := range map[string]*issued{"none": nil, "forged": &forged} {
		if status, m := speak(t, a.Mutual(), host, "POST", "/oauth2/token", form, with, nil); status != 401 || m["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, m)
		}
	}
	// The public listener does not ask, so nothing arrives there.
	if status, m := speak(t, a.Addr(), "id.example.com", "POST", "/oauth2/token", form, &own, nil); status != 401 || m["error"] != "invalid_client" {
		t.Errorf("at the public listener: %d %v", status, m)
	}
	for _, path := range []string{"/login", "/oauth2/authorize", "/.well-known/openid-configuration", "/account"} {
		if status, _ := speak(t, a.Mutual(), host, "GET", path, nil, &own, nil); status != 404 {
			t.Errorf("%s at the listener for certificates: %d", path, status)
		}
	}
	if status, _ := speak(t, a.Mutual(), "id.example.com", "POST", "/oauth2/token", form, &own, nil); status != 421 {
		t.Errorf("under the issuer's name: %d", status)
	}
	status, m = speak(t, a.Addr(), "id.example.com", "GET", "/.well-known/openid-configuration", nil, nil, nil)
	aliases, _ := m["mtls_endpoint_aliases"].(map[string]any)
	if status != 200 || aliases["token_endpoint"] != mutualURL+"/oauth2/token" {
		t.Errorf("%d %v", status, m)
	}
	if _, _, err := net.SplitHostPort(a.Mutual()); err != nil {
		t.Error(err)
	}
}

// TestMutual_ThroughProxy: what a trusted proxy passes on counts as if the handshake had been ours, under the
// name that has the handshake: mtls.url, or the issuer's where there is none. Under the issuer's own name
// beside mtls.url it is what anybody sent.
func TestMutual_ThroughProxy(t *testing.T) {
	t.Parallel()
	type setting struct {
		trusted bool
		url     string
	}
	for _, s := range []setting{{true, mutualURL}, {true, ""}, {true, "https://id.example.com"}, {false, mutualURL}, {false, ""}} {
		trusted := s.trusted
		a, ca := mutualApp(t, func(c *config.Config) {
			c.MTLS.Header, c.MTLS.URL = "Client-Cert", s.url
			c.Proxy.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			if !trusted {
				c.Proxy.Trusted[0] = netip.MustParsePrefix("192.0.2.0/24")
			}
		})
		own := issue(t, &ca, func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/robot"}}
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})
		id := newMachine(t, a, func(m *client.Metadata) { m.AuthMethod, m.TLSSANURI = client.TLS, "spiffe://example.com/robot" })
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
		for _, host := range []string{"id.example.com", "mtls.id.example.com"} {
			want := 401
			switch own := s.url == mutualURL; {
			case !own && host != "id.example.com":
				want = 421
			case trusted && own == (host != "id.example.com"):
				want = 200
			}
			status, m := speak(t, a.Addr(), host, "POST", "/oauth2/token", form, nil, func(r *http.Request) {
				r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(own.cert.Raw)+":")
				r.Header.Set("X-Forwarded-Proto", "https")
			})
			if status != want {
				t.Errorf("%+v, %s: %d %v, want %d", s, host, status, m, want)
			}
		}
		if status, _ := speak(t, a.Addr(), "mtls.id.example.com", "GET", "/login", nil, nil, nil); status != 421 {
			t.Errorf("a page under the alias: %d", status)
		}
	}
}

// TestMutual_BadAuthorities: a file that holds no certificate stops the start, and says why.
func TestMutual_BadAuthorities(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none.pem"), "empty": writePEM(t, "key.pem", "PRIVATE KEY", []byte("x"))} {
		cfg := apptest.Config("https://id.example.com")
		cfg.MTLS.CAFile = path
		if _, err := app.New(t.Context(), cfg, app.Options{DB: storetest.Open(t, store.SQLite), NewKey: apptest.Keys(t)}); err == nil || !strings.Contains(err.Error(), "mtls.ca_file") {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint(app.CheckServe(cfg)); !strings.Contains(got, "{mtls.ca_file ") {
			t.Errorf("%s: config check: %s", name, got)
		}
	}
}
