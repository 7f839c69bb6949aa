package account

import (
	"context"
	"errors"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// ByVerifiedEmail returns whose verified address this is; errs.NotFound if nobody's. An address that
// somebody merely entered, or has replaced, is nobody's.
func (s *Service) ByVerifiedEmail(ctx context.Context, address string) (id.User, error) {
	email, err := ParseEmail(address)
	if err != nil {
		return "", errs.New(errs.NotFound, "", err)
	}
	var user string
	err = s.db.Q(ctx).QueryRow(ctx, sqlVerifiedOwner, email.key).Scan(&user)
	if errors.Is(err, store.ErrNoRows) {
		return "", errs.New(errs.NotFound, "", err)
	}
	return id.User(user), errs.Wrap("account of an address", err)
}
