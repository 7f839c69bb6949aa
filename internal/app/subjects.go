package app

import (
	"context"

	"signet/internal/identity/account"
	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// subjects tells the engine about people: the one bridge from identity to oauth.
type subjects struct{ accounts *account.Service }

// Subject implements oauth.Subjects. Somebody who does not exist is not active.
func (s subjects) Subject(ctx context.Context, user id.User) (oauth.Subject, error) {
	a, err := s.accounts.ByID(ctx, user)
	if errs.Is(err, errs.NotFound) {
		return oauth.Subject{ID: user}, nil
	}
	if err != nil {
		return oauth.Subject{}, err
	}
	return oauth.Subject{ID: a.ID, Active: a.Status == account.Active, Claims: a.Claims()}, nil
}
