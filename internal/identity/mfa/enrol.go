package mfa

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

const (
	purposeEnrol onetime.Purpose = "totp_enrol"
	enrolFor                     = 10 * time.Minute
)

// Enrolment is an authenticator app that is being set up. It counts for nothing before a code of
// it was confirmed.
type Enrolment struct {
	ID        string
	Secret    seal.Secret // base32, for typing
	URI       seal.Secret // otpauth://totp/…
	QR        QR          // the URI, for scanning
	ExpiresAt time.Time
}

type pending struct {
	Seed []byte `json:"seed"`
	// Replaces says that the account had an app when this one was begun. Who began without one must
	// not replace another that was set up meanwhile.
	Replaces bool `json:"replaces,omitempty"`
}

// BeginTOTP starts to set up an authenticator app for the user within one session or journey
// (binding), in place of any that was begun and not confirmed. label is the account's name as the
// app will show it.
func (s *Service) BeginTOTP(ctx context.Context, user id.User, binding, label string) (Enrolment, error) {
	if binding == "" {
		return Enrolment{}, errors.New("mfa: an enrolment needs a binding")
	}
	present, err := s.TOTP(ctx, user)
	if err != nil {
		return Enrolment{}, err
	}
	seed := make([]byte, seedBytes)
	_, _ = rand.Read(seed) // never fails (crypto/rand)
	put, err := s.onetime.Put(ctx, onetime.Draft{
		Purpose: purposeEnrol, Subject: string(user), Binding: binding, Payload: pending{seed, present != nil}, TTL: enrolFor, Void: true,
	})
	if err != nil {
		return Enrolment{}, errs.Wrap("begin TOTP", err)
	}
	return s.enrolment(put.ID, seed, label, put.ExpiresAt)
}

// PendingTOTP returns an enrolment that was begun in the binding and not confirmed yet, so that its
// page can be shown again; errs.NotFound otherwise.
func (s *Service) PendingTOTP(ctx context.Context, user id.User, enrolment, binding, label string) (Enrolment, error) {
	p, expires, err := s.pending(ctx, user, enrolment, binding)
	if err != nil {
		return Enrolment{}, err
	}
	return s.enrolment(enrolment, p.Seed, label, expires)
}

func (s *Service) pending(ctx context.Context, user id.User, enrolment, binding string) (pending, time.Time, error) {
	t, err := s.onetime.ByID(ctx, purposeEnrol, enrolment)
	if err != nil {
		return pending{}, time.Time{}, errs.Wrap("TOTP enrolment", err)
	}
	if binding == "" || t.Binding != binding || t.Subject != string(user) {
		return pending{}, time.Time{}, errs.New(errs.NotFound, onetime.KeyUnknown, errors.New("TOTP enrolment of another"))
	}
	p, err := onetime.Read[pending](t)
	return p, t.ExpiresAt, err
}

func (s *Service) enrolment(enrolment string, seed []byte, label string, expires time.Time) (Enrolment, error) {
	// A colon separates issuer and account in the label of the URI.
	clean := strings.NewReplacer(":", " ")
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: clean.Replace(s.issuer), AccountName: clean.Replace(label), Period: period, Secret: seed,
		Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return Enrolment{}, errs.Wrap("TOTP enrolment", err)
	}
	qr, err := drawQR(key.URL())
	if err != nil {
		return Enrolment{}, errs.Wrap("TOTP enrolment", err)
	}
	return Enrolment{
		ID: enrolment, Secret: seal.Secret(encode(seed)), URI: seal.Secret(key.URL()), QR: qr, ExpiresAt: expires,
	}, nil
}

// ConfirmTOTP turns an enrolment into the account's authenticator app, in place of an earlier one,
// if code is one of its codes. The time step of that code is used up by it. also runs in the same
// transaction. errs.Conflict if the account got another app since this one was begun.
func (s *Service) ConfirmTOTP(ctx context.Context, user id.User, enrolment, binding string, code seal.Secret, also ...func(context.Context) error) error {
	p, _, err := s.pending(ctx, user, enrolment, binding)
	if err != nil {
		return err
	}
	reserved, _, err := s.reserve(ctx, user, s.budgets.TOTP)
	if err != nil {
		return errs.Wrap("confirm TOTP", err)
	}
	now := s.clock.Now()
	step, ok := match(p.Seed, code, now, 0)
	if !ok {
		return s.refuse(ctx, "totp.enrol", user, "wrong", errs.New(errs.Unauthenticated, KeyWrong, nil))
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.onetime.TakeID(ctx, purposeEnrol, enrolment, binding); err != nil {
			return err
		}
		put := sqlAddTOTP
		if p.Replaces {
			put += sqlReplaceTOTP
		}
		sealed := s.seal.Seal("totp_credential", "seed_sealed", string(user), p.Seed)
		_, err := s.db.Q(ctx).Exec(ctx, put, string(user), sealed, step, store.Micros(now))
		switch {
		case errors.Is(err, store.ErrForeignKey):
			return errs.New(errs.Unauthenticated, "", err) // the account was deleted meanwhile
		case errors.Is(err, store.ErrUnique):
			return errs.New(errs.Conflict, "", err)
		case err != nil:
			return err
		}
		return s.done(ctx, "totp.enrol", user, nil, also)
	})
	if err != nil {
		return errs.Wrap("confirm TOTP", err)
	}
	s.giveBack(ctx, reserved)
	return nil
}
