package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// scan reads the columns of sqlColumns; extra takes further ones.
func scan(r store.Row, extra ...any) (Account, error) {
	var a Account
	var profile string
	var created, updated, verified, deleted, terms, proofs int64
	dest := []any{
		(*string)(&a.ID), (*string)(&a.Status), &a.Username, &profile, &created, &updated, &a.Email, &verified,
		&deleted, &a.TermsVersion, &terms, &proofs, &a.Source,
	}
	if err := r.Scan(append(dest, extra...)...); err != nil {
		return Account{}, err
	}
	a.CreatedAt, a.UpdatedAt, a.EmailVerified = store.Time(created), store.Time(updated), verified != 0
	a.DeleteAt, a.TermsAt, a.ProofsSince = store.Time(deleted), store.Time(terms), store.Time(proofs)
	if err := json.Unmarshal([]byte(profile), &a.Profile); err != nil {
		return Account{}, fmt.Errorf("profile of account %s: %w", a.ID, err)
	}
	return a, nil
}

// newRow is an account about to be inserted: everything validated, the password hashed.
type newRow struct {
	id       id.User
	status   Status
	username Username
	email    Email
	verified bool
	profile  Profile
	source   string
	hash     string // "" for an account that cannot sign in with a password
	terms    string // version agreed to; "" for none
}

func (n newRow) account(now time.Time) Account {
	a := Account{
		ID: n.id, Status: n.status, Username: n.username.name, Email: n.email.address, EmailVerified: n.verified && n.email.key != "",
		Profile: n.profile, Source: n.source, CreatedAt: now, UpdatedAt: now, TermsVersion: n.terms,
	}
	if n.terms != "" {
		a.TermsAt = now
	}
	return a
}

// errTaken is what a unique index says in our words.
func errTaken(field, key string, cause error) error {
	return &errs.Error{Kind: errs.Conflict, Field: field, Key: key, Cause: cause}
}

// maxParameters bounds a statement: SQLite looks named parameters up one by one, so the time of a
// statement grows with their square.
const maxParameters = 400

// insert writes all parts of the accounts in the transaction of ctx; for one account that is
// three statements.
func (s *Service) insert(ctx context.Context, now time.Time, list ...newRow) error {
	store.MustTx(ctx)
	at := store.Micros(now)
	var accounts, emails, hashes []any
	for _, n := range list {
		profile, err := json.Marshal(n.profile)
		if err != nil {
			return err
		}
		agreed := int64(0)
		if n.terms != "" {
			agreed = at
		}
		accounts = append(accounts, string(n.id), string(n.status), null(n.username.name), null(n.username.key), string(profile), n.source, at, at, n.terms, agreed)
		if n.email.key != "" {
			verified := int64(0)
			if n.verified {
				verified = at
			}
			emails = append(emails, n.email.key, string(n.id), n.email.address, true, verified, at)
		}
		if n.hash != "" {
			hashes = append(hashes, string(n.id), n.hash, at)
		}
	}
	if err := s.insertRows(ctx, sqlInsertAccount, 10, accounts); errors.Is(err, store.ErrUnique) {
		return errTaken(fieldUsername, KeyUsernameTaken, err)
	} else if err != nil {
		return err
	}
	if err := s.insertRows(ctx, sqlInsertEmail, 6, emails); errors.Is(err, store.ErrUnique) {
		return errTaken(fieldEmail, KeyEmailTaken, err)
	} else if err != nil {
		return err
	}
	return s.insertRows(ctx, sqlInsertHash, 3, hashes)
}

func (s *Service) insertRows(ctx context.Context, head string, columns int, args []any) error {
	for chunk := range slices.Chunk(args, maxParameters/columns*columns) {
		if _, err := s.db.Q(ctx).Exec(ctx, head+tuples(len(chunk)/columns, columns), chunk...); err != nil {
			return err
		}
	}
	return nil
}

// tuples renders rows × columns parameters: ($1, $2), ($3, $4).
func tuples(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// null keeps "" out of unique columns.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
