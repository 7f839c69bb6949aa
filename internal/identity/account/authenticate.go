package account

import (
	"context"
	"errors"
	"strings"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// credential is an account with its stored hash; both empty for somebody unknown.
type credential struct {
	Account
	hash string
	// bucket is what attempts are counted under: the account, or the canonical form of a name
	// that nobody has, so that both run dry alike.
	bucket string
}

// errLogin is the one answer to every failed sign-in.
func errLogin() error { return errs.New(errs.Unauthenticated, "login_failed", nil) }

// Authenticate checks a password for an address or username. Unknown, wrong, disabled and without
// a password are one error of kind errs.Unauthenticated after the same work: one read, one
// reservation, one hash, one audit record. It may also return errs.Limited and errs.Busy. A
// hash that is foreign or cheaper than today's is replaced.
//
// What follows from the proof, such as the beginning of a session, is given as also and runs in one
// transaction that holds on to the password: checking takes a while, and whoever replaces a
// password ends what it had opened. Logins that are on their way at that moment must not be missed.
func (s *Service) Authenticate(ctx context.Context, identifier string, pw seal.Secret, also ...func(context.Context, Account) error) (Account, error) {
	if err := s.passwords.Admit(); err != nil {
		return Account{}, errs.Wrap("authenticate", err)
	}
	c, err := s.find(ctx, identifier)
	if err != nil {
		return Account{}, errs.Wrap("authenticate", err)
	}
	if c.hash, err = s.verify(ctx, "login", c, pw); err != nil {
		return Account{}, err
	}
	if len(also) == 0 {
		return c.Account, nil
	}
	return c.Account, s.whileProven(ctx, c, pw, also)
}

// whileProven runs also if the password is still the one that c was proven with. If it was
// replaced, the new one is checked: it may be the same under a better hash, from another login.
func (s *Service) whileProven(ctx context.Context, c credential, pw seal.Secret, also []func(context.Context, Account) error) error {
	const tries = 3
	for range tries {
		held := false
		err := s.db.InTx(ctx, func(ctx context.Context) error {
			n, err := s.db.Q(ctx).Exec(ctx, sqlHoldHash, string(c.ID), c.hash)
			if held = n > 0; err != nil || !held {
				return err
			}
			for _, fn := range also {
				if err := fn(ctx, c.Account); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || held {
			return errs.Wrap("authenticate", err)
		}
		if c, err = s.credential(ctx, c.ID); err != nil {
			if errs.Is(err, errs.NotFound) {
				return errLogin()
			}
			return errs.Wrap("authenticate", err)
		}
		result, err := s.passwords.Verify(ctx, c.hash, pw)
		if err != nil {
			return errs.Wrap("authenticate", err)
		}
		if reason := refusal(c, result); reason != "" {
			return s.refuse(ctx, "login", c, reason)
		}
	}
	return errs.New(errs.Conflict, "", errors.New("the password is being changed by others"))
}

// Reauthenticate checks the password of a user who is signed in, within the same budgets.
func (s *Service) Reauthenticate(ctx context.Context, user id.User, pw seal.Secret) error {
	c, err := s.credential(ctx, user)
	if err != nil {
		return errs.Wrap("reauthenticate", err)
	}
	_, err = s.verify(ctx, "reauthenticate", c, pw)
	return err
}

// find looks an identifier up. Nobody is not an error here.
func (s *Service) find(ctx context.Context, identifier string) (credential, error) {
	sql, key := "", ""
	if email, err := ParseEmail(identifier); err == nil {
		sql, key = sqlLoginByEmail, email.key
	} else if name, err := ParseUsername(identifier); err == nil {
		sql, key = sqlLoginByUsername, name.key
	} else {
		// Nobody can be called this; it is counted, bounded, like any other name.
		if len(identifier) > maxEmail {
			identifier = identifier[:maxEmail]
		}
		return credential{bucket: "name:" + strings.ToLower(identifier)}, nil
	}
	c, err := s.scanCredential(s.db.Q(ctx).QueryRow(ctx, sql, key))
	if errors.Is(err, store.ErrNoRows) {
		return credential{bucket: "name:" + key}, nil
	}
	return c, err
}

// credential looks a user up; errs.NotFound if there is none.
func (s *Service) credential(ctx context.Context, user id.User) (credential, error) {
	c, err := s.scanCredential(s.db.Q(ctx).QueryRow(ctx, sqlLoginByID, string(user)))
	if errors.Is(err, store.ErrNoRows) {
		return c, errs.New(errs.NotFound, "", err)
	}
	return c, err
}

func (s *Service) scanCredential(r store.Row) (c credential, err error) {
	c.Account, err = scan(r, &c.hash)
	c.bucket = "account:" + string(c.ID)
	return c, err
}

// verify reserves, checks, and on success gives back and upgrades; it returns the hash that is
// stored afterwards. The reservation is committed before the check: a guess that crashes, is
// cancelled or fails later stays counted.
func (s *Service) verify(ctx context.Context, act string, c credential, pw seal.Secret) (hash string, err error) {
	a, err := s.reserve(ctx, c)
	if err != nil {
		return "", errs.Wrap(act, err)
	}
	result, err := s.passwords.Verify(ctx, c.hash, pw)
	if errs.Is(err, errs.Busy) {
		s.giveBack(ctx, a.reserved.Return) // nothing was checked
	}
	if err != nil {
		return "", errs.Wrap(act, err)
	}
	if reason := refusal(c, result); reason != "" {
		s.failed(ctx, a)
		return "", s.refuse(ctx, act, c, reason)
	}
	s.giveBack(ctx, a.reserved.Succeed)
	if result.Upgrade {
		return s.upgrade(ctx, c, pw), nil
	}
	return c.hash, nil
}

// refusal is for the audit record alone; nobody outside learns it.
func refusal(c credential, r password.Result) string {
	switch {
	case c.ID == "":
		return "unknown"
	case c.hash == "":
		return "no_password"
	case !r.OK:
		return "wrong_password"
	case c.Status != Active:
		return "disabled"
	}
	return ""
}

func (s *Service) refuse(ctx context.Context, act string, c credential, reason string) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		return s.record(ctx, act, audit.Refused, c.ID, map[string]string{"reason": reason})
	})
	if err != nil {
		return errs.Wrap(act, err)
	}
	return errLogin()
}

// giveBack settles a reservation even if the visitor has left meanwhile: by its Return, for what
// was not checked, or its Succeed. If that fails, one attempt of each budget is gone until it
// refills.
func (s *Service) giveBack(ctx context.Context, settle func(context.Context) error) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := settle(rctx); err != nil {
		s.log.WarnContext(ctx, "attempt not given back", "error", err)
	}
}

// upgrade replaces a foreign or cheap hash by a new one of the password that was just verified,
// and returns the one that is stored now. Not being able to is no reason to turn its owner away.
func (s *Service) upgrade(ctx context.Context, c credential, pw seal.Secret) string {
	hash, err := s.passwords.Rehash(ctx, pw)
	if err == nil {
		err = s.db.InTx(ctx, func(ctx context.Context) error {
			n, err := s.db.Q(ctx).Exec(ctx, sqlUpgradeHash, string(c.ID), hash, c.hash)
			if err != nil {
				return err
			}
			if n == 0 {
				return errors.New("changed meanwhile")
			}
			scheme, err := password.Recognize(c.hash)
			if err != nil {
				return err
			}
			return s.record(ctx, "password.upgrade", audit.OK, c.ID, map[string]string{"from": string(scheme)})
		})
	}
	if err != nil {
		s.log.WarnContext(ctx, "password hash not upgraded", "account", c.ID, "error", err)
		return c.hash
	}
	return hash
}
