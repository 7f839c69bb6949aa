package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// writeCertificate makes a self-signed pair and sets the files' time, which is what reloading
// looks at.
func writeCertificate(t *testing.T, dir string, serial int64, notAfter, stamp time.Time) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "id.example.com"}, DNSNames: []string{"id.example.com"},
		NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestCertificate_ReloadsAndKeepsTheOldOneOnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	far := now.AddDate(1, 0, 0)
	cert, key := writeCertificate(t, dir, 1, far, now)
	c, err := LoadCertificate(cert, key, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 { return c.current().Leaf.SerialNumber.Int64() }
	writeCertificate(t, dir, 2, far, now.Add(time.Minute))
	if serial() != 1 {
		t.Error("files are read on every handshake")
	}
	now = now.Add(certCheck)
	if serial() != 2 {
		t.Error("a replaced certificate was not taken up")
	}
	if err := os.WriteFile(cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certCheck)
	if serial() != 2 {
		t.Error("a broken replacement took the certificate away")
	}
}

func TestCertificate_RefusesExpired(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	cert, key := writeCertificate(t, t.TempDir(), 1, now.AddDate(0, 0, -1), now)
	if _, err := LoadCertificate(cert, key, func() time.Time { return now }, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an expired certificate was accepted")
	}
}

func TestCertificate_NothingBelowTLS12(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	cert, key := writeCertificate(t, t.TempDir(), 1, now.AddDate(1, 0, 0), now)
	c, err := LoadCertificate(cert, key, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		a, b := net.Pipe()
		go func() { _ = tls.Server(a, c.TLS()).Handshake() }()
		err := tls.Client(b, &tls.Config{ServerName: "id.example.com", InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version}).Handshake()
		if (err == nil) != ok {
			t.Errorf("TLS %x: %v", version, err)
		}
		_ = a.Close()
		_ = b.Close()
	}
}

// TestCertificate_Suites: of TLS 1.2 the suites of RFC 9325 §4.2 and no other (FAPI 2.0 Security Profile
// §5.2.2; fapi2 ensure-holder-of-key-required); a client's certificate is asked for at its own listener.
func TestCertificate_Suites(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	cert, key := writeCertificate(t, t.TempDir(), 1, now.AddDate(1, 0, 0), now)
	c, err := LoadCertificate(cert, key, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		a, b := net.Pipe()
		go func() { _ = tls.Server(a, c.TLS()).Handshake() }()
		err := tls.Client(b, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}).Handshake()
		if wanted := slices.Contains(suites12, suite.ID); err == nil {
			if good++; !wanted {
				t.Errorf("%s is accepted", suite.Name)
			}
		}
		_ = a.Close()
		_ = b.Close()
	}
	if good == 0 {
		t.Error("no suite is accepted")
	}
	if c.TLS().ClientAuth != tls.NoClientCert || c.MutualTLS().ClientAuth != tls.RequestClientCert || c.MutualTLS().MinVersion != tls.VersionTLS12 {
		t.Error("certificates are asked for at the wrong listener")
	}
}
