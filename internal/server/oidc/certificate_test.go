package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/server"
)

func newCertificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))))
}

func pemOf(list ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range list {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

func structured(c *x509.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":"
}

// escaped is how nginx and Envoy encode: everything but letters, digits and a few marks, + included.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// seen is what the endpoints make of a request that arrives from an address.
func seen(t testing.TB, header, from string, h http.Header, conn *tls.ConnectionState) (names []string) {
	t.Helper()
	e := &Endpoints{certificates: header}
	s := must(server.New(server.Deps{Issuer: issuer, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Log: slog.New(slog.DiscardHandler)}, []server.Route{
		protocol("POST", "/x", func(_ http.ResponseWriter, r *http.Request) error {
			cert, chain := e.certificate(r)
			if cert != nil {
				for _, c := range append([]*x509.Certificate{cert}, chain...) {
					names = append(names, c.Subject.CommonName)
				}
			}
			return nil
		}),
	}))
	req := httptest.NewRequest("POST", issuer+"/x", nil)
	req.RemoteAddr, req.Header, req.TLS = from, h, conn
	s.ServeHTTP(httptest.NewRecorder(), req)
	return names
}

// TestCertificate_FromProxies: each notation, from trusted proxies only, in the configured header only.
// What cannot be read, or could be somebody else's, is no certificate (RFC 9440 §4, RFC 8705 §6.5).
func TestCertificate_FromProxies(t *testing.T) {
	t.Parallel()
	a, b := newCertificate(t, "a"), newCertificate(t, "b")
	const proxy, stranger = "10.1.2.3:4", "192.0.2.1:5"
	for name, tc := range map[string]struct {
		header string
		sent   http.Header
		want   string
	}{
		"RFC 9440":             {headerRFC9440, http.Header{"Client-Cert": {structured(a)}}, "a"},
		"RFC 9440, chain":      {headerRFC9440, http.Header{"Client-Cert": {structured(a)}, "Client-Cert-Chain": {structured(b) + ", " + structured(b)}}, "a b b"},
		"RFC 9440, two":        {headerRFC9440, http.Header{"Client-Cert": {structured(a), structured(b)}}, ""},
		"RFC 9440, two in one": {headerRFC9440, http.Header{"Client-Cert": {structured(a) + ", " + structured(b)}}, ""},
		"RFC 9440, bare":       {headerRFC9440, http.Header{"Client-Cert": {strings.Trim(structured(a), ":")}}, ""},
		"RFC 9440, PEM":        {headerRFC9440, http.Header{"Client-Cert": {escaped(pemOf(a))}}, ""},
		"RFC 9440, garbage":    {headerRFC9440, http.Header{"Client-Cert": {":AAAA:"}}, ""},
		"RFC 9440, empty":      {headerRFC9440, http.Header{"Client-Cert": {""}}, ""},
		"RFC 9440, huge":       {headerRFC9440, http.Header{"Client-Cert": {":" + strings.Repeat("A", 1<<20) + ":"}}, ""},
		"nginx":                {headerNginx, http.Header{"X-Client-Cert": {escaped(pemOf(a))}}, "a"},
		"nginx, more":          {headerNginx, http.Header{"X-Client-Cert": {escaped(pemOf(a, b))}}, "a b"},
		"nginx, key":           {headerNginx, http.Header{"X-Client-Cert": {escaped("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}}, ""},
		"nginx, text behind":   {headerNginx, http.Header{"X-Client-Cert": {escaped(pemOf(a) + "x")}}, ""},
		"nginx, none":          {headerNginx, http.Header{"X-Client-Cert": {""}}, ""},
		"nginx, bad escape":    {headerNginx, http.Header{"X-Client-Cert": {"%zz"}}, ""},
		"Envoy":                {headerEnvoy, http.Header{"X-Forwarded-Client-Cert": {`By=spiffe://x;Hash=00;Cert="` + escaped(pemOf(a)) + `";Subject="CN=a\",b;Cert=x";URI=`}}, "a"},
		"Envoy, chain":         {headerEnvoy, http.Header{"X-Forwarded-Client-Cert": {`Cert="` + escaped(pemOf(a)) + `";Chain="` + escaped(pemOf(a, b)) + `"`}}, "a b"},
		"Envoy, two elements":  {headerEnvoy, http.Header{"X-Forwarded-Client-Cert": {`Cert="` + escaped(pemOf(a)) + `",Cert="` + escaped(pemOf(b)) + `"`}}, ""},
		"Envoy, two in one":    {headerEnvoy, http.Header{"X-Forwarded-Client-Cert": {`Cert="` + escaped(pemOf(a)) + `";Cert="` + escaped(pemOf(b)) + `"`}}, ""},
		"Envoy, hash only":     {headerEnvoy, http.Header{"X-Forwarded-Client-Cert": {`Hash=00`}}, ""},
		"other header":         {headerNginx, http.Header{"Client-Cert": {structured(a)}}, ""},
		"not configured":       {"", http.Header{"Client-Cert": {structured(a)}, "X-Client-Cert": {escaped(pemOf(a))}}, ""},
	} {
		if got := strings.Join(seen(t, tc.header, proxy, tc.sent, nil), " "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		if got := seen(t, tc.header, stranger, tc.sent, nil); got != nil {
			t.Errorf("%s: believed from a stranger: %q", name, got)
		}
	}
	// Our own handshake is better than anybody's word.
	conn := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{b, a}}
	if got := strings.Join(seen(t, headerRFC9440, proxy, http.Header{"Client-Cert": {structured(a)}}, conn), " "); got != "b a" {
		t.Errorf("%q", got)
	}
}

func FuzzCertificateHeader(f *testing.F) {
	a := newCertificate(f, "a")
	f.Add(structured(a), "")
	f.Add(escaped(pemOf(a)), structured(a))
	f.Add(`By=x;Cert="`+escaped(pemOf(a))+`";Subject="CN=\"a,b\""`, "")
	f.Add(`Cert="";Chain=",`, ":::")
	f.Fuzz(func(t *testing.T, value, chain string) {
		for _, read := range []func(string) (*x509.Certificate, []*x509.Certificate){
			func(s string) (*x509.Certificate, []*x509.Certificate) { return fromStructured(s, chain) }, fromEscaped, fromEnvoy,
		} {
			cert, rest := read(value)
			if cert == nil && rest != nil || len(rest) > maxChain {
				t.Fatalf("%q: %v and %d more", value, cert, len(rest))
			}
			if cert != nil && len(cert.Raw) == 0 {
				t.Fatalf("%q: an empty certificate", value)
			}
		}
	})
}
