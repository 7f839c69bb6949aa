// Package mail writes to people: it renders a message from the templates of web/mail in the
// person's language, as plain text and HTML, and puts it into the outbox, from which it travels to
// the SMTP server. It does not decide who is written to, nor when: the identity services do, in the
// transaction of the act. It owns no table. Without an SMTP server nothing is sent; in development
// a mailbox page shows what would have been.
package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	netmail "net/mail"
	"net/url"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
)

// Message is a mail to write.
type Message struct {
	To      string // an address as the account has it, never as it was typed
	Account id.User
	Kind    string         // the template; see Kinds
	Locale  string         // a language tag; one that we do not speak becomes the default
	Data    map[string]any // what the template shows; a field that the kind does not know is an error
	Expires time.Time      // when what it carries is worthless; zero means three days
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
	From   string // address of the sender, with or without a name
	Name   string // of the service
	Issuer string
	Locale string // for people of no language that we speak; "" means en
	SMTP   *SMTP  // nil: nothing is sent
	Dev    bool   // keep everything for the mailbox page
	// Templates, if set, has files that take the place of those in web/mail.
	Templates fs.FS
	Brand     Brand
}

// Service writes mail. It is safe for concurrent use.
type Service struct {
	d         Deps
	from      *netmail.Address
	host      string // of the issuer
	templates *templates
}

// OutboxKind names mails in the outbox.
const OutboxKind = "mail"

// defaultLife is for mails that carry nothing that expires.
const defaultLife = 3 * 24 * time.Hour

// New returns a Service. It refuses templates that do not render and servers that would be talked
// to in clear.
func New(d Deps) (*Service, error) {
	if d.Outbox == nil || d.Clock == nil || d.Log == nil {
		return nil, errors.New("mail: Outbox, Clock and Log are required")
	}
	u, err := url.Parse(d.Issuer)
	if err != nil || u.Host == "" {
		return nil, errors.New("mail: Deps.Issuer is not an origin")
	}
	if d.Name == "" {
		d.Name = "Signet"
	}
	s := &Service{d: d, host: u.Host}
	if d.SMTP != nil {
		if s.from, err = netmail.ParseAddress(d.From); err != nil {
			return nil, fmt.Errorf("mail: the sender %q is not an address: %w", d.From, err)
		}
		if s.from.Name == "" {
			s.from.Name = d.Name
		}
		if err := d.SMTP.check(); err != nil {
			return nil, err
		}
	}
	if s.templates, err = loadTemplates(d); err != nil {
		return nil, err
	}
	d.Outbox.Register(OutboxKind, s.deliver, outbox.Options{Keep: d.Dev})
	return s, nil
}

// Enabled reports whether mail reaches anybody: an SMTP server, or the developer's mailbox. Who
// makes people wait for a mail asks it first.
func (s *Service) Enabled() bool { return s.d.SMTP != nil || s.d.Dev }

// Kept reports whether there is a developer's mailbox.
func (s *Service) Kept() bool { return s.d.Dev }

// Send renders m and puts it into the outbox, in the transaction that ctx carries; it panics
// outside of one. While mail is off it does nothing.
func (s *Service) Send(ctx context.Context, m Message) error { return s.send(ctx, m, false) }

// SendNothing does all that Send does, except that nothing is ever delivered: for answers that
// must take the same time whether or not there is anybody to write to.
func (s *Service) SendNothing(ctx context.Context, m Message) error { return s.send(ctx, m, true) }

// letter is a rendered mail as the outbox keeps it, sealed.
type letter struct {
	Kind    string `json:"kind"`
	Lang    string `json:"lang"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

func (s *Service) send(ctx context.Context, m Message, discard bool) error {
	store.MustTx(ctx)
	if !s.Enabled() {
		return nil
	}
	now := s.d.Clock.Now()
	if m.Expires.IsZero() {
		m.Expires = now.Add(defaultLife)
	}
	l, err := s.write(m, now)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	_, err = s.d.Outbox.Put(ctx, outbox.Message{
		Kind: OutboxKind, Subject: string(m.Account), Recipient: m.To, Payload: payload, Expires: m.Expires, Discard: discard,
	})
	if err != nil {
		return fmt.Errorf("mail %s: %w", m.Kind, err)
	}
	return nil
}

// deliver is the handler of the outbox. The id of the outbox row makes the Message-ID, so that a
// repetition after a crash is one and the same message to whoever receives it (RFC 5322 §3.6.4).
func (s *Service) deliver(ctx context.Context, d outbox.Delivery) error {
	var l letter
	if err := json.Unmarshal(d.Payload, &l); err != nil {
		return outbox.Permanent(fmt.Errorf("mail: %w", err))
	}
	if s.d.SMTP == nil { // kept for the mailbox page
		return nil
	}
	return s.transmit(ctx, envelope{id: d.ID, to: d.Recipient, at: d.CreatedAt, letter: l}, nil)
}

// Stored is a mail in the developer's mailbox.
type Stored struct {
	ID      string    `json:"id"`
	To      string    `json:"to"`
	Kind    string    `json:"kind"`
	Lang    string    `json:"lang"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	At      time.Time `json:"at"`
}

// mailboxSize is how many mails the developer's mailbox shows.
const mailboxSize = 200

// Mailbox returns what was sent, newest first. Outside of development it is empty.
func (s *Service) Mailbox(ctx context.Context) ([]Stored, error) {
	if !s.d.Dev {
		return nil, nil
	}
	kept, err := s.d.Outbox.Kept(ctx, OutboxKind, mailboxSize)
	if err != nil {
		return nil, err
	}
	var out []Stored
	for _, k := range kept {
		var l letter
		if err := json.Unmarshal(k.Payload, &l); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		out = append(out, Stored{k.ID, k.Recipient, l.Kind, l.Lang, l.Subject, l.Text, l.HTML, k.CreatedAt})
	}
	return out, nil
}
