// Package ratelimit keeps attempt budgets in the database, so that all instances share them. It
// owns the attempt_budget table. A budget is a GCRA bucket: Limit attempts at once, refilled
// evenly over Per. An attempt is reserved, and committed, before what it guards is checked;
// success gives it back. So parallel guesses cannot outrun the count, and a request that fails,
// is cancelled or crashes after the check stays counted. A budget can also count what happened
// (Count), to tell when there is more of it than usual. It does not know what an attempt is:
// callers (account, mfa, signin) name the budget and the key.
package ratelimit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

// Budget allows Limit attempts per Per.
type Budget struct {
	Name  string
	Limit int
	Per   time.Duration
	// Streak counts failures in a row: a success fills the whole budget again, not one attempt.
	Streak bool
}

// Key is one bucket of a budget. Value is the canonical form of what is counted (an account id,
// a source network); the store sees only a keyed hash of it.
type Key struct {
	Budget Budget
	Value  string
}

// Deps is what a Limiter needs. Key is a secret subkey of at least 32 bytes.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Key   []byte
	// Observe, if set, is told the name of each budget that refused an attempt, for metrics.
	Observe func(budget string)
}

// Limiter reserves attempts.
type Limiter struct {
	db      *store.DB
	clock   clock.Clock
	key     []byte
	observe func(budget string)
}

// New returns a Limiter.
func New(d Deps) (*Limiter, error) {
	if d.DB == nil || d.Clock == nil || len(d.Key) < 32 {
		return nil, errors.New("ratelimit: DB, Clock and a Key of 32 bytes are required")
	}
	if d.Observe == nil {
		d.Observe = func(string) {}
	}
	return &Limiter{db: d.DB, clock: d.Clock, key: bytes.Clone(d.Key), observe: d.Observe}, nil
}

// Reservation is an attempt that was counted in each of its buckets.
type Reservation struct {
	l       *Limiter
	buckets []bucket
}

type bucket struct {
	hash   string
	space  int64 // microseconds between refills: what one attempt costs
	per    int64
	budget Budget
}

// Reserve counts one attempt in every bucket, or in none: then it returns errs.Limited with
// the time after which one more fits. It is one statement, committed when Reserve returns; a
// transaction that ctx carries does not take part, as its rollback would forget the attempt.
// (On SQLite, with one writer, calling it inside a transaction waits for itself: do not.)
func (l *Limiter) Reserve(ctx context.Context, keys ...Key) (*Reservation, error) {
	buckets, err := l.buckets(keys)
	if err != nil || len(buckets) == 0 {
		return &Reservation{l: l}, err
	}
	now := store.Micros(l.clock.Now())
	args := []any{now}
	for _, b := range buckets {
		args = append(args, b.hash, now+b.space, now+b.per)
	}
	outside := l.db.Q(context.Background()) // which carries no transaction
	taken, err := store.All(ctx, outside, func(r store.Row) (hash string, err error) {
		err = r.Scan(&hash)
		return hash, err
	}, sqlReserve(len(buckets)), args...)
	if err != nil {
		return nil, errs.Wrap("reserve attempt", err)
	}
	if len(taken) == len(buckets) {
		return &Reservation{l: l, buckets: buckets}, nil
	}
	refused := slices.DeleteFunc(slices.Clone(buckets), func(b bucket) bool { return slices.Contains(taken, b.hash) })
	got := slices.DeleteFunc(buckets, func(b bucket) bool { return !slices.Contains(taken, b.hash) })
	// Not evaluated, so not to be paid for: a locked account must not drain its visitor's network.
	if err := (&Reservation{l: l, buckets: got}).Return(ctx); err != nil {
		return nil, err
	}
	for _, b := range refused {
		l.observe(b.budget.Name)
	}
	wait, err := l.wait(ctx, now, refused)
	if err != nil {
		return nil, err
	}
	return nil, errs.Retry(errs.Limited, "too_many_attempts", wait)
}

// Return gives the attempt back, because nothing was checked. Calling it twice returns it once.
func (r *Reservation) Return(ctx context.Context) error {
	return r.give(ctx, func(b bucket) int64 { return b.space })
}

// Succeed gives the attempt back, because it was none of those that are to be bounded, and ends
// streaks. It is one statement; after it or Return, both do nothing.
func (r *Reservation) Succeed(ctx context.Context) error {
	return r.give(ctx, func(b bucket) int64 {
		if b.budget.Streak {
			return b.per // more than a bucket can owe
		}
		return b.space
	})
}

func (r *Reservation) give(ctx context.Context, cost func(bucket) int64) error {
	if len(r.buckets) == 0 {
		return nil
	}
	now := store.Micros(r.l.clock.Now())
	args := []any{}
	for _, b := range r.buckets {
		args = append(args, b.hash, cost(b), now)
	}
	if _, err := r.l.db.Q(ctx).Exec(ctx, sqlReturn(len(r.buckets)), args...); err != nil {
		return errs.Wrap("return attempt", err)
	}
	r.buckets = nil
	return nil
}

// Count counts something that has happened and reports whether it is still within the budget.
// What is beyond it leaves no trace, so that a flood is over when it is over. Like Reserve it
// takes no part in a transaction that ctx carries.
func (l *Limiter) Count(ctx context.Context, k Key) (within bool, err error) {
	buckets, err := l.buckets([]Key{k})
	if err != nil {
		return false, err
	}
	now := store.Micros(l.clock.Now())
	b := buckets[0]
	n, err := l.db.Q(context.Background()).Exec(ctx, sqlCount(), now, b.hash, now+b.space, now+b.per)
	return n > 0, errs.Wrap("count", err)
}

// DeleteExpired removes at most limit buckets that are full again and returns how many went.
func (l *Limiter) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return l.db.Q(ctx).Exec(ctx, sqlDeleteExpired, store.Micros(l.clock.Now()), limit)
}

// wait returns how long until every refused bucket has room for one attempt.
func (l *Limiter) wait(ctx context.Context, now int64, refused []bucket) (time.Duration, error) {
	longest := time.Second
	for _, b := range refused {
		var tat int64
		err := l.db.Q(ctx).QueryRow(ctx, sqlReadBucket, b.hash).Scan(&tat)
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, err
		}
		longest = max(longest, time.Duration(tat+b.space-b.per-now)*time.Microsecond)
	}
	// Clients read whole seconds (RFC 9110 §10.2.3); rounding down would send them back early.
	return longest.Truncate(time.Second) + time.Second, nil
}

// buckets hashes the keys and sorts them: every statement locks rows in the same order, so two
// of them never wait for each other.
func (l *Limiter) buckets(keys []Key) ([]bucket, error) {
	var out []bucket
	for _, k := range keys {
		if k.Budget.Name == "" || k.Budget.Limit < 1 || k.Budget.Per < time.Duration(k.Budget.Limit)*time.Microsecond {
			return nil, errors.New("ratelimit: budget without name, limit or period")
		}
		m := hmac.New(sha256.New, l.key)
		m.Write([]byte(k.Budget.Name + "\x00" + k.Value))
		out = append(out, bucket{
			hash:  base64.RawURLEncoding.EncodeToString(m.Sum(nil)),
			space: k.Budget.Per.Microseconds() / int64(k.Budget.Limit),
			per:   k.Budget.Per.Microseconds(), budget: k.Budget,
		})
	}
	slices.SortFunc(out, func(a, b bucket) int { return strings.Compare(a.hash, b.hash) })
	return slices.CompactFunc(out, func(a, b bucket) bool { return a.hash == b.hash }), nil
}
