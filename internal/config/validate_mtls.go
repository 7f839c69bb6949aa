package config

import (
	"net"
	"strings"
)

// checkMTLS: certificates arrive in one way, and a header is believed from proxies that are named.
func checkMTLS(c *Config) (string, string) {
	m := c.MTLS
	switch {
	case m.Listen == "" && m.Header == "":
		if m.URL != "" || m.CAFile != "" {
			return "mtls.listen", "or mtls.header is missing: how do certificates arrive?"
		}
		return "", ""
	case m.Listen != "" && m.Header != "":
		return "mtls.header", "and mtls.listen exclude each other"
	case m.Header != "" && len(c.Proxy.Trusted) == 0:
		return "mtls.header", "needs proxy.trusted: anybody could send the header"
	case m.Listen != "" && c.TLS.CertFile == "":
		return "mtls.listen", "needs tls.cert_file: the handshake is what proves the certificate"
	case m.Listen != "" && m.URL == "":
		return "mtls.url", "is missing: where clients reach mtls.listen"
	}
	if _, _, err := net.SplitHostPort(m.Listen); m.Listen != "" && err != nil {
		return "mtls.listen", "is not an address such as :8443"
	}
	if m.URL != "" {
		if text := IssuerProblem(m.URL); text != "" {
			return "mtls.url", text
		}
		if !strings.HasPrefix(m.URL, "https://") {
			return "mtls.url", "must begin with https://"
		}
		if m.Listen != "" && m.URL == c.Issuer {
			return "mtls.url", "must not be the issuer: browsers would ask people for certificates there"
		}
	}
	return "", ""
}
