package notice

import (
	"context"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
)

// Question is an application's request that waits for somebody.
type Question struct {
	Application string
	Page        string // on which they decide
	Expires     time.Time
}

// Asked writes to the primary verified address that an application waits for a decision, in the transaction
// that ctx carries. The page behind the link is for the person's own session alone, so the link opens
// nothing; and the mail says nothing that the application could choose but its name.
func (s *Service) Asked(ctx context.Context, user id.User, q Question) error {
	to, err := s.reach(ctx, user)
	if err != nil || len(to.Verified) == 0 {
		return errs.Wrap("ask somebody", err)
	}
	return errs.Wrap("ask somebody", s.d.Mail.Send(ctx, mail.Message{
		To: to.Verified[0], Account: user, Kind: "asked", Locale: to.Locale, Expires: q.Expires,
		Data: map[string]any{"Application": q.Application, "Link": s.d.Issuer + q.Page, "At": When(to.Locale, to.Zone, s.d.Clock.Now())},
	}))
}
