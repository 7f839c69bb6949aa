package account

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
)

// PurposeInvitation marks invitations among the one-time things. The subject of one is the key of
// the address that it is for, or an id of its own.
const PurposeInvitation onetime.Purpose = "invitation"

// The lifetimes of invitations.
const (
	InvitationLife    = 7 * 24 * time.Hour
	maxInvitationLife = 90 * 24 * time.Hour
)

// Invitation is a link that lets its holder make one account.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email,omitempty"` // the only address it is good for; "" for any
	ExpiresAt time.Time `json:"expires_at"`
}

type invited struct {
	Email string `json:"email,omitempty"`
}

// admits reports whether the invitation is good for an address.
func (i Invitation) admits(email Email) bool {
	if i.Email == "" {
		return true
	}
	mine, err := ParseEmail(i.Email)
	return err == nil && mine.key == email.key
}

// NewInvitation is what an administrator gives. Email may be empty; Life 0 means InvitationLife.
type NewInvitation struct {
	Email  string
	Life   time.Duration
	Send   bool   // mail the link to Email
	Locale string // of that mail
}

// Invite makes an invitation and returns it with its link, which is known nowhere else. Of several
// invitations for one address the newest counts. Where sign-up is closed there is nothing to
// invite to: errs.Forbidden.
func (s *Service) Invite(ctx context.Context, in NewInvitation) (Invitation, seal.Secret, error) {
	if s.oneTime == nil {
		return Invitation{}, "", errs.New(errs.Unavailable, "", errors.New("account: no OneTime"))
	}
	if s.signUps.Mode == Closed {
		return Invitation{}, "", errs.New(errs.Forbidden, KeySignUpClosed, nil)
	}
	if in.Life == 0 {
		in.Life = InvitationLife
	}
	if in.Life < time.Minute || in.Life > maxInvitationLife {
		return Invitation{}, "", errs.Field("expires", "invalid")
	}
	var email Email
	subject := id.New()
	if in.Email != "" {
		var err error
		if email, err = ParseEmail(in.Email); err != nil {
			return Invitation{}, "", err
		}
		subject = email.key
	}
	if in.Send && (email.key == "" || !s.MailEnabled()) {
		return Invitation{}, "", errs.Field(fieldEmail, "invalid")
	}
	var issued onetime.Issued
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		issued, err = s.oneTime.Put(ctx, onetime.Draft{
			Purpose: PurposeInvitation, Subject: subject, Payload: invited{email.address}, TTL: in.Life, Token: id.Invitation, Void: true,
		})
		if err != nil {
			return err
		}
		if in.Send {
			err = s.mail.Send(ctx, mail.Message{
				To: email.address, Kind: "invitation", Locale: in.Locale, Expires: issued.ExpiresAt,
				Data: map[string]any{"Link": s.link(issued)},
			})
			if err != nil {
				return err
			}
		}
		return s.audit.Record(ctx, audit.Event{Action: "invitation.create", Result: audit.OK, Target: issued.ID})
	})
	if err != nil {
		return Invitation{}, "", errs.Wrap("invite", err)
	}
	return Invitation{issued.ID, email.address, issued.ExpiresAt}, seal.Secret(s.link(issued)), nil
}

// Invitation looks an invitation up and changes nothing. One that is unknown, used, expired or taken
// back is an errs.NotFound that says which (onetime.KeyUsed and so on).
func (s *Service) Invitation(ctx context.Context, token string) (Invitation, error) {
	if _, ok := id.Hash(id.Invitation, token); !ok || s.oneTime == nil {
		return Invitation{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	thing, err := s.oneTime.Peek(ctx, PurposeInvitation, token)
	if err != nil {
		return Invitation{}, errs.Wrap("invitation", err)
	}
	p, err := onetime.Read[invited](thing)
	return Invitation{thing.ID, p.Email, thing.ExpiresAt}, err
}

// Uninvite takes an invitation back, by its id or by the address that it is for; errs.NotFound if
// there was none.
func (s *Service) Uninvite(ctx context.Context, which string) error {
	if s.oneTime == nil {
		return errs.New(errs.Unavailable, "", errors.New("account: no OneTime"))
	}
	subject := ""
	if email, err := ParseEmail(which); err == nil {
		subject = email.key
	} else if thing, err := s.oneTime.ByID(ctx, PurposeInvitation, which); err == nil {
		subject = thing.Subject
	} else if !errs.Is(err, errs.NotFound) {
		return errs.Wrap("take back invitation", err)
	}
	if subject == "" {
		return errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.oneTime.Void(ctx, PurposeInvitation, subject)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.NotFound, onetime.KeyUnknown, nil)
		}
		return s.audit.Record(ctx, audit.Event{Action: "invitation.revoke", Result: audit.OK})
	})
	return errs.Wrap("take back invitation", err)
}

// Invitations returns those that can still be used, in the order in which they were made, after the
// one with the given id; for administrators.
func (s *Service) Invitations(ctx context.Context, after string) ([]Invitation, error) {
	if s.oneTime == nil {
		return nil, nil
	}
	things, err := s.oneTime.Open(ctx, PurposeInvitation, after)
	if err != nil {
		return nil, errs.Wrap("invitations", err)
	}
	list := make([]Invitation, len(things))
	for i, t := range things {
		p, err := onetime.Read[invited](t)
		if err != nil {
			return nil, err
		}
		list[i] = Invitation{t.ID, p.Email, t.ExpiresAt}
	}
	return list, nil
}
