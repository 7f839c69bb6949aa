package account

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// ByID returns an account with one statement by primary key; errs.NotFound if there is none.
func (s *Service) ByID(ctx context.Context, user id.User) (Account, error) {
	a, err := scan(s.db.Q(ctx).QueryRow(ctx, sqlByID, string(user)))
	if errors.Is(err, store.ErrNoRows) {
		return Account{}, errs.New(errs.NotFound, "", err)
	}
	return a, errs.Wrap("account", err)
}

// ByIdentifier returns the account with this address or username, or this id, for
// administrators; errs.NotFound if there is none.
func (s *Service) ByIdentifier(ctx context.Context, identifier string) (Account, error) {
	if isID(identifier) {
		if a, err := s.ByID(ctx, id.User(identifier)); !errs.Is(err, errs.NotFound) {
			return a, err
		}
	}
	c, err := s.find(ctx, identifier)
	if err != nil {
		return Account{}, errs.Wrap("account", err)
	}
	if c.ID == "" {
		return Account{}, errs.New(errs.NotFound, "", errors.New("no such account"))
	}
	return c.Account, nil
}

// HasPassword reports whether the account has a password to sign in with.
func (s *Service) HasPassword(ctx context.Context, user id.User) (bool, error) {
	c, err := s.credential(ctx, user)
	return c.hash != "", errs.Wrap("password", err)
}

func isID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}

// ListOptions selects accounts in the order of their creation.
type ListOptions struct {
	After  id.User // the last one of the page before; "" for the first page
	Limit  int     // 0 means 100, 1000 at most
	Search string  // part of an address or username
}

// List returns accounts. A search reads all of them: it is for administrators, not for login.
func (s *Service) List(ctx context.Context, o ListOptions) ([]Account, error) {
	if o.After != "" && !isID(string(o.After)) {
		return nil, errs.Field("after", "invalid")
	}
	if o.Limit <= 0 {
		o.Limit = 100
	}
	sql, args := sqlList, []any{string(o.After), min(o.Limit, 1000)}
	if search := strings.TrimSpace(o.Search); search != "" {
		search, key := text(maxEmail)(search)
		if key != "" {
			return nil, errs.Field("search", key)
		}
		escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(foldLocal(search))
		sql, args = sqlSearch, append(args, "%"+escaped+"%")
	}
	list, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (Account, error) { return scan(r) }, sql, args...)
	return list, errs.Wrap("list accounts", err)
}

// UpdateProfile replaces the profile. Problems come all at once, joined, each with the claim's
// name as its field. A changed phone number is unverified, whatever p says.
func (s *Service) UpdateProfile(ctx context.Context, user id.User, p Profile) error {
	p, problems := p.normalize()
	if err := errors.Join(problems...); err != nil {
		return err
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		old, err := s.ByID(ctx, user)
		if err != nil {
			return err
		}
		p.PhoneVerified = old.Profile.PhoneVerified && p.PhoneNumber == old.Profile.PhoneNumber
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := s.mustHit(ctx, sqlSetProfile, string(user), string(text), store.Micros(s.clock.Now())); err != nil {
			return err
		}
		return s.record(ctx, "profile.update", audit.OK, user, map[string]string{"fields": changed(old.Profile, p)})
	})
	return errs.Wrap("update profile", err)
}

// changed names the claims that differ; their values are nobody's business in a log.
func changed(a, b Profile) string {
	var names []string
	for _, f := range profileFields {
		if *f.at(&a) != *f.at(&b) {
			names = append(names, f.claim)
		}
	}
	return strings.Join(names, " ")
}

// SetUsername changes the username or, with "", removes it from an account that has an address. It
// is for the person: the tries are counted.
func (s *Service) SetUsername(ctx context.Context, user id.User, typed string) error {
	var name Username
	if typed != "" {
		var err error
		if name, err = ParseUsername(typed); err != nil {
			return err
		}
		if _, err = s.limits.Reserve(ctx, ratelimit.Key{Budget: s.budgets.Username, Value: string(user)}); err != nil {
			return errs.Wrap("set username", err)
		}
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		old, err := s.ByID(ctx, user)
		if err != nil {
			return err
		}
		if old.Username == name.name {
			return nil
		}
		if name.key == "" && old.Email == "" {
			return errs.Field(fieldUsername, KeyNameNeeded)
		}
		err = s.mustHit(ctx, sqlSetUsername, string(user), null(name.name), null(name.key), store.Micros(s.clock.Now()))
		if errors.Is(err, store.ErrUnique) {
			return errTaken(fieldUsername, KeyUsernameTaken, err)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, "username.change", audit.OK, user, nil)
	})
	return errs.Wrap("set username", err)
}

// ChangePassword replaces the password of a user who knows the current one; wrong is
// errs.Unauthenticated, within the budgets of signing in. What must happen with it, such as the end of
// other sessions, is given as also and runs in the same transaction.
func (s *Service) ChangePassword(ctx context.Context, user id.User, current, next seal.Secret, also ...func(context.Context) error) error {
	c, err := s.credential(ctx, user)
	if err != nil {
		return errs.Wrap("change password", err)
	}
	// The rules first: they tell nothing about the current password and cost no attempt.
	if err := s.passwords.Check(next, c.about()...); err != nil {
		return err
	}
	proven, err := s.verify(ctx, "password.change", c, current)
	if err != nil {
		return err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return errs.Wrap("change password", err)
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.db.Q(ctx).Exec(ctx, sqlChangeHash, string(user), hash, store.Micros(s.clock.Now()), proven)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.Conflict, "", errors.New("the password was changed by somebody else meanwhile"))
		}
		if err := s.voidMailed(ctx, user); err != nil {
			return err
		}
		if err := s.record(ctx, "password.change", audit.OK, user, nil); err != nil {
			return err
		}
		return runAll(ctx, also)
	})
	return errs.Wrap("change password", err)
}

// SetPassword replaces the password without the current one: for administrators. also is as in
// ChangePassword.
func (s *Service) SetPassword(ctx context.Context, user id.User, next seal.Secret, also ...func(context.Context) error) error {
	a, err := s.ByID(ctx, user)
	if err != nil {
		return err
	}
	if err := s.passwords.Check(next, a.about()...); err != nil {
		return err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return errs.Wrap("set password", err)
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		_, err := s.db.Q(ctx).Exec(ctx, sqlSetHash, string(user), hash, store.Micros(s.clock.Now()))
		if errors.Is(err, store.ErrForeignKey) {
			return errs.New(errs.NotFound, "", err)
		}
		if err != nil {
			return err
		}
		if err := s.voidMailed(ctx, user); err != nil {
			return err
		}
		if err := s.record(ctx, "password.set", audit.OK, user, nil); err != nil {
			return err
		}
		return runAll(ctx, also)
	})
	return errs.Wrap("set password", err)
}

func runAll(ctx context.Context, list []func(context.Context) error) error {
	for _, fn := range list {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Disable bars the account from signing in. Whatever is issued from now on reads the status again;
// the caller ends its sessions.
func (s *Service) Disable(ctx context.Context, user id.User) error {
	return errs.Wrap("disable account", s.setStatus(ctx, user, Disabled, "account.disable"))
}

// Enable lifts the bar.
func (s *Service) Enable(ctx context.Context, user id.User) error {
	return errs.Wrap("enable account", s.setStatus(ctx, user, Active, "account.enable"))
}

func (s *Service) setStatus(ctx context.Context, user id.User, status Status, action string) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.db.Q(ctx).Exec(ctx, sqlSetStatus, string(user), string(status), store.Micros(s.clock.Now()))
		if err != nil {
			return err
		}
		if n == 0 { // already so, or nobody
			_, err := s.ByID(ctx, user)
			return err
		}
		return s.record(ctx, action, audit.OK, user, nil)
	})
}

// Delete removes the account and, through the schema, everything that hangs on it: addresses,
// password, sessions, consents, grants. Its id is never used again (OIDC Core §5.7).
func (s *Service) Delete(ctx context.Context, user id.User) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.mustHit(ctx, sqlDelete, string(user)); err != nil {
			return err
		}
		return s.record(ctx, "account.delete", audit.OK, user, nil)
	})
	return errs.Wrap("delete account", err)
}

// EndProofs makes every first factor proven until now worthless, where a second one is still owed. It
// joins the transaction that ctx carries.
func (s *Service) EndProofs(ctx context.Context, user id.User) error {
	_, err := s.db.Q(ctx).Exec(ctx, sqlEndProofs, string(user), store.Micros(s.clock.Now()))
	return errs.Wrap("end proofs", err)
}

// HoldProof makes sure, until the end of the transaction that ctx carries, that a first factor proven
// at that time still counts: the account is active and EndProofs was not called since. Else
// errs.Conflict.
func (s *Service) HoldProof(ctx context.Context, user id.User, at time.Time) error {
	store.MustTx(ctx)
	n, err := s.db.Q(ctx).Exec(ctx, sqlHoldProof, string(user), store.Micros(at))
	if err == nil && n == 0 {
		return errs.New(errs.Conflict, "", errors.New("the first factor does not count any more"))
	}
	return errs.Wrap("hold proof", err)
}

// mustHit runs a statement that changes one account; errs.NotFound if it changed none.
func (s *Service) mustHit(ctx context.Context, sql string, args ...any) error {
	n, err := s.db.Q(ctx).Exec(ctx, sql, args...)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "", errors.New("no such account"))
	}
	return err
}
