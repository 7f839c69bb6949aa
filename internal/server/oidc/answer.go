package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"signet/internal/oauth"
	"signet/internal/server"
)

// handler is a protocol endpoint: it returns what is to be encoded, or nil for an empty 200. It may
// set header fields of the answer, and writes nothing else. A raw body is sent as it is.
type handler func(w http.ResponseWriter, r *http.Request) (any, error)

// answer runs an endpoint and writes its answer as JSON, never to be cached (RFC 6749 §5.1).
func answer(h handler) server.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := h(w, r)
		if err != nil {
			return fail(w, err)
		}
		head := w.Header()
		head["Cache-Control"] = noStore
		if body == nil {
			w.WriteHeader(http.StatusOK)
			return nil
		}
		head["Pragma"] = noCache // RFC 6749 §5.1 demands both
		if raw, ok := body.(typed); ok {
			head["Content-Type"] = []string{raw.contentType}
			w.WriteHeader(raw.status)
			_, err = w.Write(raw.body)
			return err
		}
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		head["Content-Type"] = contentJSON
		_, err = w.Write(b)
		return err
	}
}

// typed is an answer that is not JSON of status 200.
type typed struct {
	status      int
	contentType string
	body        []byte
}

// Shared header values; nothing appends to them.
var (
	noStore     = []string{"no-store"}
	noCache     = []string{"no-cache"}
	contentJSON = []string{"application/json"}
)

// answer is the same for endpoints that single-page applications call: it names the origin that
// may read the answer.
func (e *Endpoints) answer(h handler) server.HandlerFunc {
	plain := answer(h)
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := e.allowOrigin(w, r); err != nil {
			return fail(w, err)
		}
		return plain(w, r)
	}
}

// problem is an error answer (RFC 6749 §5.2).
type problem struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// fail writes an error of the closed vocabulary and returns it for the log.
func fail(w http.ResponseWriter, err error) error {
	e := asError(err)
	head := w.Header()
	head["Cache-Control"] = noStore
	head["Content-Type"] = contentJSON
	if e.RetryAfter > 0 {
		head.Set("Retry-After", server.RetryAfter(e.RetryAfter))
	}
	if c := challenge(e); c != "" {
		head.Set("WWW-Authenticate", c)
		if e.Cause == errNoToken { //nolint:errorlint // set by noToken alone
			head.Add("WWW-Authenticate", dpopChallenge(nil)) // either kind of token will do
		}
	}
	w.WriteHeader(e.Status)
	b, merr := json.Marshal(problem{e.Code, e.Description})
	if merr == nil {
		_, merr = w.Write(b)
	}
	return errors.Join(err, merr)
}

// asError maps whatever an endpoint returns to the vocabulary. What the door refused is an
// invalid_request with the door's status (413, 415, …).
func asError(err error) *oauth.Error {
	var refusal *server.Refusal
	if errors.As(err, &refusal) && refusal.Status < 500 {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: refusal.Text, Status: refusal.Status}
	}
	return oauth.AsError(err)
}

// challenge renders WWW-Authenticate. A request that brought no token at all gets no error code
// (RFC 6750 §3.1).
func challenge(e *oauth.Error) string {
	if e.Challenge == "" {
		return ""
	}
	if e.Challenge == "DPoP" {
		return dpopChallenge(e)
	}
	parts := []string{`realm="signet"`}
	if e.Challenge == "Bearer" && e.Code != "" && e.Cause != errNoToken {
		parts = append(parts, `error="`+e.Code+`"`)
		if e.Description != "" {
			parts = append(parts, `error_description="`+e.Description+`"`)
		}
		if e.Code == oauth.InsufficientScope {
			parts = append(parts, `scope="openid"`)
		}
	}
	return e.Challenge + " " + strings.Join(parts, ", ")
}

// dpopChallenge is RFC 9449 §7.1: with the algorithms in which proofs may be signed.
func dpopChallenge(e *oauth.Error) string {
	parts := []string{`realm="signet"`}
	if e != nil {
		parts = append(parts, `error="`+e.Code+`"`, `error_description="`+e.Description+`"`)
	}
	return "DPoP " + strings.Join(append(parts, `algs="`+strings.Join(oauth.ProofAlgs(), " ")+`"`), ", ")
}
