package passkey

import (
	"context"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// Choices keeps what people chose; account.Service is it.
type Choices interface {
	Choice(ctx context.Context, user id.User, name string) (string, error)
	Choose(ctx context.Context, user id.User, name, value string) error
}

const (
	choiceOffer = "passkey_offer" // "never", or the time before which nobody asks again
	never       = "never"
	// AskAgain is how long "not now" lasts.
	AskAgain = 30 * 24 * time.Hour
)

// OfferDue reports whether somebody who has just signed in by password may be offered a passkey:
// if the deployment wants that, and the person has none and has not declined.
func (s *Service) OfferDue(ctx context.Context, user id.User) (bool, error) {
	if s.choices == nil {
		return false, nil
	}
	n, err := s.Count(ctx, user)
	if err != nil || n > 0 {
		return false, err
	}
	chosen, err := s.choices.Choice(ctx, user, choiceOffer)
	if err != nil || chosen == never {
		return false, errs.Wrap("offer of a passkey", err)
	}
	until, err := time.Parse(time.RFC3339, chosen)
	return err != nil || !s.clock.Now().Before(until), nil
}

// DeclineOffer takes note of "not now" or, with forever, "don't ask again".
func (s *Service) DeclineOffer(ctx context.Context, user id.User, forever bool) error {
	if s.choices == nil {
		return nil
	}
	value := never
	if !forever {
		value = s.clock.Now().Add(AskAgain).UTC().Format(time.RFC3339)
	}
	return errs.Wrap("decline a passkey", s.choices.Choose(ctx, user, choiceOffer, value))
}
