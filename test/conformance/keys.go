package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
)

// newKeys makes a key of a client as two JWK Sets (RFC 7517): with its private part for the suite,
// and without it for the provider.
func newKeys(algorithm string) (private, public map[string]any, err error) {
	var secret map[string]any
	switch algorithm {
	case "ES256":
		public, secret, err = newEC()
	case "PS256":
		public, secret, err = newRSA()
	case "EdDSA":
		public, secret, err = newEd25519()
	default:
		err = fmt.Errorf("no keys are made for %q", algorithm)
	}
	if err != nil {
		return nil, nil, err
	}
	public["use"], public["alg"], public["kid"] = "sig", algorithm, hex.EncodeToString(random(8))
	private = maps.Clone(public)
	maps.Copy(private, secret)
	return keySet(private), keySet(public), nil
}

func newEC() (public, secret map[string]any, err error) {
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
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}, map[string]any{"d": encode(d)}, nil
}

func newRSA() (public, secret map[string]any, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	number := func(n *big.Int) string { return encode(n.Bytes()) }
	return map[string]any{"kty": "RSA", "n": number(key.N), "e": number(big.NewInt(int64(key.E)))},
		map[string]any{
			"d": number(key.D), "p": number(key.Primes[0]), "q": number(key.Primes[1]),
			"dp": number(key.Precomputed.Dp), "dq": number(key.Precomputed.Dq), "qi": number(key.Precomputed.Qinv),
		}, nil
}

func newEd25519() (public, secret map[string]any, err error) {
	key, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(key)}, map[string]any{"d": encode(private.Seed())}, nil
}

func keySet(jwk map[string]any) map[string]any { return map[string]any{"keys": []any{jwk}} }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
