package oauth

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// Sender-constrained tokens: who may use a code, a refresh token or an access token beside having
// it. Two ways: a DPoP key (RFC 9449) and the certificate of the connection (RFC 8705 §3).

// sender is what the engine keeps for it.
type sender struct {
	nonces      nonces
	authorities *x509.CertPool
}

// prove reads the DPoP proof before anything is looked up or used up.
func (e *Engine) prove(_ context.Context, f *flow) error {
	p, err := e.readProof(f.call)
	if err != nil || p == nil {
		return err
	}
	f.proven = confirmation{JKT: p.jkt}
	return nil
}

// sender finds what the tokens of a flow would be bound to, and refuses a request without what the
// client's registration demands of it.
func (f *flow) sender() error {
	m, p := f.client.Metadata, f.call.proof
	if p != nil {
		if err := p.fits(f.client); err != nil {
			return err
		}
	}
	if byCertificate(f.client, p, f.held) {
		if f.call.Certificate == nil {
			return refuse(InvalidRequest, "A client certificate is required.")
		}
		f.proven = confirmation{X5TS: thumbprint(f.call.Certificate)}
	}
	if p == nil && (m.DPoPBound || m.UnderFAPI() && f.proven.none()) {
		return noProof()
	}
	return nil
}

func noProof() *Error { return refuse(InvalidDPoPProof, "A DPoP proof is required.") }

// bind decides what the tokens of a flow are bound to, now that client and grant are known, and
// holds the request against what code and refresh token are bound to.
func (e *Engine) bind(ctx context.Context, f *flow) error {
	if err := f.sender(); err != nil {
		return err
	}
	p := f.call.proof
	key := f.grant.Params.JKT
	if f.grantType != client.GrantAuthorizationCode {
		key = f.held.JKT // the key of a code means nothing to what follows from it (RFC 9449 §10)
	}
	switch {
	case p == nil && key != "":
		return noProof()
	case key != "" && !holds(p.jkt, key):
		return wrongKey("The DPoP proof was made with another key than the code or token is bound to.")
	case f.held.X5TS != "" && !holds(f.proven.X5TS, f.held.X5TS):
		return wrongKey("The certificate is another one than the token is bound to.")
	}
	f.confirm = f.proven
	if p == nil {
		return nil
	}
	return e.spendProof(ctx, f.client, f.grant.User, p)
}

// byCertificate reports whether tokens are bound to the certificate: the client asked for that at
// registration, its refresh token is bound so, or its profile demands one of the two ways and it
// has proven no key.
func byCertificate(c *client.Client, p *proof, held confirmation) bool {
	m := c.Metadata
	return m.CertificateBound || held.X5TS != "" ||
		m.UnderFAPI() && p == nil && slices.Contains([]client.AuthMethod{client.TLS, client.SelfSignedTLS}, m.AuthMethod)
}

func wrongKey(text string) *Error { return refuse(InvalidGrant, text) }

// heldBy is what the refresh token of a flow is bound to. A confidential client's is bound by its
// authentication, and may come with another key each time (RFC 9449 §5, RFC 8705 §4).
func heldBy(f *flow) confirmation {
	if f.client.Public() {
		return f.confirm
	}
	return confirmation{}
}

// demand checks that whoever presents an access token is its holder (RFC 9449 §7.1, RFC 8705 §3).
// token_type and scheme must agree: a bound token as a bearer token would be bound to nothing
// (RFC 9449 §7.2).
func (e *Engine) demand(ctx context.Context, call *Call, scheme, token string, a *accessInfo) error {
	switch bound := a.Confirm; {
	case scheme != bound.tokenType():
		out := badToken("The access token is of another type than the request says.")
		out.Challenge = bound.tokenType()
		return out
	case bound.X5TS != "":
		if call.Certificate == nil || !holds(thumbprint(call.Certificate), bound.X5TS) {
			return badToken("The access token is bound to a certificate that did not come with it.")
		}
		return nil
	case bound.JKT != "":
		err := e.demandProof(ctx, call, token, a)
		if out := AsError(err); err != nil && out.Status < 500 && out.Status != http.StatusTooManyRequests {
			return atResource(out)
		}
		return err
	}
	return nil
}

// demandProof is RFC 9449 §4.3 no. 12: the proof is for this token, and made with its key.
func (e *Engine) demandProof(ctx context.Context, call *Call, token string, a *accessInfo) error {
	p, err := e.readProof(call)
	switch {
	case err != nil:
		return err
	case p == nil:
		return noProof()
	case !holds(p.ath, id.Digest(token)):
		return badProof("is for another access token (ath)")
	case !holds(p.jkt, a.Confirm.JKT):
		return refuse(InvalidToken, "The access token is bound to another key.")
	}
	c, err := e.clients.Get(ctx, a.Client)
	if err != nil {
		return err
	}
	if err := p.fits(c); err != nil {
		return err
	}
	return e.spendProof(ctx, c, a.User, p)
}

// atResource is how a protected resource says it: 401 with a challenge (RFC 9449 §7.1, §9).
func atResource(out *Error) *Error {
	out.Status, out.Challenge = http.StatusUnauthorized, "DPoP"
	return out
}

// provePush is the DPoP proof of a pushed request, whose key the code will be bound to (RFC 9449
// §10.1); "" without one. A proof that is looked at twice is spent once.
func (e *Engine) provePush(ctx context.Context, call *Call, c *client.Client) (jkt string, err error) {
	p, err := e.readProof(call)
	if err != nil || p == nil {
		return "", err
	}
	if err := p.fits(c); err != nil {
		return "", err
	}
	return p.jkt, e.spendProof(ctx, c, "", p)
}

// checkBinding reads dpop_jkt (RFC 9449 §10), and the proof of a pushed request: they must agree.
func checkBinding(ctx context.Context, a *authorization) error {
	jkt := a.get("dpop_jkt")
	if jkt != "" && !challenge(jkt) { // the same form: 43 characters of base64url
		return refuse(InvalidRequest, "dpop_jkt is not a base64url SHA-256.")
	}
	if a.push != nil {
		proven, err := a.e.provePush(ctx, a.push, a.client)
		if err != nil {
			return err
		}
		if jkt != "" && proven != "" && !holds(proven, jkt) {
			return badProof("was made with another key than dpop_jkt names")
		}
		if proven != "" {
			jkt = proven
		}
	}
	a.req.JKT = jkt
	return nil
}
