// Package notice tells people by mail what happened to their account: a sign-in from a new browser,
// a new factor, another password or address. Each notice goes to every verified address, in the
// transaction of the act, and carries a link with which its reader ends everything if it was
// somebody else. It also has the words for browsers and times that mails and pages share. The package
// owns no table and decides nothing: pages and signin call Send beside the act, account says where
// people are reached, mail writes.
package notice

import (
	"context"
	"errors"
	"maps"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/store"
)

// Kind is what happened; it is also the name of the mail's template.
type Kind string

// The kinds, with what their caller gives as data.
const (
	SignIn         Kind = "notice_sign_in"         // from a browser not seen before
	FactorAdded    Kind = "notice_factor_added"    // Factor: its name
	FactorRemoved  Kind = "notice_factor_removed"  // Factor: its name
	Password       Kind = "notice_password"        // changed or reset
	Address        Kind = "notice_address"         // Address: the new one
	RecoveryCode   Kind = "notice_recovery_code"   // Left: how many are left
	IdentityLinked Kind = "notice_identity_linked" // Provider: its name
)

// NotMe is the purpose of the link in every notice.
const NotMe onetime.Purpose = "not_me"

// NotMeFor is how long that link works: long enough for a mailbox that is opened once a week.
const NotMeFor = 14 * 24 * time.Hour

// UndoFor is how long the link in the notice of an account's first second factor takes factors away
// again, as long as a change of address can be taken back. Until that factor came the mailbox opened
// the account, so that its owner gets no more by the link than they had.
const UndoFor = 7 * 24 * time.Hour

// Contact is where and how a person is reached.
type Contact struct {
	Verified []string // every proven address, the primary one first
	Locale   string   // "" for none chosen
	Zone     string   // "" for UTC
}

// Accounts says where people are reached; account.Service is it.
type Accounts interface {
	Contact(ctx context.Context, user id.User) (Contact, error)
}

// Mailer writes; mail.Service is it.
type Mailer interface {
	Enabled() bool
	Send(ctx context.Context, m mail.Message) error
}

// Deps is what a Service needs.
type Deps struct {
	DB       *store.DB
	Audit    *audit.Log
	Accounts Accounts
	OneTime  *onetime.Service
	Mail     Mailer
	Clock    clock.Clock
	Issuer   string
}

// Service sends notices.
type Service struct{ d Deps }

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Audit == nil || d.Accounts == nil || d.OneTime == nil || d.Mail == nil || d.Clock == nil || d.Issuer == "" {
		return nil, errors.New("notice: DB, Audit, Accounts, OneTime, Mail, Clock and Issuer are required")
	}
	return &Service{d}, nil
}

// Send tells the user, in the transaction that ctx carries; it panics outside of one. Nobody is told
// who has no verified address, nor while mail is off. data adds to what every notice says: Browser,
// IP, At and NotMe.
func (s *Service) Send(ctx context.Context, user id.User, kind Kind, data map[string]any) error {
	return s.send(ctx, user, payload{Kind: kind}, data)
}

// SendFactor is Send for a factor that was added. first says that the account had none before: then
// whoever added it may have shut the owner out, and the link says so (Link.Undo).
func (s *Service) SendFactor(ctx context.Context, user id.User, factor string, first bool) error {
	return s.send(ctx, user, payload{Kind: FactorAdded, First: first}, map[string]any{"Factor": factor})
}

func (s *Service) send(ctx context.Context, user id.User, about payload, data map[string]any) error {
	to, err := s.reach(ctx, user)
	if err != nil || len(to.Verified) == 0 {
		return errs.Wrap("send notice", err)
	}
	about.To = to.Verified
	link, err := s.d.OneTime.Put(ctx, onetime.Draft{
		Purpose: NotMe, Subject: string(user), Payload: about, TTL: NotMeFor, Token: id.MailLink,
	})
	if err != nil {
		return errs.Wrap("send notice", err)
	}
	src := audit.SourceOf(ctx)
	all := map[string]any{
		"Browser": Browser(to.Locale, src.UserAgent), "IP": src.IP, "At": When(to.Locale, to.Zone, s.d.Clock.Now()),
		"NotMe": s.d.Issuer + "/m/" + link.Token.Reveal(),
	}
	maps.Copy(all, data)
	for _, address := range to.Verified {
		err := s.d.Mail.Send(ctx, mail.Message{To: address, Account: user, Kind: string(about.Kind), Locale: to.Locale, Data: all, Expires: link.ExpiresAt})
		if err != nil {
			return errs.Wrap("send notice", err)
		}
	}
	return nil
}

// reach says where a mail of the caller's transaction goes; nowhere while mail is off, and to who is not there
// any more.
func (s *Service) reach(ctx context.Context, user id.User) (Contact, error) {
	store.MustTx(ctx)
	if !s.d.Mail.Enabled() {
		return Contact{}, nil
	}
	to, err := s.d.Accounts.Contact(ctx, user)
	if errs.Is(err, errs.NotFound) {
		return Contact{}, nil
	}
	return to, err
}

// NewSignIn tells of a sign-in in a browser that the account does not know.
func (s *Service) NewSignIn(ctx context.Context, user id.User) error {
	return s.Send(ctx, user, SignIn, nil)
}

// payload is what the link of a notice remembers.
type payload struct {
	Kind  Kind
	To    []string
	First bool `json:",omitempty"`
}

// Link is what a notice's link stands for.
type Link struct {
	User id.User
	Kind Kind
	At   time.Time // when the notice was written
	// To is where it went: its reader reads the mail of one of these, and perhaps not of an address
	// that came later.
	To []string
	// Undo says that every second factor came with or after the notice, a short while ago, and is to be
	// taken away: the owner may have none of them.
	Undo bool
}

// Peek says what a link stands for and changes nothing; mail scanners open links too. Errors are
// those of onetime.Peek.
func (s *Service) Peek(ctx context.Context, token string) (Link, error) {
	t, err := s.d.OneTime.Peek(ctx, NotMe, token)
	if err != nil {
		return Link{}, err
	}
	return s.linkOf(t)
}

// Take uses a link up; also runs in the transaction of that.
func (s *Service) Take(ctx context.Context, token string, also func(context.Context, Link) error) (Link, error) {
	var l Link
	err := s.d.DB.InTx(ctx, func(ctx context.Context) error {
		t, err := s.d.OneTime.Take(ctx, NotMe, token, "")
		if err != nil {
			return err
		}
		if l, err = s.linkOf(t); err != nil {
			return err
		}
		err = s.d.Audit.Record(ctx, audit.Event{
			Action: "account.not_me", Result: audit.OK, Actor: string(l.User), Target: string(l.User),
			Detail: map[string]string{"notice": string(l.Kind)},
		})
		if err != nil {
			return err
		}
		return also(ctx, l)
	})
	return l, errs.Wrap("not me", err)
}

func (s *Service) linkOf(t onetime.Thing) (Link, error) {
	p, err := onetime.Read[payload](t)
	undo := p.First && s.d.Clock.Now().Before(t.CreatedAt.Add(UndoFor))
	return Link{User: id.User(t.Subject), Kind: p.Kind, At: t.CreatedAt, To: p.To, Undo: undo}, err
}
