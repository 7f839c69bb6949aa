package mfa

import (
	"context"

	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

// RecoveryCodes is how many codes a set has.
const RecoveryCodes = 10

// NewRecoveryCodes replaces the account's recovery codes by a new set and returns it; nobody can
// read it again. also runs in the same transaction.
func (s *Service) NewRecoveryCodes(ctx context.Context, user id.User, also ...func(context.Context) error) ([]seal.Secret, error) {
	panic("being written")
}

// UseRecoveryCode uses one code up and returns how many are left, as it tells also, which runs in
// the same transaction.
func (s *Service) UseRecoveryCode(ctx context.Context, user id.User, code seal.Secret, also ...func(ctx context.Context, left int) error) (int, error) {
	panic("being written")
}
