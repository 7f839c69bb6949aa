package oidc

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"

	"signet/internal/server"
)

// The headers in which proxies pass on the certificate of a client.
const (
	headerRFC9440 = "Client-Cert"             // DER as a byte sequence of structured fields (RFC 9440 §2.1)
	headerNginx   = "X-Client-Cert"           // URL-encoded PEM, as $ssl_client_escaped_cert of nginx
	headerEnvoy   = "X-Forwarded-Client-Cert" // key=value pairs, as Envoy writes them
)

const (
	maxCertificate = 16 << 10 // of a header that holds one
	maxChain       = 8
)

// certificate returns the client's certificate, whose key a TLS handshake has proven, and what came
// with it; nil for none. The handshake was ours, or that of a trusted proxy, whose word is believed
// only where the configuration names its header. What is malformed counts as none: whoever needs a
// certificate is refused then.
func (e *Endpoints) certificate(r *http.Request) (*x509.Certificate, []*x509.Certificate) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		chain := r.TLS.PeerCertificates[1:]
		return r.TLS.PeerCertificates[0], chain[:min(len(chain), maxChain)]
	}
	if e.certificates == "" || !server.Vouched(r) {
		return nil, nil
	}
	values := r.Header[http.CanonicalHeaderKey(e.certificates)]
	if len(values) != 1 || len(values[0]) > maxCertificate { // two would be somebody else's, too
		return nil, nil
	}
	switch e.certificates {
	case headerRFC9440:
		return fromStructured(values[0], strings.Join(r.Header["Client-Cert-Chain"], ","))
	case headerNginx:
		return fromEscaped(values[0])
	case headerEnvoy:
		return fromEnvoy(values[0])
	}
	return nil, nil
}

// fromStructured reads ":base64:", and a list of the same (RFC 9440 §2.2, RFC 8941 §3.3.5).
func fromStructured(leaf, chain string) (*x509.Certificate, []*x509.Certificate) {
	one := func(s string) *x509.Certificate {
		s = strings.Trim(s, " \t")
		if len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' {
			return nil
		}
		der, err := base64.StdEncoding.Strict().DecodeString(s[1 : len(s)-1])
		if err != nil {
			return nil
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		return cert
	}
	cert := one(leaf)
	if cert == nil {
		return nil, nil
	}
	var rest []*x509.Certificate
	if len(chain) <= maxChain*maxCertificate {
		for s := range strings.SplitSeq(chain, ",") {
			if c := one(s); c != nil && len(rest) < maxChain {
				rest = append(rest, c)
			}
		}
	}
	return cert, rest
}

// fromEscaped reads PEM that is URL-encoded. A plus stays a plus: base64 has it.
func fromEscaped(s string) (*x509.Certificate, []*x509.Certificate) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, nil
	}
	list := fromPEM([]byte(text))
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], list[1:]
}

// fromPEM reads certificates and nothing else; any other content makes all of it worthless.
func fromPEM(text []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" || len(out) > maxChain {
			return nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		out, text = append(out, cert), rest
	}
	return out
}

// fromEnvoy reads one element of X-Forwarded-Client-Cert. Several elements are several hops, of which
// only the proxy nearest to us is known: it must be set to replace the header (SANITIZE_SET).
func fromEnvoy(s string) (cert *x509.Certificate, chain []*x509.Certificate) {
	quoted := false
	start := 0
	pair := func(s string) bool {
		name, value, found := strings.Cut(s, "=")
		value = strings.Trim(value, `"`)
		switch {
		case !found:
			return false
		case strings.EqualFold(name, "Cert") && cert == nil:
			cert, _ = fromEscaped(value)
			return cert != nil
		case strings.EqualFold(name, "Cert"):
			return false
		case strings.EqualFold(name, "Chain"):
			_, chain = fromEscaped(value) // begins with the certificate itself
		}
		return true
	}
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ';' && !quoted:
			if !pair(s[start:i]) {
				return nil, nil
			}
			start = i + 1
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i = min(i+1, len(s)-1)
		case s[i] == ',' && !quoted:
			return nil, nil
		}
	}
	return cert, chain
}
