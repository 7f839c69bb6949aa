package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// NewHTTP returns a net/http server around h with every limit set: a client that sends or
// reads slowly loses its connection, not our memory.
func NewHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeaderBytes,
		// Handshake failures and the like: strangers cause them at will.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Certificate serves a certificate from files and takes up their replacement without a
// restart.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	cert    *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

// certCheck is how often the files' times are looked at, at most, and only on a handshake.
const certCheck = 5 * time.Second

// LoadCertificate reads the pair and refuses one that does not match or has expired.
func LoadCertificate(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	stamp, err := c.stat()
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if c.cert, err = c.load(); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	c.stamp, c.checked = stamp, now()
	return c, nil
}

// suites12 are those of RFC 9325 §4.2; what TLS 1.3 has is the standard library's choice.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// TLS returns the configuration for a listener. RFC 9325 §3.1.1: nothing below TLS 1.2. The FAPI 2.0
// Security Profile §5.2.2 demands the same of every endpoint.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// MutualTLS is TLS for the listener that asks for certificates. None is demanded, and no authority
// is named: which certificates mean something is a matter of the client's registration (RFC 8705
// §2.2 knows self-signed ones). Who presents one has proven the private key in the handshake.
func (c *Certificate) MutualTLS() *tls.Config {
	out := c.TLS()
	out.ClientAuth = tls.RequestClientCert
	return out
}

// current returns the certificate, reloaded if a file has changed. A replacement that cannot
// be used is reported and the old certificate stays: serving beats refusing everybody.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < certCheck {
		return c.cert
	}
	c.checked = now
	stamp, err := c.stat()
	if err == nil && stamp == c.stamp {
		return c.cert
	}
	if err == nil {
		var next *tls.Certificate
		if next, err = c.load(); err == nil {
			c.cert, c.stamp = next, stamp
			c.log.Info("TLS certificate reloaded", "not_after", next.Leaf.NotAfter)
		}
	}
	if err != nil {
		c.log.Error("TLS certificate not reloaded, the old one stays", "error", err)
	}
	return c.cert
}

func (c *Certificate) stat() (stamp [2]time.Time, err error) {
	for i, f := range []string{c.certFile, c.keyFile} {
		st, err := os.Stat(f)
		if err != nil {
			return stamp, err
		}
		stamp[i] = st.ModTime()
	}
	return stamp, nil
}

func (c *Certificate) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, err
		}
	}
	if c.now().After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s has expired on %s", c.certFile, cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &cert, nil
}
