package server

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"signet/internal/platform/errs"
)

// fail records err and answers it, unless an answer has begun.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	x, ours := w.(*exchange)
	if !ours {
		s.answer(w, r, err)
		return
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) { // a refusal needs no words in the log beyond its status
		x.err = err
	}
	if x.status == 0 {
		s.answer(x, r, err)
	}
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, err error) {
	if e := errs.As(err); e.RetryAfter > 0 {
		w.Header().Set("Retry-After", RetryAfter(e.RetryAfter))
	} else if Status(err) == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	area := infoOf(r.Context()).area
	if f := s.deps.Fail[area]; f != nil {
		f(w, r, err)
		return
	}
	if area == Protocol {
		FailJSON(w, r, err)
		return
	}
	failText(w, r, err)
}

// RetryAfter renders a delay for the header of that name: whole seconds, rounded up.
func RetryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// FailJSON is the answer of protocol routes: the error format that OAuth clients read
// (RFC 6749 §5.2). The text of our own faults stays in the log.
func FailJSON(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	code := "invalid_request"
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		code = "temporarily_unavailable"
	case status >= 500:
		code = "server_error"
	}
	body, _ := json.Marshal(struct { // two strings cannot fail
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
		RequestID   string `json:"request_id,omitempty"`
	}{code, safeText(err, status), RequestID(r)})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func failText(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(safeText(err, status) + " (request " + RequestID(r) + ")\n"))
}

// safeText is what a stranger may read of err.
func safeText(err error, status int) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Text
	}
	return strings.ToLower(http.StatusText(status))
}

// guessArea chooses the error style for requests that match no route.
func (s *Server) guessArea(r *http.Request) Area {
	switch {
	case s.deps.Management:
		return Management
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		return Browser
	}
	return Protocol
}
