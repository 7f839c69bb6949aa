package keys

import (
	"context"
	"slices"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

// lead is how long a key that was ordered to sign "now" is published before it does: long enough
// for every instance to have read it (store.DefaultPoll, and some).
const lead = 4 * store.DefaultPoll

// Rotate publishes a successor for the signing key of the algorithm and returns it. It takes over
// PublishBefore later, or, with now, as soon as all instances know it; relying parties that
// cache the JWKS then meet a key they have not seen and must read it again. A successor
// that is waiting already is returned, with now brought forward. The predecessor verifies until
// what it signed has expired.
func (s *Service) Rotate(ctx context.Context, alg string, now bool) (Key, error) {
	if !Known(alg) {
		return Key{}, unknownAlg(alg)
	}
	made, err := s.prepare(ctx, alg)
	if err != nil {
		return Key{}, err
	}
	var out Key
	err = s.change(ctx, func(ctx context.Context) error {
		rows, err := s.rows(ctx)
		if err != nil {
			return err
		}
		at := s.d.Clock.Now()
		if now {
			out, err = s.takeOver(ctx, keysOf(rows), made[0], at.Add(lead))
		} else {
			out, err = s.succeed(ctx, keysOf(rows), made[0], at, at.Add(s.d.PublishBefore), "by command")
		}
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return out, s.Load(ctx)
}

// succeed publishes made, to take over at the given time, unless a successor waits already.
func (s *Service) succeed(ctx context.Context, list []Key, made row, now, at time.Time, reason string) (Key, error) {
	group := byAlg(list)[made.Alg]
	current := signerAt(group, now)
	if current < 0 {
		at = now // nothing signs: nothing to wait for
	}
	for _, k := range group {
		if k.State(now) == Published && current >= 0 && group[current].ID != k.ID {
			return k, nil
		}
	}
	k, err := s.insert(ctx, made, now, at)
	if err != nil {
		return Key{}, err
	}
	if current >= 0 {
		if err := s.retire(ctx, group[current], at, at.Add(s.d.Retention)); err != nil {
			return Key{}, err
		}
	}
	return k, s.record(ctx, "key.create", k, reason)
}

// takeOver lets the waiting successor, or made, sign from at on.
func (s *Service) takeOver(ctx context.Context, list []Key, made row, at time.Time) (Key, error) {
	group, now := byAlg(list)[made.Alg], s.d.Clock.Now()
	current := signerAt(group, now)
	for i, k := range group {
		if k.State(now) != Published || i == current {
			continue
		}
		if at.Before(k.ActivateAt) {
			if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlActivateKey, k.ID, store.Micros(at)); err != nil {
				return Key{}, err
			}
			k.ActivateAt = at
			if current >= 0 {
				if err := s.retire(ctx, group[current], at, at.Add(s.d.Retention)); err != nil {
					return Key{}, err
				}
			}
		}
		return k, s.record(ctx, "key.activate", k, "by command")
	}
	return s.succeed(ctx, list, made, now, at, "by command, at once")
}

// Replace is for a private key that others may know: all keys of the algorithm leave the JWKS
// and verify nothing any more, and a new one signs at once. Everything they signed is void.
// Other instances follow within seconds.
func (s *Service) Replace(ctx context.Context, alg string) (Key, error) {
	if !Known(alg) {
		return Key{}, unknownAlg(alg)
	}
	made, err := s.prepare(ctx, alg)
	if err != nil {
		return Key{}, err
	}
	var out Key
	err = s.change(ctx, func(ctx context.Context) error {
		rows, err := s.rows(ctx)
		if err != nil {
			return err
		}
		now := s.d.Clock.Now()
		for _, k := range byAlg(keysOf(rows))[alg] {
			if k.State(now) == Removed {
				continue
			}
			if err := s.retire(ctx, k, now, now); err != nil {
				return err
			}
			if err := s.record(ctx, "key.revoke", k, "compromised"); err != nil {
				return err
			}
		}
		if out, err = s.insert(ctx, made[0], now, now); err != nil {
			return err
		}
		return s.record(ctx, "key.create", out, "replaces a compromised key")
	})
	if err != nil {
		return Key{}, err
	}
	return out, s.Load(ctx)
}

// List returns all keys, oldest first within each algorithm, also those whose row still waits to
// be deleted.
func (s *Service) List(ctx context.Context) ([]Key, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, errs.Wrap("list signing keys", err)
	}
	groups := byAlg(keysOf(rows))
	var out []Key
	for _, alg := range Algorithms() {
		out = append(out, groups[alg]...)
	}
	return out, nil
}

// Tick does what is due: it publishes successors ahead of time and deletes keys that have left.
// Instances may call it at any time, all at once; when nothing is due it is one SELECT.
func (s *Service) Tick(ctx context.Context) error {
	rows, err := s.rows(ctx)
	if err != nil {
		return errs.Wrap("read signing keys", err)
	}
	list, now := keysOf(rows), s.d.Clock.Now()
	due, gone := s.d.due(list, now), expired(list, now)
	if len(due) == 0 && len(gone) == 0 {
		return nil
	}
	made, err := s.prepare(ctx, due...)
	if err != nil {
		return err
	}
	err = s.change(ctx, func(ctx context.Context) error { return s.advance(ctx, made) })
	if err != nil {
		return errs.Wrap("rotate signing keys", err)
	}
	return s.Load(ctx)
}

// advance decides again under the lock of change: another instance may have been faster.
func (s *Service) advance(ctx context.Context, made []row) error {
	rows, err := s.rows(ctx)
	if err != nil {
		return err
	}
	list, now := keysOf(rows), s.d.Clock.Now()
	due, gone := s.d.due(list, now), expired(list, now)
	done := 0
	for _, r := range made {
		if !slices.Contains(due, r.Alg) {
			continue
		}
		at := now
		if group := byAlg(list)[r.Alg]; signerAt(group, now) >= 0 {
			at = s.d.activation(group[signerAt(group, now)], now)
		}
		if _, err := s.succeed(ctx, list, r, now, at, "on schedule"); err != nil {
			return err
		}
		done++
	}
	for _, k := range gone {
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteKey, k.ID, store.Micros(now)); err != nil {
			return err
		}
		if err := s.record(ctx, "key.remove", k, "what it signed has expired"); err != nil {
			return err
		}
		done++
	}
	if done == 0 {
		return errNothing
	}
	return nil
}
