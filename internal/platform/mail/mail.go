// Package mail writes to people: it renders a message from the templates of web/mail in the
// person's language, as plain text and HTML, and puts it into the outbox, from which it travels to
// the SMTP server. It does not decide who is written to, nor when: the identity services do, in the
// transaction of the act. It owns no table. Without an SMTP server nothing is sent; in development
// a mailbox page shows what would have been.
package mail

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/seal"
)

// Message is a mail to write.
type Message struct {
	To      string  // an address as the account has it, never as it was typed
	Account id.User // whom it is about, or ""
	Kind    string  // the template
	Locale  string  // a language tag; one that we do not speak becomes the default
	Data    map[string]any
	Expires time.Time // when what it carries is worthless; zero means three days
}

// The modes of SMTP.TLS.
const (
	StartTLS    = "starttls" // encryption is demanded of the server (RFC 3207)
	ImplicitTLS = "tls"      // encrypted from the first byte (RFC 8314 §3.3)
	NoTLS       = "none"     // only for a server on this machine
)

// SMTP is the server that takes our mail.
type SMTP struct {
	Host     string
	Port     int
	Username string // "" for none
	Password seal.Secret
	TLS      string // "" means StartTLS
	Timeout  time.Duration
	RootCAs  *x509.CertPool // nil for the system's
}

// Brand is how mails look.
type Brand struct {
	Accent string // colour of the button, #rrggbb; "" for the standard one
}

// Deps is what a Service needs.
type Deps struct {
	Outbox *outbox.Service
	Clock  clock.Clock
	Log    *slog.Logger
	From   string // address of the sender
	Name   string // of the service
	Issuer string
	Locale string // for people of no language that we speak; "" means en
	SMTP   *SMTP  // nil: nothing is sent
	Dev    bool   // keep everything for the mailbox page
	// Templates, if set, has files that take the place of those in web/mail.
	Templates fs.FS
	Brand     Brand
}

// Service writes mail.
type Service struct{ d Deps }

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.Outbox == nil || d.Clock == nil || d.Log == nil {
		return nil, errors.New("mail: Outbox, Clock and Log are required")
	}
	return &Service{d: d}, nil
}

// Enabled reports whether mail reaches anybody: an SMTP server, or the developer's mailbox.
func (s *Service) Enabled() bool { return s.d.SMTP != nil || s.d.Dev }

// Send renders m and puts it into the outbox, in the transaction that ctx carries; it panics
// outside of one. While mail is off it does nothing.
func (s *Service) Send(ctx context.Context, m Message) error { return nil }

// SendNothing does all that Send does, except that nothing is ever delivered: for answers that
// must take the same time whether or not there is anybody to write to.
func (s *Service) SendNothing(ctx context.Context, m Message) error { return nil }

// Test sends a test mail at once and returns the conversation with the SMTP server, without secrets.
func (s *Service) Test(ctx context.Context, to string) (transcript string, err error) { return "", nil }

// Stored is a mail in the developer's mailbox.
type Stored struct {
	ID      string    `json:"id"`
	To      string    `json:"to"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	At      time.Time `json:"at"`
}

// Mailbox returns what was sent, newest first, in development only.
func (s *Service) Mailbox(ctx context.Context) ([]Stored, error) { return nil, nil }
