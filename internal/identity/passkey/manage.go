package passkey

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// Rename calls a passkey something else. errs.NotFound for one that is not the user's.
func (s *Service) Rename(ctx context.Context, user id.User, credential, name string) error {
	name = tidy(name)
	switch {
	case name == "":
		return errs.Field("name", KeyNoName)
	case utf8.RuneCountInString(name) > MaxName:
		return errs.Field("name", KeyLongName)
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.db.Q(ctx).Exec(ctx, sqlRename, credential, string(user), name)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.NotFound, "", nil)
		}
		return s.record(ctx, "passkey.rename", audit.OK, user, map[string]string{"credential": credential, "name": name})
	})
	return errs.Wrap("rename passkey", err)
}

// Remove deletes a passkey, and with it whatever also does, in one transaction. The last one of
// somebody who has no other way to sign in stays: errs.Conflict with KeyLastWay. errs.NotFound for
// one that is not the user's.
func (s *Service) Remove(ctx context.Context, user id.User, credential string, also ...func(context.Context, Credential) error) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		// Of two who remove the last two at once, the second sees that the first is gone.
		n, err := s.db.Q(ctx).Exec(ctx, sqlHold, string(user))
		if err != nil {
			return err
		}
		c, err := s.ByID(ctx, user, credential)
		if err != nil {
			return err
		}
		if n == 1 {
			other, err := s.others(ctx, user)
			if err != nil {
				return err
			}
			if !other {
				return errs.New(errs.Conflict, KeyLastWay, nil)
			}
		}
		if _, err := s.db.Q(ctx).Exec(ctx, sqlDelete, credential, string(user)); err != nil {
			return err
		}
		for _, fn := range also {
			if err := fn(ctx, c); err != nil {
				return err
			}
		}
		return s.record(ctx, "passkey.remove", audit.OK, user, map[string]string{"credential": credential, "name": c.Name})
	})
	return errs.Wrap("remove passkey", err)
}

// tidy makes a name fit to be shown on one line.
func tidy(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, name)
	return strings.Join(strings.Fields(name), " ")
}

// shorten is tidy for names that nobody typed.
func shorten(name string) string {
	name = tidy(name)
	if utf8.RuneCountInString(name) > MaxName {
		name = strings.TrimSpace(string([]rune(name)[:MaxName]))
	}
	return name
}
