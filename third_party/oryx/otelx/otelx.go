// Package otelx stands in for the package of the same path in github.com/ory/x,
// of which fosite uses one function.
package otelx

import (
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// End ends span and marks it failed when *err is set. The error's text is not recorded:
// fosite's debug texts can carry request values, which have no place in a trace.
func End(span trace.Span, err *error) {
	if err != nil && *err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
