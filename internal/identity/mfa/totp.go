package mfa

import (
	"context"

	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

// Enrolment is an authenticator app that is being set up. It counts for nothing before a code of
// it was confirmed.
type Enrolment struct {
	ID     string
	Secret seal.Secret // base32, for typing
	URI    seal.Secret // otpauth://totp/…
	SVG    seal.Secret // the URI as a QR code: a complete <svg> element
}

// BeginTOTP starts to set up an authenticator app for the user within one session or journey
// (binding), in place of any that was begun and not confirmed. label is the account's name as the
// app will show it.
func (s *Service) BeginTOTP(ctx context.Context, user id.User, binding, label string) (Enrolment, error) {
	panic("being written")
}

// PendingTOTP returns an enrolment that was begun in the binding and not confirmed yet.
func (s *Service) PendingTOTP(ctx context.Context, user id.User, enrolment, binding, label string) (Enrolment, error) {
	panic("being written")
}

// ConfirmTOTP turns an enrolment into the account's authenticator app, in place of an earlier one,
// if code is one of its codes. also runs in the same transaction.
func (s *Service) ConfirmTOTP(ctx context.Context, user id.User, enrolment, binding string, code seal.Secret, also ...func(context.Context) error) error {
	panic("being written")
}

// VerifyTOTP checks a code of the account's authenticator app and uses its time step up (RFC 6238
// §5.2). also runs in the transaction of that.
func (s *Service) VerifyTOTP(ctx context.Context, user id.User, code seal.Secret, also ...func(context.Context) error) error {
	panic("being written")
}

// RemoveTOTP takes the authenticator app away, and the recovery codes with the last second factor.
// errs.NotFound if there is none.
func (s *Service) RemoveTOTP(ctx context.Context, user id.User, also ...func(context.Context) error) error {
	panic("being written")
}

// Reset takes the authenticator app and all recovery codes away, for the operator whom a person
// asked for help. It reports whether there was anything. Passkeys stay.
func (s *Service) Reset(ctx context.Context, user id.User, also ...func(context.Context) error) (bool, error) {
	panic("being written")
}
