package oauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

const (
	maxAuthHeader = 4096
	maxSecret     = 1024
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2
)

// credentials is what a request brought to prove which client sent it.
type credentials struct {
	client    string
	method    client.AuthMethod
	secret    string
	assertion string
}

// authenticate finds out which client sent a request (RFC 6749 §2.3): by exactly one method, the
// registered one. Every failure is the same invalid_client, so that nothing is learned about
// which clients exist or how they authenticate; the cause is for the log.
func (e *Engine) authenticate(ctx context.Context, call *Call) (*client.Client, error) {
	h := call.Header
	cr, why := readCredentials(h, call.Form)
	if why != "" {
		return nil, badClient(h, why)
	}
	if cr.assertion != "" {
		return e.authenticateAssertion(ctx, h, cr)
	}
	c, err := e.clients.Get(ctx, id.Client(cr.client))
	if errs.Is(err, errs.NotFound) {
		c, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if c != nil && cr.method == client.None && byTLS(c.Metadata.AuthMethod) {
		return c, e.authenticateTLS(ctx, c, call)
	}
	// An unknown client costs the same work as a known one (fosite trap 16).
	match := cr.method == client.None || c.VerifySecret(cr.secret, e.clock.Now())
	switch {
	case c == nil:
		return nil, badClient(h, "unknown client")
	case c.Metadata.AuthMethod != cr.method:
		return nil, badClient(h, "not the registered method")
	case !match:
		return nil, badClient(h, "wrong secret")
	case !c.Active():
		return nil, badClient(h, "disabled")
	}
	return c, nil
}

// byTLS reports whether a method is a certificate. Such a request carries client_id and nothing else
// (RFC 8705 §2), so it is the registration that tells it from a public client's.
func byTLS(m client.AuthMethod) bool { return m == client.TLS || m == client.SelfSignedTLS }

func (e *Engine) authenticateTLS(ctx context.Context, c *client.Client, call *Call) error {
	if !c.Active() {
		return badClient(call.Header, "disabled")
	}
	err := e.verifyCertificate(ctx, c, call)
	if err == nil || errs.Is(err, errs.Unavailable) {
		return err
	}
	return badClient(call.Header, err.Error())
}

// badClient is the one answer to failed client authentication: 401, with a challenge where the
// client tried the Authorization header (RFC 6749 §5.2).
func badClient(h http.Header, why string) *Error {
	out := refuse(InvalidClient, "Client authentication failed.").because(&authFailure{why})
	if len(h["Authorization"]) > 0 {
		out.Challenge = "Basic"
	}
	return out
}

type authFailure struct{ why string }

func (f *authFailure) Error() string { return "client authentication: " + f.why }

// readCredentials finds the one method that the request uses; why says what is wrong otherwise.
func readCredentials(h http.Header, form url.Values) (cr credentials, why string) {
	var methods []client.AuthMethod
	// An empty value counts as left out (RFC 6749 §3.2).
	bodyID, secret, assertion := form.Get("client_id"), form.Get("client_secret"), form.Get("client_assertion")
	if len(h["Authorization"]) > 0 {
		methods = append(methods, client.SecretBasic)
	}
	if secret != "" {
		methods = append(methods, client.SecretPost)
	}
	if assertion != "" || form.Get("client_assertion_type") != "" {
		methods = append(methods, client.PrivateKeyJWT) // or client_secret_jwt: the registration says
	}
	switch {
	case len(methods) > 1:
		return cr, "more than one method" // RFC 6749 §2.3
	case len(methods) == 0:
		methods = []client.AuthMethod{client.None}
	}
	cr = credentials{client: bodyID, method: methods[0], secret: secret, assertion: assertion}
	switch cr.method {
	case client.SecretBasic:
		if len(h["Authorization"]) != 1 {
			return cr, "several Authorization headers"
		}
		user, pass, ok := parseBasic(h["Authorization"][0])
		if !ok {
			return cr, "malformed Basic header"
		}
		if bodyID != "" && bodyID != user {
			return cr, "client_id differs from the Basic user"
		}
		cr.client, cr.secret = user, pass
	case client.PrivateKeyJWT:
		if form.Get("client_assertion_type") != assertionType || assertion == "" {
			return cr, "wrong client_assertion_type"
		}
		return cr, "" // the assertion names the client
	}
	if cr.client == "" || len(cr.client) > maxClientID || len(cr.secret) > maxSecret {
		return cr, "client_id missing or too long"
	}
	return cr, ""
}

// parseBasic reads "Basic base64(id:secret)", each part form-urlencoded (RFC 6749 §2.3.1), so it
// is decoded exactly once.
func parseBasic(header string) (user, pass string, ok bool) {
	scheme, rest, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") || len(header) > maxAuthHeader {
		return "", "", false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(rest, " "))
	if err != nil {
		return "", "", false
	}
	user, pass, found = strings.Cut(string(raw), ":")
	if !found {
		return "", "", false
	}
	if user, err = url.QueryUnescape(user); err != nil {
		return "", "", false
	}
	if pass, err = url.QueryUnescape(pass); err != nil {
		return "", "", false
	}
	for _, s := range []string{user, pass} {
		if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return "", "", false
		}
	}
	return user, pass, true
}
