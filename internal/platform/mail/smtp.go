package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
	maillog "github.com/wneessen/go-mail/log"

	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/seal"
	"signet/internal/platform/telemetry"
)

// The modes of SMTP.TLS.
const (
	StartTLS    = "starttls" // encryption is demanded of the server (RFC 3207)
	ImplicitTLS = "implicit" // encrypted from the first byte (RFC 8314 §3.3)
	NoTLS       = "none"     // only for a server on this machine
)

// SMTP is the server that takes our mail.
type SMTP struct {
	Host     string
	Port     int
	Username string // "" for none
	Password seal.Secret
	TLS      string         // "" means StartTLS
	Timeout  time.Duration  // of one conversation; 0 means 15 s
	RootCAs  *x509.CertPool // nil for the system's
}

func (c *SMTP) check() error {
	if c.Host == "" || c.Port < 1 || c.Port > 65535 {
		return errors.New("mail: the SMTP server needs a host and a port")
	}
	switch c.TLS {
	case "", StartTLS, ImplicitTLS:
	case NoTLS:
		if !loopback(c.Host) {
			return fmt.Errorf("mail: no encryption is for a server on this machine only, not for %s", c.Host)
		}
	default:
		return fmt.Errorf("mail: TLS mode %q is neither %s, %s nor %s", c.TLS, StartTLS, ImplicitTLS, NoTLS)
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// envelope is a mail on its way.
type envelope struct {
	letter
	id, to string
	at     time.Time
}

// compose makes the MIME message.
func (s *Service) compose(e envelope) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(s.from)
	to, err := netmail.ParseAddress(e.to)
	if err != nil {
		return nil, outbox.Permanent(fmt.Errorf("the recipient is not an address: %w", err))
	}
	m.ToMailAddress(to)
	m.Subject(e.Subject)
	m.SetDateWithValue(e.at)
	_, domain, _ := strings.Cut(s.from.Address, "@")
	m.SetMessageIDWithValue(e.id + "@" + domain)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no out-of-office answers
	m.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange
	m.SetGenHeader("Content-Language", e.Lang)
	m.SetBodyString(gomail.TypeTextPlain, e.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, e.HTML)
	return m, nil
}

// transmit has one conversation with the SMTP server. A transcript, if wanted, gets every line of
// it but the credentials. A refusal of this recipient or of this content is permanent; everything
// else (no server, no encryption, wrong password, a full queue) may be put right while the mail waits.
func (s *Service) transmit(ctx context.Context, e envelope, t *transcript) error {
	m, err := s.compose(e)
	if err != nil {
		return err
	}
	timeout := s.d.SMTP.Timeout
	if timeout == 0 {
		timeout = 15 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var line connection
	// The library leaves a connection open when the greeting or the login fails.
	defer line.close()
	defer context.AfterFunc(ctx, line.close)()
	opts := s.options(&line, timeout, t)
	if isASCII(e.to) { // RFC 6531 §3.4: asked for where it is needed, as not every next host has it
		opts = append(opts, gomail.WithoutSMTPUTF8())
	}
	client, err := gomail.NewClient(s.d.SMTP.Host, opts...)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, m)
	if m.IsDelivered() {
		return nil // what fails after the server's word is about the next mail
	}
	if err == nil {
		err = errors.New("the server did not confirm the mail")
	}
	return classify(ctx, err)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func (s *Service) options(line *connection, timeout time.Duration, t *transcript) []gomail.Option {
	c := s.d.SMTP
	conf := &tls.Config{ServerName: c.Host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
	policy := gomail.TLSMandatory
	if c.TLS == ImplicitTLS || c.TLS == NoTLS {
		policy = gomail.NoTLS // there is nothing to upgrade
	}
	host, _, err := net.SplitHostPort(s.host)
	if err != nil {
		host = s.host
	}
	opts := []gomail.Option{
		gomail.WithPort(c.Port), gomail.WithTimeout(timeout), gomail.WithHELO(host),
		gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(conf),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil && c.TLS == ImplicitTLS {
				conn = tls.Client(conn, conf)
			}
			if err == nil {
				line.set(conn)
			}
			return conn, err
		}),
	}
	if c.Username != "" {
		// In the order of preference. Without encryption the library sends no password, except to
		// this machine.
		opts = append(opts, gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin),
			gomail.WithUsername(c.Username), gomail.WithPassword(c.Password.Reveal()))
	}
	if t != nil {
		opts = append(opts, gomail.WithDebugLog(), gomail.WithLogger(t))
	}
	return opts
}

// classify decides whether another attempt makes sense (RFC 5321 §4.2.1: 4yz transient, 5yz
// permanent).
func classify(ctx context.Context, err error) error {
	var refused *gomail.SendError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("smtp: the server took too long: %w", err)
	case errors.As(err, &refused) && refused.ErrorCode() >= 500 && aboutMail(refused.Reason):
		return outbox.Permanent(fmt.Errorf("smtp: %w", err))
	}
	return fmt.Errorf("smtp: %w", err)
}

// aboutMail reports whether a refusal is about this recipient or content. One of the sender is
// about our configuration: the next mail would meet it too.
func aboutMail(r gomail.SendErrReason) bool {
	return r == gomail.ErrSMTPRcptTo || r == gomail.ErrSMTPData || r == gomail.ErrSMTPDataClose
}

// connection is the network connection of one conversation, to be closed from outside.
type connection struct {
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (c *connection) set(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn = conn; c.closed {
		_ = conn.Close()
	}
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed = true; c.conn != nil {
		_ = c.conn.Close()
	}
}

// transcript keeps a conversation, one line per command and answer.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

func (t *transcript) add(l maillog.Log) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mark := "S: "
	if l.Direction == maillog.DirClientToServer {
		mark = "C: "
	}
	for line := range strings.Lines(fmt.Sprintf(l.Format, l.Messages...)) {
		t.lines = append(t.lines, mark+telemetry.Redact(strings.TrimRight(line, "\r\n")))
	}
}

// Debugf implements the library's logger, as do the others.
func (t *transcript) Debugf(l maillog.Log) { t.add(l) }

// Infof keeps l.
func (t *transcript) Infof(l maillog.Log) { t.add(l) }

// Warnf keeps l.
func (t *transcript) Warnf(l maillog.Log) { t.add(l) }

// Errorf keeps l.
func (t *transcript) Errorf(l maillog.Log) { t.add(l) }

// ErrOff says that there is no SMTP server to talk to.
var ErrOff = errors.New("mail is off: set mail.from and mail.smtp.host")

// Test sends a test mail at once, past the outbox, and returns the conversation with the SMTP
// server, without secrets. The error, if any, is the server's or the network's own.
func (s *Service) Test(ctx context.Context, to string) (string, error) {
	if s.d.SMTP == nil {
		return "", ErrOff
	}
	now := s.d.Clock.Now()
	l, err := s.write(Message{To: to, Kind: "test", Locale: s.d.Locale, Expires: now.Add(time.Hour)}, now)
	if err != nil {
		return "", err
	}
	t := &transcript{lines: []string{fmt.Sprintf("connecting to %s, port %d, TLS: %s", s.d.SMTP.Host, s.d.SMTP.Port, s.d.SMTP.mode())}}
	err = s.transmit(ctx, envelope{id: id.New(), to: to, at: now, letter: l}, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n"), err
}

func (c *SMTP) mode() string {
	if c.TLS == "" {
		return StartTLS
	}
	return c.TLS
}
