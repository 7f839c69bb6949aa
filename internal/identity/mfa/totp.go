package mfa

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// What every authenticator app assumes: six digits, thirty seconds, SHA-1, a seed as long as the
// hash (RFC 4226 §4 R6, RFC 6238 §1.2). SHA-1's collisions do not concern HMAC.
const (
	period    = 30
	seedBytes = 20
	// skew is how many steps before and after the present one are accepted: a clock half a minute
	// off, or a slow hand (RFC 6238 §5.2).
	skew = 1
)

// The message keys of the ways in which a code is refused. Whoever reads them has proven the first
// factor or is signed in.
const (
	KeyWrong  = "totp_wrong"
	KeyUsed   = "totp_used"
	KeyLocked = "totp_locked"
	KeyNone   = "totp_none"
)

// VerifyTOTP checks a code of the account's authenticator app and uses its time step up (RFC 6238
// §5.2): of any number of uses one succeeds, and no earlier code does afterwards. also runs in the
// transaction of that. The attempt is counted and committed before the code is looked at, so it
// must not be called within a transaction.
//
// Refusals are errs.Unauthenticated with KeyWrong, KeyUsed or KeyLocked, errs.Limited, and
// errs.NotFound with KeyNone if there is no app.
func (s *Service) VerifyTOTP(ctx context.Context, user id.User, code seal.Secret, also ...func(context.Context) error) error {
	reserved, known, err := s.reserve(ctx, user, s.budgets.TOTP)
	if err != nil {
		return errs.Wrap("verify TOTP", err)
	}
	most := s.budgets.Failures
	if known {
		most = s.budgets.FailuresKnown
	}
	var sealed []byte
	var last int64
	err = s.db.Q(ctx).QueryRow(ctx, sqlTryTOTP, string(user), most).Scan(&sealed, &last)
	if errors.Is(err, store.ErrNoRows) {
		return s.notTried(ctx, user)
	}
	if err != nil {
		return errs.Wrap("verify TOTP", err)
	}
	seed, err := s.seal.Open("totp_credential", "seed_sealed", string(user), sealed)
	if err != nil {
		return errs.Wrap("verify TOTP", err)
	}
	now := s.clock.Now()
	step, ok := match(seed, code, now, last)
	if !ok {
		return s.refuse(ctx, "totp.verify", user, "wrong", errs.New(errs.Unauthenticated, KeyWrong, nil))
	}
	used := errs.New(errs.Unauthenticated, KeyUsed, nil)
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		err := s.db.Q(ctx).QueryRow(ctx, sqlAcceptTOTP, string(user), sealed, step, store.Micros(now)).Scan(new(string))
		if errors.Is(err, store.ErrNoRows) {
			return used
		}
		if err != nil {
			return err
		}
		return s.done(ctx, "totp.verify", user, nil, also)
	})
	if errors.Is(err, used) {
		return s.refuse(ctx, "totp.verify", user, "used", used)
	}
	if err != nil {
		return errs.Wrap("verify TOTP", err)
	}
	s.giveBack(ctx, reserved)
	return nil
}

// notTried says why no code was looked at: there is no app, or too many codes in a row were wrong.
func (s *Service) notTried(ctx context.Context, user id.User) error {
	info, err := s.TOTP(ctx, user)
	if err != nil {
		return err
	}
	if info == nil {
		return errs.New(errs.NotFound, KeyNone, nil)
	}
	return s.refuse(ctx, "totp.verify", user, "locked", errs.New(errs.Unauthenticated, KeyLocked, nil))
}

// App is what an account's owner may know of the authenticator app.
type App struct {
	CreatedAt, LastUsedAt time.Time
	// Locked is whether too many wrong codes in a row have turned it off.
	Locked bool
}

// TOTP returns the account's authenticator app, nil if there is none.
func (s *Service) TOTP(ctx context.Context, user id.User) (*App, error) {
	var created, used, failures int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlTOTPInfo, string(user)).Scan(&created, &used, &failures)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Wrap("authenticator app", err)
	}
	return &App{CreatedAt: store.Time(created), LastUsedAt: store.Time(used), Locked: failures >= int64(s.budgets.Failures)}, nil
}

// RemoveTOTP takes the authenticator app away, and the recovery codes with the last second factor:
// they stand in for one. errs.NotFound if there is none.
func (s *Service) RemoveTOTP(ctx context.Context, user id.User, also ...func(context.Context) error) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.db.Q(ctx).Exec(ctx, sqlDeleteTOTP, string(user))
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.NotFound, KeyNone, nil)
		}
		left, err := s.Of(ctx, user)
		if err != nil {
			return err
		}
		if !left.Any() {
			if _, err := s.db.Q(ctx).Exec(ctx, sqlDeleteCodes, string(user)); err != nil {
				return err
			}
		}
		return s.done(ctx, "totp.remove", user, nil, also)
	})
	return errs.Wrap("remove TOTP", err)
}

// Reset takes the authenticator app and all recovery codes away, for the operator whom a person
// asked for help. It reports whether there was anything. Passkeys stay.
func (s *Service) Reset(ctx context.Context, user id.User, also ...func(context.Context) error) (bool, error) {
	var n int64
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		n = 0
		for _, sql := range []string{sqlDeleteTOTP, sqlDeleteCodes} {
			gone, err := s.db.Q(ctx).Exec(ctx, sql, string(user))
			if err != nil {
				return err
			}
			n += gone
		}
		if _, err := s.onetime.Void(ctx, purposeEnrol, string(user)); err != nil {
			return err
		}
		return s.done(ctx, "mfa.reset", user, nil, also)
	})
	return n > 0, errs.Wrap("reset second factors", err)
}

// match looks for the step that code belongs to among those accepted at now. Of several it prefers
// one after last, which is not used up. All are compared, whatever the first ones say.
func match(seed []byte, code seal.Secret, now time.Time, last int64) (step int64, ok bool) {
	typed := onetime.CleanCode(code.Reveal())
	present := now.Unix() / period
	for at := present - skew; at <= present+skew; at++ {
		want, err := hotp.GenerateCodeCustom(encode(seed), uint64(at), hotp.ValidateOpts{ //nolint:gosec // after 1970
			Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
		})
		if err != nil {
			return 0, false
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(typed)) == 1 && (!ok || step <= last) {
			step, ok = at, true
		}
	}
	return step, ok
}

// encode writes a seed as authenticator apps expect it: base32 without padding.
func encode(seed []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(bytes.Clone(seed))
}

// reserve counts one attempt of the user, apart for a known browser. It reports whether it is one.
func (s *Service) reserve(ctx context.Context, user id.User, b ratelimit.Budget) (*ratelimit.Reservation, bool, error) {
	lane, err := s.lane(ctx, user)
	if err != nil {
		return nil, false, err
	}
	r, err := s.limits.Reserve(ctx, ratelimit.Key{Budget: b, Value: string(user) + "\x00" + lane})
	return r, lane != "", err
}

// giveBack returns a reservation even if the visitor has left meanwhile. If that fails, one attempt
// of the budget is gone until it refills.
func (s *Service) giveBack(ctx context.Context, r *ratelimit.Reservation) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.Return(rctx); err != nil {
		s.log.WarnContext(ctx, "attempt not given back", "error", err)
	}
}

// refuse records a refusal and returns it.
func (s *Service) refuse(ctx context.Context, action string, user id.User, reason string, refusal error) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		return s.record(ctx, action, audit.Refused, user, map[string]string{"reason": reason})
	})
	if err != nil {
		return errs.Wrap(action, err)
	}
	return refusal
}

// done records an act and runs what belongs to it.
func (s *Service) done(ctx context.Context, action string, user id.User, detail map[string]string, also []func(context.Context) error) error {
	if err := s.record(ctx, action, audit.OK, user, detail); err != nil {
		return err
	}
	for _, fn := range also {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) record(ctx context.Context, action, result string, user id.User, detail map[string]string) error {
	actor := audit.SourceOf(ctx).Actor
	if actor == "" {
		actor = string(user)
	}
	return s.audit.Record(ctx, audit.Event{Action: action, Result: result, Actor: actor, Target: string(user), Detail: detail})
}
