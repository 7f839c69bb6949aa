package oidc

import (
	"net/http"
	"slices"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/server"
)

// senderMetadata is the part of discovery about sender-constrained tokens (RFC 8705, RFC 9449).
type senderMetadata struct {
	ProofAlgs        []string          `json:"dpop_signing_alg_values_supported"`                    // RFC 9449 §5.1
	CertificateBound bool              `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 §3.3
	Aliases          map[string]string `json:"mtls_endpoint_aliases,omitempty"`                      // RFC 8705 §5
}

func (e *Endpoints) senderMetadata() senderMetadata {
	p := e.engine.Policy()
	m := senderMetadata{ProofAlgs: oauth.ProofAlgs(), CertificateBound: p.Certificates}
	if p.Certificates && p.MTLS != "" {
		m.Aliases = map[string]string{}
		for _, r := range e.CertificateRoutes() {
			m.Aliases[aliases[r.Path]] = p.MTLS + r.Path
		}
	}
	return m
}

// aliases are the endpoints at which a certificate means something (RFC 8705 §5).
var aliases = map[string]string{
	pathToken:       "token_endpoint",
	pathUserinfo:    "userinfo_endpoint",
	pathIntrospect:  "introspection_endpoint",
	pathRevoke:      "revocation_endpoint",
	pathPush:        "pushed_authorization_request_endpoint",
	pathDevice:      "device_authorization_endpoint",
	pathBackchannel: "backchannel_authentication_endpoint",
}

// CertificateRoutes are the rows of the listener that asks for certificates: no pages, no documents,
// and nothing for browsers, which would ask people for theirs.
func (e *Endpoints) CertificateRoutes() []server.Route {
	return slices.DeleteFunc(e.Routes(), func(r server.Route) bool {
		return aliases[r.Path] == "" || r.Area != server.Protocol || r.Method == http.MethodOptions
	})
}

// authMethods are the ways in which clients may prove themselves here; none is the last. Certificates
// are left out where none can arrive.
func (e *Endpoints) authMethods() []string {
	var out []string
	for _, m := range client.AuthMethods() {
		p := e.engine.Policy()
		if m == client.SelfSignedTLS && !p.Certificates || m == client.TLS && !p.Authorities {
			continue
		}
		out = append(out, string(m))
	}
	return out
}

// authAlgs are the algorithms of client assertions.
func authAlgs() []string { return append(client.SignatureAlgs(), client.SecretAlgs()...) }
