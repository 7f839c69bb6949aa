// Package errorsx stands in for the package of the same path in github.com/ory/x,
// of which fosite uses only what is declared here. The original drags a tracing,
// logging and database stack into the binary (docs/decisions/0002-fosite.md).
package errorsx

import "github.com/pkg/errors"

// WithStack returns err as it is. fosite calls it on every "not my request" answer;
// capturing a stack there costs a third of a token request and nobody reads it.
func WithStack(err error) error { return err }

// Cause returns the innermost error that err wraps by the pkg/errors convention.
func Cause(err error) error { return errors.Cause(err) }

// StatusCodeCarrier is an error that knows the HTTP status of its answer.
type StatusCodeCarrier interface{ StatusCode() int }

// RequestIDCarrier is an error that knows the id of the request it belongs to.
type RequestIDCarrier interface{ RequestID() string }

// ReasonCarrier is an error that can say why it happened.
type ReasonCarrier interface{ Reason() string }

// DebugCarrier is an error with a text meant for developers only.
type DebugCarrier interface{ Debug() string }

// StatusCarrier is an error that knows the text of its HTTP status.
type StatusCarrier interface{ Status() string }

// DetailsCarrier is an error with structured details.
type DetailsCarrier interface{ Details() map[string]interface{} }
