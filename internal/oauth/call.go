package oauth

import (
	"crypto/x509"
	"net/http"
	"net/url"
)

// Call is one request to a protocol endpoint, as far as the engine looks at it.
type Call struct {
	Method string      // HTTP method, for DPoP proofs (RFC 9449 §4.2 htm)
	Path   string      // of the endpoint, below the issuer (htu)
	Header http.Header // of the request: Authorization and DPoP are looked at
	Form   url.Values  // the body; each parameter once but resource
	// Certificate is the client's, whose key the TLS handshake has proven; nil for none.
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // what came with it, up to an authority
	// Reply takes header fields of the answer, whatever the outcome; nil where nobody reads them.
	Reply http.Header

	proof *proof // the DPoP proof, once it was read
}

// say sets a header field of the answer.
func (c *Call) say(name, value string) {
	if c.Reply != nil {
		c.Reply.Set(name, value)
	}
}
