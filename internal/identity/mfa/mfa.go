// Package mfa owns what proves a person besides the password: the authenticator app (TOTP, RFC
// 6238) and the recovery codes for the day it is lost. It owns the tables totp_credential and
// recovery_code. Passkeys are passkey's; whether a second factor is owed is for signin to decide,
// which asks Of for what an account has; pages ask for codes and show them.
package mfa

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Factors is what an account can prove itself with besides its password.
type Factors struct {
	TOTP         bool
	Passkeys     int
	RecoveryLeft int // unused recovery codes
}

// Any reports whether there is a second factor. Recovery codes alone are none: they stand in for
// one that was lost.
func (f Factors) Any() bool { return f.TOTP || f.Passkeys > 0 }

// Passkeys counts the passkeys of an account; passkey.Service is it.
type Passkeys interface {
	Count(ctx context.Context, user id.User) (int, error)
}

// Budgets bound the guesses. Zero ones get their default.
type Budgets struct {
	// TOTP bounds wrong codes of one account: 5 per 5 minutes. A browser that is known to the
	// account has a budget of its own, so that somebody else's guesses do not lock its owner out.
	TOTP ratelimit.Budget
	// Recovery bounds wrong recovery codes of one account, likewise: 5 per 15 minutes.
	Recovery ratelimit.Budget
	// Failures is how many wrong codes in a row, over all time, turn the authenticator app off
	// until its owner comes in another way: 50, and 100 counting those from known browsers (NIST
	// SP 800-63B-4 §3.2.2 ends at 100).
	Failures, FailuresKnown int
}

func (b *Budgets) setDefaults() {
	if b.TOTP.Limit == 0 {
		b.TOTP = ratelimit.Budget{Name: "totp-account", Limit: 5, Per: 5 * time.Minute}
	}
	if b.Recovery.Limit == 0 {
		b.Recovery = ratelimit.Budget{Name: "recovery-account", Limit: 5, Per: 15 * time.Minute}
	}
	if b.Failures == 0 {
		b.Failures, b.FailuresKnown = 50, 100
	}
}

// Deps is what a Service needs.
type Deps struct {
	DB     *store.DB
	Clock  clock.Clock
	Seal   *seal.Sealer
	Limits *ratelimit.Limiter
	Audit  *audit.Log
	// Onetime keeps the enrolments that wait for their first code.
	Onetime *onetime.Service
	Log     *slog.Logger
	// Issuer is the name that an authenticator app shows above the codes.
	Issuer   string
	Passkeys Passkeys // nil = there are none
	// Lane says which budget an attempt counts in: "" for the common one, or the id of the known
	// browser it comes from (device.Service.Lane). nil = always the common one.
	Lane    func(ctx context.Context, user id.User) (string, error)
	Budgets Budgets
}

// Service is the second factors of one store. It is safe for concurrent use.
type Service struct {
	db       *store.DB
	clock    clock.Clock
	seal     *seal.Sealer
	limits   *ratelimit.Limiter
	audit    *audit.Log
	onetime  *onetime.Service
	log      *slog.Logger
	issuer   string
	passkeys Passkeys
	lane     func(ctx context.Context, user id.User) (string, error)
	budgets  Budgets
	key      []byte // of the recovery codes' hashes
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Seal == nil || d.Limits == nil || d.Audit == nil || d.Onetime == nil || d.Issuer == "" {
		return nil, errors.New("mfa: DB, Clock, Seal, Limits, Audit, Onetime and Issuer are required")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Lane == nil {
		d.Lane = func(context.Context, id.User) (string, error) { return "", nil }
	}
	d.Budgets.setDefaults()
	if d.Budgets.FailuresKnown < d.Budgets.Failures {
		return nil, errors.New("mfa: FailuresKnown is at least Failures")
	}
	return &Service{
		db: d.DB, clock: d.Clock, seal: d.Seal, limits: d.Limits, audit: d.Audit, onetime: d.Onetime, log: d.Log,
		issuer: d.Issuer, passkeys: d.Passkeys, lane: d.Lane, budgets: d.Budgets,
		key: bytes.Clone(d.Seal.Subkey("recovery-code")),
	}, nil
}

// Of returns what the account has.
func (s *Service) Of(ctx context.Context, user id.User) (Factors, error) {
	var f Factors
	var totp, left int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlFactors, string(user)).Scan(&totp, &left)
	if err != nil {
		return f, errs.Wrap("second factors", err)
	}
	f.TOTP, f.RecoveryLeft = totp > 0, int(left)
	if s.passkeys != nil {
		if f.Passkeys, err = s.passkeys.Count(ctx, user); err != nil {
			return f, errs.Wrap("second factors", err)
		}
	}
	return f, nil
}
