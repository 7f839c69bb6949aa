package server

import (
	"errors"
	"net/http"

	"signet/internal/platform/errs"
)

// Refusal is an answer that the door itself gives, with its HTTP status. Text is safe for
// anybody: it names what was wrong, never what was sent. Below 500 its kind is errs.Invalid
// (errs.NotFound for 404), so handlers may treat it like any other input error.
type Refusal struct {
	Status int
	Text   string
}

func (e *Refusal) Error() string { return e.Text }

// Unwrap gives the refusal its kind.
func (e *Refusal) Unwrap() error {
	switch {
	case e.Status == http.StatusNotFound:
		return errs.New(errs.NotFound, "", nil)
	case e.Status == http.StatusForbidden:
		return errs.New(errs.Forbidden, "", nil)
	case e.Status >= 500:
		return errs.New(errs.Unavailable, "", nil)
	}
	return errs.New(errs.Invalid, "", nil)
}

func refuse(status int, text string) error { return &Refusal{Status: status, Text: text} }

// Status maps an error to an HTTP status, the one place where kinds become statuses.
func Status(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Status
	}
	switch errs.KindOf(err) {
	case errs.Invalid:
		return http.StatusBadRequest
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Conflict:
		return http.StatusConflict
	case errs.Unauthenticated:
		return http.StatusUnauthorized
	case errs.Forbidden:
		return http.StatusForbidden
	case errs.Limited:
		return http.StatusTooManyRequests
	case errs.Busy, errs.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
