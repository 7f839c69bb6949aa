package account

import (
	"context"
	"errors"
	"strings"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// The purposes of what people prove by mail.
const (
	PurposeReset    onetime.Purpose = "reset"
	PurposeMailCode onetime.Purpose = "mail_code"
)

// How long a proof by mail is good for. OWASP asks for a short time for resets; half an hour is also
// the life of a journey, and survives a mail server that greylists.
const (
	ResetFor    = 30 * time.Minute
	MailCodeFor = 10 * time.Minute
)

// nowhere is the journey of codes that work in none.
const nowhere id.Journey = "none"

// nobody is whom a mail for an unknown name is written to.
const nobody = "nobody@example.invalid"

// Ask is a visitor who asks for a mail.
type Ask struct {
	// Identifier is an address or username, as typed.
	Identifier string
	// Journey is where the code will work; the link works anywhere.
	Journey id.Journey
	// Locale is the language of the page, for people who chose none in their profile.
	Locale string
	// Before is the thing that an earlier Ask of the same journey returned, if any.
	Before string
}

// proof is what a mailed code or link proves: that its holder reads the mail of that address.
type proof struct {
	User id.User `json:"user,omitempty"` // "" for a name that nobody has
	Key  string  `json:"key,omitempty"`  // of the address, or what was asked for in its place
	// Off says that nothing was sent, so that nobody can know the code.
	Off bool `json:"off,omitempty"`
}

// errand says what is asked for by mail.
type errand struct {
	purpose onetime.Purpose
	kind    string // of the mail
	action  string // of the audit record
	ttl     time.Duration
	budget  ratelimit.Budget
}

// MailEnabled reports whether anything can be proven by mail.
func (s *Service) MailEnabled() bool { return s.mail != nil && s.mail.Enabled() }

// AskReset writes a code and a link for a new password to the account's address, and returns the id
// under which the journey may show the code. Nothing about the account changes. Unknown, disabled,
// unreachable and too often asked for are the same answer after the same work: one read, one
// reservation, one thing that nobody can use, one mail that goes nowhere.
func (s *Service) AskReset(ctx context.Context, in Ask) (string, error) {
	return s.ask(ctx, in, s.errand(PurposeReset))
}

// AskMailCode is AskReset for a code to sign in with.
func (s *Service) AskMailCode(ctx context.Context, in Ask) (string, error) {
	return s.ask(ctx, in, s.errand(PurposeMailCode))
}

// ResetMail sends what AskReset sends to somebody whom an administrator, or the reader of a notice,
// wants to have it. It is not counted. There must be an address, proven or not. Without a journey
// only the link works.
func (s *Service) ResetMail(ctx context.Context, user id.User, journey id.Journey, locale string) (string, error) {
	if !s.MailEnabled() {
		return "", errs.New(errs.NotFound, "", errors.New("mail is off"))
	}
	c, err := s.credential(ctx, user)
	if err != nil {
		return "", errs.Wrap("send reset", err)
	}
	if c.Email == "" || c.Status != Active {
		return "", errs.Field(fieldEmail, KeyNameNeeded)
	}
	if journey == "" {
		journey = nowhere
	}
	one, err := s.dispatch(ctx, Ask{Journey: journey, Locale: locale}, s.errand(PurposeReset), c, "")
	return one, errs.Wrap("send reset", err)
}

func (s *Service) ask(ctx context.Context, in Ask, e errand) (string, error) {
	if !s.MailEnabled() {
		return "", errs.New(errs.NotFound, "", errors.New("mail is off"))
	}
	c, err := s.find(ctx, in.Identifier)
	if err != nil {
		return "", errs.Wrap(e.action, err)
	}
	one, err := s.answer(ctx, in, e, c)
	return one, errs.Wrap(e.action, err)
}

// AskAgain repeats what AskReset or AskMailCode was asked for in a journey: Before says which.
func (s *Service) AskAgain(ctx context.Context, p onetime.Purpose, in Ask) (string, error) {
	e := s.errand(p)
	t, err := s.oneTime.ByID(ctx, p, in.Before)
	if t.ID == "" || t.Binding != string(in.Journey) {
		if err == nil || errs.Is(err, errs.NotFound) {
			err = errs.New(errs.NotFound, onetime.KeyUnknown, err)
		}
		return "", errs.Wrap(e.action, err)
	}
	asked, err := onetime.Read[proof](t)
	if err != nil {
		return "", err
	}
	c, err := s.credential(ctx, asked.User)
	if errs.Is(err, errs.NotFound) {
		c, err = credential{bucket: "name:" + asked.Key}, nil
	}
	if err != nil {
		return "", errs.Wrap(e.action, err)
	}
	one, err := s.answer(ctx, in, e, c)
	return one, errs.Wrap(e.action, err)
}

func (s *Service) errand(p onetime.Purpose) errand {
	if p == PurposeMailCode {
		return errand{p, "sign_in_code", "mail_code.request", MailCodeFor, s.budgets.Codes}
	}
	return errand{p, "reset", "reset.request", ResetFor, s.budgets.Mail}
}

// mailKey is what mails to c are counted under: its address, whatever it was called by.
func mailKey(c credential) string {
	if email, err := ParseEmail(c.Email); err == nil {
		return email.key
	}
	return strings.TrimPrefix(c.bucket, "name:") // an unknown name runs dry alike
}

func (s *Service) answer(ctx context.Context, in Ask, e errand, c credential) (string, error) {
	refused := s.unreachable(c)
	may, err := s.mayWrite(ctx, e, c)
	if err != nil {
		return "", err
	}
	if !may {
		refused = "limited"
	}
	one, err := s.dispatch(ctx, in, e, c, refused)
	if err == nil && refused == "limited" && in.Before != "" {
		return in.Before, nil // the code that was sent before still works
	}
	return one, err
}

// mayWrite is mayMail to somebody who may have an account. A browser in which they have signed in
// before draws on budgets of its own alone: strangers cannot use that up.
func (s *Service) mayWrite(ctx context.Context, e errand, c credential) (bool, error) {
	lane := ""
	if s.lanes != nil {
		var err error
		if lane, err = s.lanes.Lane(ctx, c.ID); err != nil {
			return false, err
		}
	}
	key := ratelimit.Key{Budget: e.budget, Value: mailKey(c)}
	if lane == "" {
		return s.mayMailFromAnywhere(ctx, key)
	}
	key.Value += "\x00" + lane
	return s.mayMail(ctx, "browser:"+lane, key)
}

// unreachable says why an account gets no proofs by mail, "" if it does. Who registered an address
// without proving it may have mistyped it: its owner must not get the account with a reset. Nobody
// has had an account that was made for somebody without a password, so that there the mail is the
// way in.
func (s *Service) unreachable(c credential) string {
	given := c.hash == "" && (c.Source == "cli" || strings.HasPrefix(c.Source, "import:"))
	switch {
	case c.ID == "":
		return "unknown"
	case c.Status != Active:
		return "disabled"
	case c.Email == "":
		return "no_address"
	case !c.EmailVerified && !given:
		return "unverified"
	}
	return ""
}

// dispatch makes the thing and writes the mail, or does as much for nothing.
func (s *Service) dispatch(ctx context.Context, in Ask, e errand, c credential, refused string) (string, error) {
	draft := onetime.Draft{
		Purpose: e.purpose, Subject: string(c.ID), Binding: string(in.Journey), TTL: e.ttl, Token: id.MailLink, Code: true, Void: true,
	}
	p, to, send := proof{User: c.ID, Key: mailKey(c), Off: refused != ""}, c.Email, s.mail.Send
	event := audit.Event{Action: e.action, Result: audit.OK, Target: string(c.ID)}
	if refused != "" {
		to, send = nobody, s.mail.SendNothing
		draft.Subject = "nobody:" + id.Digest(c.bucket)
		event.Result, event.Detail = audit.Refused, map[string]string{"reason": refused}
	}
	draft.Payload = p
	locale := c.Profile.Locale
	if locale == "" {
		locale = in.Locale
	}
	var issued onetime.Issued
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if issued, err = s.oneTime.Put(ctx, draft); err != nil {
			return err
		}
		src := audit.SourceOf(ctx)
		err = send(ctx, mail.Message{
			To: to, Account: c.ID, Kind: e.kind, Locale: locale, Expires: issued.ExpiresAt,
			Data: map[string]any{
				"Code": issued.Code, "Link": s.link(issued),
				"At": notice.When(locale, c.Profile.Zoneinfo, s.clock.Now()), "Browser": notice.Browser(locale, src.UserAgent), "IP": src.IP,
			},
		})
		if err != nil {
			return err
		}
		return s.audit.Record(ctx, event)
	})
	return issued.ID, err
}

// link is the address behind a mailed token.
func (s *Service) link(one onetime.Issued) string { return s.issuer + "/m/" + one.Token.Reveal() }

// proven reads what a taken thing proves, in the transaction that took it. The account must still be
// in use and the address still be its own; that address is verified from now on.
func (s *Service) proven(ctx context.Context, t onetime.Thing) (Account, error) {
	store.MustTx(ctx)
	gone := errs.New(errs.NotFound, onetime.KeyUnknown, errors.New("not the account's any more"))
	p, err := onetime.Read[proof](t)
	if err != nil {
		return Account{}, err
	}
	if p.User == "" || p.Off {
		return Account{}, errs.New(errs.Unauthenticated, onetime.KeyWrong, errors.New("a guess at what nobody has"))
	}
	n, err := s.db.Q(ctx).Exec(ctx, sqlProveEmail, p.Key, string(p.User), store.Micros(s.clock.Now()))
	if err != nil {
		return Account{}, err
	}
	a, err := s.ByID(ctx, p.User)
	switch {
	case errs.Is(err, errs.NotFound), err == nil && (n == 0 || a.Status != Active):
		return Account{}, gone
	}
	return a, err
}
