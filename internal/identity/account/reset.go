package account

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// ProveReset takes the code of a reset, in the journey that asked for it. also runs in the
// transaction that uses the code up and notes what was proven. It signs nobody in: what follows is
// Reset, and then a sign-in with everything it takes.
func (s *Service) ProveReset(ctx context.Context, thing string, journey id.Journey, code string, also func(context.Context, id.User) error) error {
	_, err := s.proveByCode(ctx, PurposeReset, "reset.prove", thing, journey, code, func(ctx context.Context, a Account) error { return also(ctx, a.ID) })
	return errs.Wrap("prove reset", err)
}

// MailLink is what the link of a mail stands for.
type MailLink struct {
	Journey id.Journey // where it was asked for; "" if by an administrator
}

// PeekLink says what a link stands for, of a reset or a code to sign in, and changes nothing. Errors
// are those of onetime.Peek.
func (s *Service) PeekLink(ctx context.Context, p onetime.Purpose, token string) (MailLink, error) {
	if s.oneTime == nil {
		return MailLink{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	t, err := s.oneTime.Peek(ctx, p, token)
	return MailLink{Journey: id.Journey(t.Binding)}, err
}

// ProveResetLink is ProveReset by the link, which works in any browser.
func (s *Service) ProveResetLink(ctx context.Context, token string, also func(context.Context, id.User) error) error {
	link, err := s.PeekLink(ctx, PurposeReset, token)
	if err != nil {
		return err
	}
	_, err = s.proveByLink(ctx, PurposeReset, "reset.prove", token, link.Journey, func(ctx context.Context, a Account) error { return also(ctx, a.ID) })
	return errs.Wrap("prove reset", err)
}

// ProveMailCodeLink is ProveMailCode by the link, which works where it was asked for: it signs in.
func (s *Service) ProveMailCodeLink(ctx context.Context, token string, journey id.Journey, also func(context.Context, Account) error) (Account, error) {
	a, err := s.proveByLink(ctx, PurposeMailCode, "mail_code.prove", token, journey, also)
	return a, errs.Wrap("prove mail code", err)
}

func (s *Service) proveByLink(ctx context.Context, p onetime.Purpose, action, token string, journey id.Journey, also func(context.Context, Account) error) (Account, error) {
	var a Account
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		taken, err := s.oneTime.Take(ctx, p, token, string(journey))
		if err != nil {
			return err
		}
		if a, err = s.proven(ctx, taken); err != nil {
			return err
		}
		if err := s.record(ctx, action, audit.OK, a.ID, map[string]string{"by": "link"}); err != nil {
			return err
		}
		return also(ctx, a)
	})
	return a, err
}

// ProveMailCode takes a code to sign in with, in the journey that asked for it. also runs in the
// transaction that uses it up.
func (s *Service) ProveMailCode(ctx context.Context, thing string, journey id.Journey, code string, also func(context.Context, Account) error) (Account, error) {
	a, err := s.proveByCode(ctx, PurposeMailCode, "mail_code.prove", thing, journey, code, also)
	return a, errs.Wrap("prove mail code", err)
}

// proveByCode counts the try, compares, and in one transaction uses the thing up and goes on. A wrong
// code looks the same for somebody and for nobody.
func (s *Service) proveByCode(ctx context.Context, p onetime.Purpose, action, thing string, journey id.Journey, code string, also func(context.Context, Account) error) (Account, error) {
	if err := s.oneTime.CheckCode(ctx, p, thing, string(journey), code); err != nil {
		if errs.Is(err, errs.Unauthenticated) {
			return Account{}, errors.Join(err, s.refuseCode(ctx, p, action, thing))
		}
		return Account{}, err
	}
	var a Account
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		taken, err := s.oneTime.TakeID(ctx, p, thing, string(journey))
		if err != nil {
			return err
		}
		if a, err = s.proven(ctx, taken); err != nil {
			return err
		}
		if err := s.record(ctx, action, audit.OK, a.ID, map[string]string{"by": "code"}); err != nil {
			return err
		}
		return also(ctx, a)
	})
	return a, err
}

// refuseCode records a wrong code, on the account if there is one.
func (s *Service) refuseCode(ctx context.Context, p onetime.Purpose, action, thing string) error {
	t, err := s.oneTime.ByID(ctx, p, thing)
	if err != nil {
		return nil // used up meanwhile: its end is on record
	}
	about, err := onetime.Read[proof](t)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		return s.record(ctx, action, audit.Refused, about.User, map[string]string{"reason": "wrong_code"})
	})
}

// Reset replaces the password of a user who has proven, at that time, to read the account's mail.
// A password or address that was changed since, or an EndProofs, makes the proof worthless:
// errs.Conflict. Whatever else was pending by mail ends; what must end with it besides, all sessions,
// grants and remembered browsers, is given as also and runs in the same transaction. Second factors
// stay.
func (s *Service) Reset(ctx context.Context, user id.User, proved time.Time, next seal.Secret, also ...func(context.Context) error) error {
	a, err := s.ByID(ctx, user)
	if err != nil {
		return errs.Wrap("reset password", err)
	}
	if err := s.passwords.Check(next, a.about()...); err != nil {
		return err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return errs.Wrap("reset password", err)
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		now := store.Micros(s.clock.Now())
		// Everything that changes passwords or addresses after a proof starts with the account's row.
		if err := s.mustHit(ctx, sqlTouch, string(user), now); err != nil {
			return err
		}
		if a, err = s.ByID(ctx, user); err != nil {
			return err
		}
		var newer int64
		if err := s.db.Q(ctx).QueryRow(ctx, sqlAddressesSince, string(user), store.Micros(proved)).Scan(&newer); err != nil {
			return err
		}
		n, err := s.db.Q(ctx).Exec(ctx, sqlResetHash, string(user), hash, now, store.Micros(proved))
		if err != nil {
			return err
		}
		if n == 0 || newer > 0 || a.ProofsSince.After(proved) || a.Status != Active {
			return errs.New(errs.Conflict, "reset_overtaken", errors.New("the account changed since the proof"))
		}
		if err := s.voidMailed(ctx, user); err != nil {
			return err
		}
		if err := s.record(ctx, "password.reset", audit.OK, user, nil); err != nil {
			return err
		}
		return runAll(ctx, also)
	})
	return errs.Wrap("reset password", err)
}

// voidMailed makes every code and link worthless that could still open the account or change its
// address. Links that take a change of address back stay: they are for the owner.
func (s *Service) voidMailed(ctx context.Context, user id.User) error {
	if s.oneTime == nil {
		return nil
	}
	for _, p := range []onetime.Purpose{PurposeReset, PurposeMailCode, PurposeAddress} {
		if _, err := s.oneTime.Void(ctx, p, string(user)); err != nil {
			return err
		}
	}
	return nil
}
