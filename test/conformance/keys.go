package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

// newKeys makes a key of a client as two JWK Sets (RFC 7517): with its private part for the suite,
// and without it for the provider.
func newKeys() (private, public map[string]any, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, nil, err
	}
	d, err := key.Bytes()
	if err != nil {
		return nil, nil, err
	}
	kid := hex.EncodeToString(random(8))
	jwk := func() map[string]any {
		return map[string]any{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
			"x": encode(point[1:33]), "y": encode(point[33:])}
	}
	whole := jwk()
	whole["d"] = encode(d)
	return keySet(whole), keySet(jwk()), nil
}

func keySet(jwk map[string]any) map[string]any { return map[string]any{"keys": []any{jwk}} }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
