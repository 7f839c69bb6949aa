package client

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A key for one purpose is never used for the other (RFC 7517 §4.2), and of several the one that says
// most about itself is taken.
func TestForEncryption(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := func(kid string, pub any, use, alg string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: pub, KeyID: kid, Use: use, Algorithm: alg}
	}
	for name, c := range map[string]struct {
		keys []jose.JSONWebKey
		alg  string
		want string // kid
	}{
		"none":                     {nil, "ECDH-ES", ""},
		"for signatures":           {[]jose.JSONWebKey{key("a", ec.Public(), "sig", "")}, "ECDH-ES", ""},
		"of another type":          {[]jose.JSONWebKey{key("a", ec.Public(), "enc", ""), key("b", edwards, "enc", "")}, "RSA-OAEP-256", ""},
		"for another algorithm":    {[]jose.JSONWebKey{key("a", ec.Public(), "enc", "ECDH-ES+A128KW")}, "ECDH-ES", ""},
		"ES256, without use":       {[]jose.JSONWebKey{key("a", ec.Public(), "", "ES256")}, "ECDH-ES", ""},
		"says nothing":             {[]jose.JSONWebKey{key("a", ec.Public(), "", "")}, "ECDH-ES", "a"},
		"Edwards keys only sign":   {[]jose.JSONWebKey{key("a", edwards, "", "")}, "ECDH-ES", ""},
		"use before none":          {[]jose.JSONWebKey{key("a", ec.Public(), "", "ECDH-ES"), key("b", ec.Public(), "enc", "")}, "ECDH-ES", "b"},
		"algorithm before none":    {[]jose.JSONWebKey{key("a", big.Public(), "enc", ""), key("b", big.Public(), "enc", "RSA-OAEP")}, "RSA-OAEP", "b"},
		"the first of equals":      {[]jose.JSONWebKey{key("a", big.Public(), "enc", ""), key("b", big.Public(), "enc", "")}, "RSA-OAEP-256", "a"},
		"after one for signatures": {[]jose.JSONWebKey{key("a", ec.Public(), "sig", "ES256"), key("b", ec.Public(), "enc", "")}, "ECDH-ES+A256KW", "b"},
	} {
		got := ""
		if set := forEncryption(jose.JSONWebKeySet{Keys: c.keys}, c.alg); len(set.Keys) == 1 {
			got = set.Keys[0].KeyID
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key("a", ec.Public(), "enc", ""), key("b", ec.Public(), "sig", ""), key("c", big.Public(), "", "")}}
	if got := SigningKeys(set, ""); len(got.Keys) != 2 || got.Keys[0].KeyID != "b" || got.Keys[1].KeyID != "c" {
		t.Errorf("for signatures: %v", got.Keys)
	}
	if got := SigningKeys(set, "a"); len(got.Keys) != 0 {
		t.Error("a signature may be made with a key to encrypt to")
	}
}

// OIDC Core §8.1: the sector is a host component, and a pairwise client has exactly one.
func TestSector(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind     Kind
		redirect []string
		sector   string // sector_identifier_uri
		want     string // "" where it must be refused
	}{
		"one host":               {Web, []string{"https://a.example/cb", "https://a.example/other"}, "", "a.example"},
		"ports are no hosts":     {Web, []string{"https://a.example/cb", "https://a.example:8443/cb"}, "", "a.example"},
		"host in capitals":       {Web, []string{"https://a.example/cb"}, "https://Sector.example/list", ""},
		"document for two hosts": {Web, []string{"https://a.example/cb", "https://b.example/cb"}, "https://sector.example/list", "sector.example"},
		"two hosts":              {Web, []string{"https://a.example/cb", "https://b.example/cb"}, "", ""},
		"no host":                {Native, []string{"com.example.app:/cb"}, "", ""},
		"no host, a document":    {Native, []string{"com.example.app:/cb"}, "https://sector.example/list", "sector.example"},
		"http document":          {Web, []string{"https://a.example/cb"}, "http://sector.example/list", ""},
		"machine":                {Machine, nil, "https://sector.example/list", ""},
	} {
		m := Defaults(c.kind)
		m.RedirectURIs, m.SubjectType, m.SectorIdentifierURI = c.redirect, "pairwise", c.sector
		if err := m.Validate(c.kind); (err == nil) != (c.want != "") {
			t.Errorf("%s: %v", name, err)
		} else if err == nil && m.Sector() != c.want {
			t.Errorf("%s: sector %q, want %q", name, m.Sector(), c.want)
		}
		if m.SubjectType = "public"; m.Sector() != "" {
			t.Errorf("%s: public subjects have a sector", name)
		}
	}
}
