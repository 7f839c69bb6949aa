package account

import (
	"context"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// OwesTerms reports whether a has yet to agree to the terms of today.
func (s *Service) OwesTerms(a Account) bool {
	return s.signUps.Terms != "" && a.TermsVersion != s.signUps.Terms
}

// AcceptTerms takes note that a person agrees to the terms. version is what the page showed: if it
// is not that of today any more, it is an errs.Field and the page has to be shown again.
func (s *Service) AcceptTerms(ctx context.Context, user id.User, version string) error {
	if err := s.agreed(version); err != nil {
		return err
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.mustHit(ctx, sqlAcceptTerms, string(user), version, store.Micros(s.clock.Now())); err != nil {
			return err
		}
		return s.record(ctx, "terms.accept", audit.OK, user, map[string]string{"version": version})
	})
	return errs.Wrap("accept terms", err)
}
