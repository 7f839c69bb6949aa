// Package mailtest is a mail server for tests: it speaks SMTP on this machine, with or without TLS
// and authentication, keeps what it takes, and misbehaves as it is told. Only tests import it.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"signet/internal/platform/mail"
	"signet/internal/platform/seal"
)

// Options of Start. The zero value offers STARTTLS and wants no password.
type Options struct {
	TLS                string // mail.StartTLS, mail.ImplicitTLS or mail.NoTLS
	Username, Password string // wanted of clients if set
	OtherName          bool   // the certificate is for another host
	Address            string // listen here instead of on a free port
}

// Letter is a mail as it arrived.
type Letter struct {
	From, To   string // of the envelope
	Header     netmail.Header
	Subject    string
	Text, HTML string
	Raw        string
}

// Server is a running mail server.
type Server struct {
	Address string

	o       Options
	roots   *x509.CertPool
	server  *smtp.Server
	mu      sync.Mutex
	letters []Letter
	logins  int

	// Rcpt and Data, if set, answer those commands; Data runs after the content was read. Cut
	// closes the connection after the content instead of answering. Set them with Change.
	rcpt func(to string) error
	data func() error
	cut  bool
}

// Refusal is an answer such as 550.
func Refusal(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// Start begins to serve; the server ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.TLS == "" {
		o.TLS = mail.StartTLS
	}
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	cert, roots := certificate(t, o.OtherName)
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	ln, err := net.Listen("tcp", o.Address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: ln.Addr().String(), o: o, roots: roots}
	s.server = smtp.NewServer(s)
	s.server.Domain, s.server.ReadTimeout, s.server.WriteTimeout = "mx.example.com", 20*time.Second, 20*time.Second
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	switch o.TLS {
	case mail.StartTLS:
		s.server.TLSConfig = conf
	case mail.ImplicitTLS:
		ln = tls.NewListener(ln, conf)
	case mail.NoTLS:
		s.server.AllowInsecureAuth = true
	}
	go func() { _ = s.server.Serve(ln) }()
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server: connections to it are refused then.
func (s *Server) Stop() { _ = s.server.Close() }

// Client is how to reach the server.
func (s *Server) Client() *mail.SMTP {
	host, port, _ := net.SplitHostPort(s.Address)
	n, _ := net.LookupPort("tcp", port)
	return &mail.SMTP{
		Host: host, Port: n, TLS: s.o.TLS, Username: s.o.Username, Password: seal.Secret(s.o.Password),
		RootCAs: s.roots, Timeout: 10 * time.Second,
	}
}

// Change makes the server answer otherwise from now on; nil means take everything.
func (s *Server) Change(rcpt func(to string) error, data func() error, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcpt, s.data, s.cut = rcpt, data, cut
}

// Letters returns what was taken, oldest first.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter(nil), s.letters...)
}

// Logins counts successful authentications.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// NewSession implements smtp.Backend.
func (s *Server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: s, conn: c, known: s.o.Username == ""}, nil
}

type session struct {
	s        *Server
	conn     *smtp.Conn
	known    bool
	from, to string
}

// AuthMechanisms implements smtp.AuthSession.
func (c *session) AuthMechanisms() []string {
	if c.s.o.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != c.s.o.Username || password != c.s.o.Password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Authentication credentials invalid"}
		}
		c.known = true
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.s.logins++
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if !c.known {
		return Refusal(530, "Authentication required")
	}
	c.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.to = to
	if c.s.rcpt != nil {
		return c.s.rcpt(to)
	}
	return nil
}

// Data implements smtp.Session.
func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l, err := parse(raw)
	if err != nil {
		return Refusal(554, err.Error())
	}
	l.From, l.To = c.from, c.to
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.data != nil {
		if err := c.s.data(); err != nil {
			return err
		}
	}
	c.s.letters = append(c.s.letters, l)
	if c.s.cut {
		_ = c.conn.Conn().Close()
	}
	return nil
}

// Reset implements smtp.Session.
func (c *session) Reset() {}

// Logout implements smtp.Session.
func (c *session) Logout() error { return nil }

// parse reads a message as a mail program would.
func parse(raw []byte) (Letter, error) {
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Letter{}, err
	}
	l := Letter{Header: m.Header, Raw: string(raw)}
	if l.Subject, err = (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return l, err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return l, errors.New("not multipart/alternative: " + kind)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		var body io.Reader = p
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(p)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return l, err
		}
		switch kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind {
		case "text/plain":
			l.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
		case "text/html":
			l.HTML = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
}

// certificate makes a certificate for this machine that only the returned pool trusts.
func certificate(t testing.TB, other bool) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"mx.example.com"},
	}
	if !other {
		c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, append(c.DNSNames, "localhost")
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
