package oauth

import (
	"context"
	"net/url"
	"strings"

	"signet/internal/oauth/client"
)

// What the deployment does with request objects (Policy.RequestObjects).
const (
	objectsOff      = "off"
	objectsUnsigned = "unsigned"
)

// unpacked is the outcome of unpack.
type unpacked struct {
	form   url.Values
	ready  *Request // a pushed request, which was checked when it came
	signed bool     // all of form comes from a signed request object
}

// unpack turns what was sent into the one set of parameters that counts: those of a pushed request
// (RFC 9126 §4), of a request object (RFC 9101 §5) or, without either, those that were sent. Sets are
// never mixed: parameters beside a request object are as if they were not there (RFC 9101 §6.3).
func (e *Engine) unpack(ctx context.Context, form url.Values) (unpacked, error) {
	byValue, byReference := form.Has("request"), form.Has("request_uri")
	if !byValue && !byReference {
		return unpacked{form: form}, nil
	}
	if byValue && byReference || len(form["request"]) > 1 || len(form["request_uri"]) > 1 { // RFC 9101 §5
		return unpacked{}, refuse(InvalidRequest, "The request holds more than one request object.")
	}
	uri := form.Get("request_uri")
	if strings.HasPrefix(uri, pushedURN) {
		return e.pushed(ctx, form)
	}
	c, err := e.requester(ctx, form)
	if err != nil {
		return unpacked{}, err
	}
	if byValue {
		return e.object(ctx, c, form.Get("request"), RequestNotSupported)
	}
	text, err := e.reference(ctx, c, uri)
	if err != nil {
		return unpacked{}, err
	}
	return e.object(ctx, c, text, RequestURINotSupported)
}

// outside is where an error about a request object is told: by redirect to the address beside it, if
// that is one that the client registered; else on a page. Nothing in the object is believed yet. An
// error about a pushed request stays here: who opens one that is not theirs learns nothing of it.
func (e *Engine) outside(ctx context.Context, form url.Values, err *Error) *Error {
	if err.Code == TemporarilyUnavailable || err.Code == ServerError || err.Code == InvalidClient ||
		strings.HasPrefix(form.Get("request_uri"), pushedURN) {
		return err
	}
	a := &authorization{e: e, form: form}
	if checkClient(ctx, a) == nil && checkRedirect(ctx, a) == nil {
		err.Redirect = a.target
	}
	return err
}

// checkSigned: where signed request objects are required, nothing else will do (RFC 9101 §10.5; FAPI 2.0
// Message Signing §5.3.1).
func checkSigned(_ context.Context, a *authorization) error {
	if mustSign(a.client) && !a.signed {
		return refuse(InvalidRequest, "This application must send its requests as signed request objects.")
	}
	return nil
}

func mustSign(c *client.Client) bool {
	return c.Metadata.RequireSignedRequest || c.Metadata.Profile == client.ProfileFAPI2Signing
}
