package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// RecoveryCodes is how many codes a set has.
const RecoveryCodes = 10

// A recovery code has 24 symbols of 5 bits. With 120 random bits a keyed hash is enough to store it
// by; shorter ones would need the password hasher, once per code and try (NIST SP 800-63B-4
// §3.1.2.2: 112 bits).
const (
	codeSymbols = 24
	codeGroup   = 4
	// alphabet is Crockford's base 32: no letter that looks like a digit.
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// The message keys of the ways in which a recovery code is refused.
const (
	KeyRecoveryWrong = "recovery_wrong"
	KeyRecoveryUsed  = "recovery_used"
)

// NewRecoveryCodes replaces the account's recovery codes, used ones too, by a new set and returns
// it; nobody can read it again. also runs in the same transaction.
func (s *Service) NewRecoveryCodes(ctx context.Context, user id.User, also ...func(context.Context) error) ([]seal.Secret, error) {
	now := store.Micros(s.clock.Now())
	codes := make([]seal.Secret, RecoveryCodes)
	var rows []string
	args := []any{string(user), now}
	for i := range codes {
		codes[i] = newRecoveryCode()
		hash, _ := s.hashCode(user, codes[i])
		args = append(args, i, hash)
		rows = append(rows, fmt.Sprintf("($1, $%d, $%d, $2, 0)", len(args)-1, len(args)))
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		_, err := s.db.Q(ctx).Exec(ctx, sqlPutCodes+strings.Join(rows, ", ")+sqlReplaceCodes, args...)
		if errors.Is(err, store.ErrForeignKey) {
			return errs.New(errs.Unauthenticated, "", err) // the account was deleted meanwhile
		}
		if err != nil {
			return err
		}
		return s.done(ctx, "recovery_codes.create", user, nil, also)
	})
	if err != nil {
		return nil, errs.Wrap("new recovery codes", err)
	}
	return codes, nil
}

// UseRecoveryCode uses one code up and returns how many are left, as it tells also, which runs in
// the same transaction. It also ends a lock of the authenticator app. The attempt is counted and
// committed first, so it must not be called within a transaction.
//
// Refusals are errs.Unauthenticated with KeyRecoveryWrong or KeyRecoveryUsed, and errs.Limited.
func (s *Service) UseRecoveryCode(ctx context.Context, user id.User, code seal.Secret, also ...func(ctx context.Context, left int) error) (int, error) {
	reserved, _, err := s.reserve(ctx, user, s.budgets.Recovery)
	if err != nil {
		return 0, errs.Wrap("use recovery code", err)
	}
	hash, ok := s.hashCode(user, code)
	if !ok {
		return 0, s.refuse(ctx, "recovery_code.use", user, "wrong", errs.New(errs.Unauthenticated, KeyRecoveryWrong, nil))
	}
	var left int64
	refused := errs.New(errs.Unauthenticated, KeyRecoveryWrong, nil)
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		q := s.db.Q(ctx)
		err := q.QueryRow(ctx, sqlUseCode, string(user), hash, store.Micros(s.clock.Now())).Scan(new(int64))
		if errors.Is(err, store.ErrNoRows) {
			return refused
		}
		if err != nil {
			return err
		}
		if err := q.QueryRow(ctx, sqlUnusedCodes, string(user)).Scan(&left); err != nil {
			return err
		}
		if _, err := q.Exec(ctx, sqlForgiveTOTP, string(user)); err != nil {
			return err
		}
		return s.done(ctx, "recovery_code.use", user, map[string]string{"left": fmt.Sprint(left)}, bind(also, &left))
	})
	if errors.Is(err, refused) {
		return 0, s.refuseCode(ctx, user, hash)
	}
	if err != nil {
		return 0, errs.Wrap("use recovery code", err)
	}
	s.giveBack(ctx, reserved)
	return int(left), nil
}

// refuseCode tells a code that was used from one that never was.
func (s *Service) refuseCode(ctx context.Context, user id.User, hash string) error {
	reason, key := "wrong", KeyRecoveryWrong
	err := s.db.Q(ctx).QueryRow(ctx, sqlSpentCode, string(user), hash).Scan(new(int64))
	switch {
	case err == nil:
		reason, key = "used", KeyRecoveryUsed
	case !errors.Is(err, store.ErrNoRows):
		return errs.Wrap("use recovery code", err)
	}
	return s.refuse(ctx, "recovery_code.use", user, reason, errs.New(errs.Unauthenticated, key, nil))
}

func bind(also []func(context.Context, int) error, left *int64) []func(context.Context) error {
	out := make([]func(context.Context) error, len(also))
	for i, fn := range also {
		out[i] = func(ctx context.Context) error { return fn(ctx, int(*left)) }
	}
	return out
}

// RecoveryCodesMade is when the present set was made; zero without one.
func (s *Service) RecoveryCodesMade(ctx context.Context, user id.User) (time.Time, error) {
	var at int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlCodesMadeAt, string(user)).Scan(&at)
	return store.Time(at), errs.Wrap("recovery codes", err)
}

// newRecoveryCode writes 120 random bits in groups: abcd-efgh-….
func newRecoveryCode() seal.Secret {
	var random [codeSymbols]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%codeGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[r%32])
	}
	return seal.Secret(b.String())
}

// hashCode returns the form in which a code is stored; ok is false for what cannot be one.
func (s *Service) hashCode(user id.User, code seal.Secret) (hash string, ok bool) {
	symbols := cleanRecovery(code.Reveal())
	if len(symbols) != codeSymbols {
		return "", false
	}
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(string(user) + "\x00" + symbols))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)), true
}

// cleanRecovery reads a code as people write it: in either case, in groups or not, with the letters
// that look like digits. It returns "" for what cannot be a code.
func cleanRecovery(typed string) string {
	if len(typed) > 128 {
		return ""
	}
	alien := false
	symbols := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		case r >= '０' && r <= '９': // full-width, as Korean and Japanese keyboards type them
			r += '0' - '０'
		case r >= 'ａ' && r <= 'ｚ':
			r += 'a' - 'ａ'
		case r >= 'Ａ' && r <= 'Ｚ':
			r += 'a' - 'Ａ'
		}
		switch r {
		case ' ', '-', '\t', '\r', '\n', '\u00a0', '\u2010', '\u2011', '\u2013', '\u200b', '\u2060', '\ufeff':
			return -1
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		alien = alien || !strings.ContainsRune(alphabet, r)
		return r
	}, typed)
	if alien {
		return ""
	}
	return symbols
}
