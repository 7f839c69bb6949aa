package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMTLS_Problems(t *testing.T) {
	t.Parallel()
	const tls = "tls: {cert_file: c.pem, key_file: k.pem}\n"
	for name, c := range map[string]struct{ yaml, want string }{
		"no way in":           {"mtls: {url: 'https://mtls.example.com'}", "mtls.listen"},
		"authorities alone":   {"mtls: {ca_file: ca.pem}", "mtls.listen"},
		"both ways":           {tls + "proxy: {trusted: [10.0.0.1/32]}\nmtls: {listen: ':8443', header: Client-Cert, url: 'https://mtls.example.com'}", "exclude"},
		"header of anybody":   {"mtls: {header: Client-Cert}", "proxy.trusted"},
		"listener in clear":   {"mtls: {listen: ':8443', url: 'https://mtls.example.com'}", "tls.cert_file"},
		"listener without":    {tls + "mtls: {listen: ':8443'}", "mtls.url"},
		"no address":          {tls + "mtls: {listen: here, url: 'https://mtls.example.com'}", "such as :8443"},
		"address with a path": {tls + "mtls: {listen: ':8443', url: 'https://mtls.example.com/x'}", "no path"},
		"address in clear":    {tls + "mtls: {listen: ':8443', url: 'http://localhost:8443'}", "https://"},
		"the issuer":          {tls + "mtls: {listen: ':8443', url: 'https://id.example.com'}", "must not be the issuer"},
		"unknown header":      {"proxy: {trusted: [10.0.0.1/32]}\nmtls: {header: X-SSL}", "mtls.header"},
		"listener":            {tls + "mtls: {listen: ':8443', url: 'https://id.example.com:8443', ca_file: ca.pem}", ""},
		"header":              {"proxy: {trusted: [10.0.0.1/32]}\nmtls: {header: X-Client-Cert}", ""},
		"header, other host":  {"proxy: {trusted: [10.0.0.1/32]}\nmtls: {header: X-Forwarded-Client-Cert, url: 'https://mtls.example.com'}", ""},
	} {
		dir := folder(t, map[string]string{"config.yaml": "issuer: https://id.example.com\nmaster_key_file: master.key\n" + c.yaml + "\n", "master.key": goodKey()})
		_, err := Load(Source{File: filepath.Join(dir, "config.yaml")})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
