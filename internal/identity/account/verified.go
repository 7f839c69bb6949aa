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
	return s.ownerOf(ctx, sqlVerifiedOwner, email.key)
}

// ByUsername returns whose user name this is; errs.NotFound if nobody's.
func (s *Service) ByUsername(ctx context.Context, typed string) (id.User, error) {
	name, err := ParseUsername(typed)
	if err != nil {
		return "", errs.New(errs.NotFound, "", err)
	}
	return s.ownerOf(ctx, sqlUsernameOwner, name.key)
}

func (s *Service) ownerOf(ctx context.Context, sql, key string) (id.User, error) {
	var user string
	err := s.db.Q(ctx).QueryRow(ctx, sql, key).Scan(&user)
	if errors.Is(err, store.ErrNoRows) {
		return "", errs.New(errs.NotFound, "", err)
	}
	return id.User(user), errs.Wrap("account of a name", err)
}
