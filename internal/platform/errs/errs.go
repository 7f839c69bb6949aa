// Package errs is the error vocabulary of the house: every error that crosses a package
// border has a kind, which decides what a person or a client is told, and a cause, which
// only the log sees. Each edge (pages, JSON, OAuth) maps kinds to answers exactly once.
package errs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what class of failure an error is.
type Kind uint8

// The kinds. Anything that is not an *Error is Internal, so a forgotten mapping hides
// its text rather than showing it.
const (
	Internal        Kind = iota // a fault of ours; the text stays in the log
	Invalid                     // the input is wrong; Key says how
	NotFound                    // no such thing, or not for this caller
	Conflict                    // it exists already, or was used already
	Unauthenticated             // the proof of identity failed
	Forbidden                   // known caller, not allowed
	Limited                     // too many attempts; RetryAfter says when to come back
	Busy                        // at capacity; RetryAfter says when to come back
	Unavailable                 // a dependency (the store) is down; nothing was decided
)

// String names the kind for logs and metric labels.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "not_found", "conflict", "unauthenticated", "forbidden", "limited", "busy", "unavailable"}
	if int(k) < len(names) {
		return names[k]
	}
	return "internal"
}

// Error is an error with a kind. Key is a message key of web/locales for people ("" for
// the kind's general message); Field names the form field or parameter at fault.
type Error struct {
	Kind       Kind
	Key        string
	Field      string
	RetryAfter time.Duration
	Cause      error
}

// New returns an error of the kind, with a message key and an optional cause.
func New(kind Kind, key string, cause error) *Error {
	return &Error{Kind: kind, Key: key, Cause: cause}
}

// Field returns an Invalid error that belongs to one input field.
func Field(field, key string) *Error {
	return &Error{Kind: Invalid, Key: key, Field: field}
}

// Retry returns an error of the kind (Limited or Busy) that may be tried again after d.
func Retry(kind Kind, key string, d time.Duration) *Error {
	return &Error{Kind: kind, Key: key, RetryAfter: d}
}

// Error is meant for logs, never for people.
func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Key != "" {
		s += " " + e.Key
	}
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first *Error in err's chain. A deadline that passed is
// Unavailable: something we waited for did not answer in time.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// As returns the first *Error in err's chain, or an Internal one around err.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: KindOf(err), Cause: err}
}

// Wrap adds what was being done to err and keeps its kind. It returns nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}
