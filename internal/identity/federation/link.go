package federation

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// The message keys of links that cannot be made or undone.
const (
	KeyTaken   = "upstream.taken"    // the identity belongs to another account
	KeyLastWay = "upstream.last_way" // nobody could sign in to the account any more
)

// Link is an identity that belongs to an account.
type Link struct {
	Provider, Issuer, Subject string
	User                      id.User
	Label                     string
	CreatedAt, LastLoginAt    time.Time
}

// Owner returns the account that the identity belongs to; errs.NotFound if it belongs to none.
func (s *Service) Owner(ctx context.Context, i Identity) (id.User, error) {
	l, err := scanLink(s.d.DB.Q(ctx).QueryRow(ctx, sqlByIdentity, i.Provider, i.Issuer, i.Subject))
	if errors.Is(err, store.ErrNoRows) {
		return "", errs.New(errs.NotFound, "", errors.New("no account has this identity"))
	}
	return l.User, errs.Wrap("owner of an upstream identity", err)
}

// SignedIn takes note that the identity was used to sign in to the account that owns it. If it does
// not own it any more, errs.Unauthenticated: somebody unlinked it meanwhile. It must run in the
// transaction of the sign-in, where it holds on to the link.
func (s *Service) SignedIn(ctx context.Context, user id.User, i Identity) error {
	store.MustTx(ctx)
	n, err := s.d.DB.Q(ctx).Exec(ctx, sqlTouch, i.Provider, i.Issuer, i.Subject, string(user), store.Micros(s.d.Clock.Now()), i.Label())
	if err == nil && n == 0 {
		return errs.New(errs.Unauthenticated, KeyRefused, errors.New("the identity was unlinked meanwhile"))
	}
	return errs.Wrap("upstream sign-in", err)
}

// Link gives the identity to the account. It must run in the transaction of what proves that both
// are the same person's. An identity of another account is errs.Conflict with KeyTaken; one that the
// account has already is no error, and isNew is false.
func (s *Service) Link(ctx context.Context, user id.User, i Identity) (isNew bool, err error) {
	store.MustTx(ctx)
	now := store.Micros(s.d.Clock.Now())
	n, err := s.d.DB.Q(ctx).Exec(ctx, sqlInsert, i.Provider, i.Issuer, i.Subject, string(user), i.Label(), now, now)
	if err != nil {
		return false, errs.Wrap("link upstream identity", err)
	}
	if n == 0 {
		owner, err := s.Owner(ctx, i)
		if err != nil {
			return false, err
		}
		if owner != user {
			return false, errs.New(errs.Conflict, KeyTaken, errors.New("the identity belongs to another account"))
		}
		return false, s.SignedIn(ctx, user, i)
	}
	return true, s.record(ctx, "upstream.link", user, i.Provider)
}

// List returns the identities of an account, the oldest first, those of providers that are
// configured no more included.
func (s *Service) List(ctx context.Context, user id.User) ([]Link, error) {
	list, err := store.All(ctx, s.d.DB.Q(ctx), scanLink, sqlByAccount, string(user))
	return list, errs.Wrap("list upstream identities", err)
}

// Count returns how many ways in the account has through providers that are still configured.
func (s *Service) Count(ctx context.Context, user id.User) (int, error) {
	list, err := s.List(ctx, user)
	n := 0
	for _, l := range list {
		if s.Works(l) {
			n++
		}
	}
	return n, err
}

// HeldCount is Count for whoever is about to take another way in away: links that are being removed
// at this moment are waited for, and those that are left stay until the transaction of ctx ends.
func (s *Service) HeldCount(ctx context.Context, user id.User) (int, error) {
	store.MustTx(ctx)
	if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlHold, string(user)); err != nil {
		return 0, errs.Wrap("hold upstream identities", err)
	}
	return s.Count(ctx, user)
}

// Works reports whether one can sign in with l: its provider is configured, under the same issuer.
func (s *Service) Works(l Link) bool {
	p := s.find(l.Provider)
	return p != nil && p.Issuer == l.Issuer
}

// Unlink takes an identity from an account, with also in the same transaction. The last way to sign
// in stays: errs.Conflict with KeyLastWay. errs.NotFound if the account does not have it.
func (s *Service) Unlink(ctx context.Context, l Link, also ...func(context.Context) error) error {
	err := s.d.DB.InTx(ctx, func(ctx context.Context) error {
		// Of two who remove the last two at once, the second sees that the first is gone.
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlHold, string(l.User)); err != nil {
			return err
		}
		n, err := s.d.DB.Q(ctx).Exec(ctx, sqlDelete, l.Provider, l.Issuer, l.Subject, string(l.User))
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.NotFound, "", errors.New("no such upstream identity"))
		}
		if err := s.wayLeft(ctx, l); err != nil {
			return err
		}
		if err := s.record(ctx, "upstream.unlink", l.User, l.Provider); err != nil {
			return err
		}
		for _, fn := range also {
			if err := fn(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return errs.Wrap("unlink upstream identity", err)
}

// wayLeft makes sure that one can sign in without l. One with which nobody can sign in may always go.
func (s *Service) wayLeft(ctx context.Context, l Link) error {
	if !s.Works(l) || s.d.OtherWays == nil {
		return nil
	}
	n, err := s.Count(ctx, l.User)
	if err != nil || n > 0 {
		return err
	}
	other, err := s.d.OtherWays(ctx, l.User)
	if err == nil && !other {
		return errLastWay()
	}
	return err
}

func (s *Service) record(ctx context.Context, action string, user id.User, provider string) error {
	e := audit.Event{Action: action, Result: audit.OK, Target: string(user), Detail: map[string]string{"provider": provider}}
	if audit.SourceOf(ctx).Actor == "" {
		e.Actor = string(user)
	}
	return s.d.Audit.Record(ctx, e)
}

func scanLink(r store.Row) (l Link, err error) {
	var created, last int64
	err = r.Scan(&l.Provider, &l.Issuer, &l.Subject, (*string)(&l.User), &l.Label, &created, &last)
	l.CreatedAt, l.LastLoginAt = store.Time(created), store.Time(last)
	return l, err
}
