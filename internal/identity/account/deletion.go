package account

import (
	"context"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/store"
)

// Grace is how long an account that its owner gave up can be taken back; 0: not at all.
func (s *Service) Grace() time.Duration { return s.grace }

// GiveUp takes note that the owner wants the account deleted, and returns when it will be. Until then
// it is as good as gone (nothing is issued for it, see the view active_subject) but for its owner, who
// can sign in and Keep it. Without a grace period it is deleted at once. What must end with it, all
// sessions and grants, is given as also and runs in the same transaction.
func (s *Service) GiveUp(ctx context.Context, user id.User, also ...func(context.Context) error) (time.Time, error) {
	now := s.clock.Now()
	at := now.Add(s.grace)
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := runAll(ctx, also); err != nil {
			return err
		}
		if s.grace == 0 {
			return s.Delete(ctx, user)
		}
		n, err := s.db.Q(ctx).Exec(ctx, sqlRequestDelete, string(user), store.Micros(at), store.Micros(now))
		if err != nil {
			return err
		}
		a, err := s.ByID(ctx, user)
		if err != nil {
			return err
		}
		if n == 0 { // asked before: the time stays
			at = a.DeleteAt
			return nil
		}
		if err := s.voidMailed(ctx, user); err != nil {
			return err
		}
		if err := s.record(ctx, "account.give_up", audit.OK, user, nil); err != nil {
			return err
		}
		return s.tellDeletion(ctx, user, at)
	})
	return at, errs.Wrap("give up account", err)
}

func (s *Service) tellDeletion(ctx context.Context, user id.User, at time.Time) error {
	if !s.MailEnabled() {
		return nil
	}
	to, err := s.Contact(ctx, user)
	if err != nil {
		return err
	}
	src := audit.SourceOf(ctx)
	for _, address := range to.Verified {
		err := s.mail.Send(ctx, mail.Message{
			To: address, Account: user, Kind: "notice_deletion", Locale: to.Locale, Expires: at,
			Data: map[string]any{
				"At": notice.When(to.Locale, to.Zone, at), "SignIn": s.issuer + "/login",
				"Browser": notice.Browser(to.Locale, src.UserAgent), "IP": src.IP,
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Keep takes back what GiveUp did. Keeping an account that was not given up is no error.
func (s *Service) Keep(ctx context.Context, user id.User, also ...func(context.Context) error) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		n, err := s.db.Q(ctx).Exec(ctx, sqlKeep, string(user), store.Micros(s.clock.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := s.ByID(ctx, user)
			return err
		}
		if err := s.record(ctx, "account.keep", audit.OK, user, nil); err != nil {
			return err
		}
		return runAll(ctx, also)
	})
	return errs.Wrap("keep account", err)
}

// DeleteDue deletes at most limit accounts whose grace period is over and returns how many went. Each
// is a transaction of its own: one that cannot be deleted must not keep the others.
func (s *Service) DeleteDue(ctx context.Context, limit int) (int64, error) {
	now := store.Micros(s.clock.Now())
	due, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (user id.User, err error) {
		err = r.Scan((*string)(&user))
		return user, err
	}, sqlDue, now, limit)
	if err != nil {
		return 0, errs.Wrap("delete due accounts", err)
	}
	var gone int64
	for _, user := range due {
		var n int64
		one := s.db.InTx(ctx, func(ctx context.Context) (err error) {
			n, err = s.db.Q(ctx).Exec(ctx, sqlDeleteDue, string(user), now)
			if err != nil || n == 0 { // kept, or deleted by another instance, in the last moment
				return err
			}
			return s.audit.Record(ctx, audit.Event{Action: "account.delete", Result: audit.OK, Target: string(user), Detail: map[string]string{"reason": "grace_over"}})
		})
		switch {
		case one == nil:
			gone += n
		case err == nil:
			err = one // the first will do: when the store is down all are alike
		}
	}
	return gone, errs.Wrap("delete due accounts", err)
}
