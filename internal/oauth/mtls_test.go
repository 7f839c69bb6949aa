package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCertificate(t testing.TB, edit func(c *x509.Certificate), by *authority) authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer))
	return authority{must(x509.ParseCertificate(der)), key}
}

func newAuthority(t testing.TB, by *authority) authority {
	return newCertificate(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage = "authority "+id.New(), true, true, nil
		c.KeyUsage = x509.KeyUsageCertSign
	}, by)
}

// shown is a call over a connection with a certificate.
func shown(call Call, cert *x509.Certificate, chain ...*x509.Certificate) Call {
	call.Certificate, call.Chain = cert, chain
	return call
}

// certified registers a machine whose method is a certificate.
func (r *rig) certified(method client.AuthMethod, edit func(m *client.Metadata)) id.Client {
	return r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod = method; edit(m) })
}

// TestTLSClientAuth: a chain to an authority of ours and the one registered name (RFC 8705 §2.1).
func TestTLSClientAuth(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	ca, foreign := newAuthority(t, nil), newAuthority(t, nil)
	between := newAuthority(t, &ca)
	r.authorities = x509.NewCertPool()
	r.authorities.AddCert(ca.cert)
	full := func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"KR"}, Organization: []string{"Example, Inc."}, CommonName: "shop"}
		c.DNSNames, c.EmailAddresses = []string{"a.shop.test", "shop.test"}, []string{"shop@rp.test"}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::1")}
		c.URIs = []*url.URL{must(url.Parse("spiffe://rp.test/shop"))}
	}
	leaf := newCertificate(t, full, &ca)
	try := func(c id.Client, cert *x509.Certificate, chain ...*x509.Certificate) error {
		_, err := r.Token(t.Context(), shown(post(http.Header{}, credentialsForm("client_id", string(c))), cert, chain...))
		return err
	}
	register := func(name, value string) id.Client {
		return r.certified(client.TLS, func(m *client.Metadata) { check(t, m.Set(name, value)) })
	}
	for _, tc := range []struct{ name, good, bad string }{
		{"tls_client_auth_subject_dn", `CN=shop,O=Example\, Inc.,C=KR`, `CN=shop,O=Example,C=KR`},
		{"tls_client_auth_subject_dn", `CN = shop, O = Example\, Inc., C = KR`, `C=KR,O=Example\, Inc.,CN=shop`}, // the order counts
		{"tls_client_auth_subject_dn", `2.5.4.3=#0c0473686f70,O=Example\2C Inc.,C=KR`, `CN=shop`},
		{"tls_client_auth_san_dns", "shop.test", "test"},
		{"tls_client_auth_san_dns", "A.SHOP.TEST", "*.shop.test"},
		{"tls_client_auth_san_email", "shop@rp.test", "Shop@rp.test"},
		{"tls_client_auth_san_ip", "192.0.2.7", "192.0.2.8"},
		{"tls_client_auth_san_ip", "2001:0db8:0::1", "::ffff:192.0.2.8"},
		{"tls_client_auth_san_uri", "spiffe://rp.test/shop", "spiffe://rp.test/shop/"},
	} {
		if err := try(register(tc.name, tc.good), leaf.cert); err != nil {
			t.Errorf("%s %s: %v", tc.name, tc.good, err)
		}
		if e := wantCode(t, try(register(tc.name, tc.bad), leaf.cert), InvalidClient); e == nil || e.Status != 401 || e.Challenge != "" {
			t.Errorf("%s %s: %v", tc.name, tc.bad, e)
		}
	}
	c := register("tls_client_auth_san_dns", "shop.test")
	chained := newCertificate(t, full, &between)
	wantCode(t, try(c, chained.cert, between.cert), "")
	for name, err := range map[string]error{
		"no certificate":      try(c, nil),
		"no chain":            try(c, chained.cert),
		"foreign authority":   try(c, newCertificate(t, full, &foreign).cert),
		"foreign, with chain": try(c, newCertificate(t, full, &foreign).cert, foreign.cert),
		"self-signed":         try(c, newCertificate(t, full, nil).cert),
		"expired":             try(c, newCertificate(t, func(c *x509.Certificate) { full(c); c.NotAfter = r.clock.Now().Add(-time.Hour) }, &ca).cert),
		"not yet":             try(c, newCertificate(t, func(c *x509.Certificate) { full(c); c.NotBefore = r.clock.Now().Add(time.Hour) }, &ca).cert),
		"for servers": try(c, newCertificate(t, func(c *x509.Certificate) {
			full(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, &ca).cert),
		"unknown client": try("nobody", leaf.cert),
	} {
		if e := wantCode(t, err, InvalidClient); e == nil || e.Status != 401 {
			t.Errorf("%s: %v", name, e)
		}
	}
	// A secret or an assertion is not the registered method, certificate or not.
	_, err := r.Token(t.Context(), shown(post(basic(string(c), "x"), credentialsForm()), leaf.cert))
	wantCode(t, err, InvalidClient)
	// And a certificate is nobody's method who did not register it.
	plain := r.newClient(client.Machine, nil)
	wantCode(t, try(plain, leaf.cert), InvalidClient)
	check(t, r.clients.Disable(t.Context(), c))
	wantCode(t, try(c, leaf.cert), InvalidClient)
	r.authorities = nil
	wantCode(t, try(register("tls_client_auth_san_dns", "shop.test"), leaf.cert), InvalidClient)
}

// TestSelfSignedTLSClientAuth: the very certificate that was registered (RFC 8705 §2.2).
func TestSelfSignedTLSClientAuth(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	own, same, old := newCertificate(t, nil, nil), newCertificate(t, nil, nil), newCertificate(t, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }, nil)
	key := func(a authority) jose.JSONWebKey { return jose.JSONWebKey{Key: a.key.Public(), KeyID: id.New()} }
	x5c := func(list ...authority) json.RawMessage {
		var set jose.JSONWebKeySet
		for _, a := range list {
			k := key(a)
			k.Certificates = []*x509.Certificate{a.cert}
			set.Keys = append(set.Keys, k)
		}
		return must(json.Marshal(set))
	}
	thumb := key(own)
	raw := must(json.Marshal(thumb))
	byThumb := json.RawMessage(`{"keys":[` + strings.TrimSuffix(string(raw), "}") + `,"x5t#S256":"` + thumbprint(own.cert) + `"}]}`)
	bare := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key(own)}}))
	try := func(jwks json.RawMessage, cert *x509.Certificate) error {
		c := r.certified(client.SelfSignedTLS, func(m *client.Metadata) { m.JWKS = jwks })
		_, err := r.Token(t.Context(), shown(post(http.Header{}, credentialsForm("client_id", string(c))), cert))
		return err
	}
	wantCode(t, try(x5c(own), own.cert), "")
	wantCode(t, try(x5c(same, own), own.cert), "") // while one replaces the other
	wantCode(t, try(byThumb, own.cert), "")
	renewed := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, own.cert, own.cert, own.key.Public(), own.key))))
	for name, err := range map[string]error{
		"same name":     try(x5c(own), same.cert),
		"same key":      try(x5c(own), renewed),
		"none":          try(x5c(own), nil),
		"expired":       try(x5c(old), old.cert),
		"key alone":     try(bare, own.cert),
		"by thumbprint": try(byThumb, same.cert),
	} {
		if e := wantCode(t, err, InvalidClient); e == nil || e.Status != 401 {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// TestCertificateBound: the token carries the certificate's thumbprint and works with it alone; it
// stays a bearer token by type (RFC 8705 §3).
func TestCertificateBound(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		own, other := newCertificate(t, nil, nil), newCertificate(t, nil, nil)
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			bound := func(m *client.Metadata) { m.CertificateBound, m.AccessTokenFormat = true, format }
			web, spa := r.newClient(client.Web, bound), r.newClient(client.SPA, bound)
			send := func(c id.Client, form url.Values, cert *x509.Certificate) (*Tokens, error) {
				h, form := r.as(c, form)
				return r.Token(t.Context(), shown(post(h, form), cert))
			}
			see := func(token string, cert *x509.Certificate) error {
				_, err := r.Userinfo(t.Context(), shown(Call{Method: "GET", Path: pathTestUserinfo, Header: http.Header{}}, cert), "Bearer", token)
				return err
			}
			code := r.code(ask(web))
			// fapi2 ensure-holder-of-key-required wants 400 with one of these codes.
			if e := wantCode(t, second(send(web, exchangeForm(code), nil)), InvalidRequest); e == nil || e.Status != 400 {
				t.Errorf("no certificate: %v", e)
			}
			tok, err := send(web, exchangeForm(code), own.cert)
			check(t, err)
			in, err := r.introspect(web, tok.AccessToken)
			check(t, err)
			if tok.TokenType != "Bearer" || in.TokenType != "Bearer" || in.Confirm == nil || in.Confirm.X5TS != thumbprint(own.cert) {
				t.Errorf("%+v, %+v", tok, in)
			}
			if format == client.FormatJWT && claimsOf(t, tok.AccessToken)["cnf"].(map[string]any)["x5t#S256"] != thumbprint(own.cert) {
				t.Errorf("cnf %v", claimsOf(t, tok.AccessToken)["cnf"])
			}
			wantCode(t, see(tok.AccessToken, own.cert), "")
			wantCode(t, see(tok.AccessToken, other.cert), InvalidToken)
			wantCode(t, see(tok.AccessToken, nil), InvalidToken)
			wantCode(t, r.userinfo("DPoP", tok.AccessToken, &prover{jose.ES256, own.key, jose.JSONWebKey{Key: own.key.Public()}}), InvalidToken)

			// A confidential client may come with its next certificate (§4), a public one may not.
			again := func(c id.Client, token string, cert *x509.Certificate) error {
				return second(send(c, values("grant_type", "refresh_token", "refresh_token", token), cert))
			}
			wantCode(t, again(web, tok.RefreshToken, nil), InvalidRequest)
			wantCode(t, again(web, tok.RefreshToken, other.cert), "")
			pub, err := send(spa, exchangeForm(r.code(ask(spa))), own.cert)
			check(t, err)
			wantCode(t, again(spa, pub.RefreshToken, other.cert), InvalidGrant)
			wantCode(t, again(spa, pub.RefreshToken, nil), InvalidRequest)
			wantCode(t, again(spa, pub.RefreshToken, own.cert), "")
		}
	})
}

// TestBound_NothingThroughTheBrowser: a client whose tokens are bound gets none where nothing can be
// proven.
func TestBound_NothingThroughTheBrowser(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.policy.LegacyResponseTypes = true
	for name, edit := range map[string]func(m *client.Metadata){
		"key":         func(m *client.Metadata) { m.DPoPBound = true },
		"certificate": func(m *client.Metadata) { m.CertificateBound = true },
		"":            func(*client.Metadata) {},
	} {
		c := r.newClient(client.Web, func(m *client.Metadata) {
			m.GrantTypes = append(m.GrantTypes, client.GrantImplicit)
			m.ResponseTypes = client.ResponseTypes()
			edit(m)
		})
		for _, rt := range client.ResponseTypes() {
			want := ""
			if name != "" && slices.Contains(strings.Fields(rt), "token") {
				want = UnauthorizedClient
			}
			_, err := r.ParseAuthorize(t.Context(), ask(c, "response_type", rt))
			wantCode(t, err, want)
		}
	}
}

// TestSelfSignedTLSClientAuth_ByURI: after a change of certificates at its jwks_uri, a client gets in with
// the new one as soon as the set may be asked for again.
func TestSelfSignedTLSClientAuth_ByURI(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	log := must(audit.New(audit.Deps{DB: r.db, Clock: r.clock}))
	r.Engine.clients = must(client.New(client.Deps{
		DB: r.db, Clock: r.clock, Changes: store.NewChanges(r.db, time.Hour), Audit: log, Fetch: fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true, Timeout: 2 * time.Second}),
	}))
	old, next := newCertificate(t, nil, nil), newCertificate(t, nil, nil)
	var published atomic.Pointer[authority]
	published.Store(&old)
	owner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := published.Load()
		if a == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		k := jose.JSONWebKey{Key: a.key.Public(), KeyID: thumbprint(a.cert)[:8], Certificates: []*x509.Certificate{a.cert}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
	}))
	defer owner.Close()
	c := r.certified(client.SelfSignedTLS, func(m *client.Metadata) { m.JWKSURI = "https://rp.test/jwks" })
	r.exec(`UPDATE client SET metadata = REPLACE(metadata, 'https://rp.test/jwks', $2) WHERE id = $1`, string(c), owner.URL)
	try := func(a authority) error {
		_, err := r.Token(t.Context(), shown(post(http.Header{}, credentialsForm("client_id", string(c))), a.cert))
		return err
	}
	wantCode(t, try(old), "")
	published.Store(&next)
	wantCode(t, try(next), InvalidClient) // asked a moment ago
	wantCode(t, try(old), "")
	r.clock.Advance(31 * time.Second)
	wantCode(t, try(next), "")
	wantCode(t, try(old), InvalidClient)

	published.Store(nil)
	r.clock.Advance(2 * time.Hour)
	if e := wantCode(t, try(next), TemporarilyUnavailable); e.Status != 503 { // nobody knows: no false word
		t.Errorf("%+v", e)
	}
}
