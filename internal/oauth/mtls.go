package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"signet/internal/oauth/client"
)

// thumbprint is x5t#S256 of a certificate (RFC 8705 §3.1).
func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return encode64(sum[:])
}

// verifyCertificate authenticates a client by the certificate that its connection was made with
// (RFC 8705 §2). That the client has the private key was proven by the TLS handshake.
func (e *Engine) verifyCertificate(ctx context.Context, c *client.Client, call *Call) error {
	if call.Certificate == nil {
		return errors.New("no certificate")
	}
	now := e.clock.Now()
	if now.Add(skew).Before(call.Certificate.NotBefore) || now.After(call.Certificate.NotAfter.Add(skew)) {
		return errors.New("the certificate is not valid now")
	}
	if c.Metadata.AuthMethod == client.SelfSignedTLS {
		return e.registeredCertificate(ctx, c, call.Certificate)
	}
	return e.issuedCertificate(c, call)
}

// issuedCertificate is tls_client_auth: a chain to one of our authorities, and the one name that the
// client registered (§2.1).
func (e *Engine) issuedCertificate(c *client.Client, call *Call) error {
	if e.authorities == nil {
		return errors.New("mtls.ca_file names no authorities")
	}
	between := x509.NewCertPool()
	for _, cert := range call.Chain {
		between.AddCert(cert)
	}
	_, err := call.Certificate.Verify(x509.VerifyOptions{
		Roots: e.authorities, Intermediates: between, CurrentTime: e.clock.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	if !named(call.Certificate, c.Metadata.Protocol) {
		return errors.New("the certificate has not the registered name")
	}
	return nil
}

// named compares the certificate with the one name that is registered (§2.1.2).
func named(cert *x509.Certificate, p client.Protocol) bool {
	switch {
	case p.TLSSubjectDN != "":
		return client.SubjectIs(cert, p.TLSSubjectDN)
	case p.TLSSANDNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, p.TLSSANDNS) })
	case p.TLSSANEmail != "":
		return slices.Contains(cert.EmailAddresses, p.TLSSANEmail)
	case p.TLSSANURI != "":
		for _, u := range cert.URIs {
			if u.String() == p.TLSSANURI {
				return true
			}
		}
	case p.TLSSANIP != "":
		want, err := netip.ParseAddr(p.TLSSANIP)
		for _, raw := range cert.IPAddresses {
			if got, ok := netip.AddrFromSlice(raw); ok && err == nil && got.Unmap() == want.Unmap() {
				return true
			}
		}
	}
	return false
}

// registeredCertificate is self_signed_tls_client_auth: the very certificate stands in the client's
// key set, as x5c or by its thumbprint (§2.2.2).
func (e *Engine) registeredCertificate(ctx context.Context, c *client.Client, cert *x509.Certificate) error {
	print := thumbprint(cert)
	// The second round asks for a key of that name: no set has one, so that a set behind a jwks_uri
	// is fetched again, at most every half minute, as after any change of keys there.
	for _, kid := range []string{"", print} {
		if kid != "" {
			if c.Metadata.JWKSURI == "" {
				break
			}
			if _, err := e.clients.Keys(ctx, c, kid); err != nil {
				return err
			}
		}
		set, err := e.clients.Keys(ctx, c, "")
		if err != nil {
			return err
		}
		for _, k := range set.Keys {
			if len(k.Certificates) > 0 && k.Certificates[0].Equal(cert) || holds(encode64(k.CertificateThumbprintSHA256), print) {
				return nil
			}
		}
	}
	return errors.New("the certificate is not registered")
}
