package client

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a client's key set.
const (
	maxJWKS  = 64 << 10
	maxKeys  = 32
	minRSA   = 2048
	maxRSA   = 8192 // verifying costs grow with the square
	maxKeyID = 256
)

// The values of use (RFC 7517 §4.2).
const (
	useSig = "sig"
	useEnc = "enc"
)

// parseJWKS reads a JWK Set (RFC 7517 §5) and keeps the public asymmetric keys, for signatures
// and to encrypt to. With strict, used where an operator registers a set by value, every other key is an error; without,
// used for sets read from outside, it is skipped, as RFC 7517 §5 says of keys not understood.
func parseJWKS(raw []byte, strict bool) (jose.JSONWebKeySet, error) {
	var none jose.JSONWebKeySet
	if len(raw) > maxJWKS {
		return none, fmt.Errorf("is larger than %d bytes", maxJWKS)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil || set.Keys == nil {
		return none, errors.New(`is not a JWK Set, {"keys": [ … ]}`)
	}
	if len(set.Keys) > maxKeys {
		return none, fmt.Errorf("has %d keys, at most %d are possible", len(set.Keys), maxKeys)
	}
	var out jose.JSONWebKeySet
	for i, k := range set.Keys {
		key, err := parseJWK(k)
		switch {
		case err == nil:
			out.Keys = append(out.Keys, key)
		case strict:
			return none, fmt.Errorf("key %d %w", i+1, err)
		}
	}
	if strict && len(out.Keys) == 0 {
		return none, errors.New("has no key")
	}
	return out, nil
}

func parseJWK(raw []byte) (jose.JSONWebKey, error) {
	var k jose.JSONWebKey
	// A private or symmetric key that somebody registers or publishes is a leaked key.
	var secret struct {
		D, K json.RawMessage
		Kty  string
	}
	if err := json.Unmarshal(raw, &secret); err != nil {
		return k, errors.New("is not a JSON object")
	}
	if secret.D != nil || secret.K != nil || secret.Kty == "oct" {
		return k, errors.New("is private or symmetric: register public keys only")
	}
	if err := json.Unmarshal(raw, &k); err != nil || !k.Valid() || !k.IsPublic() {
		return k, errors.New("is not a public key that is understood here (RSA, P-256, P-384, P-521, Ed25519)")
	}
	switch {
	case k.Use != "" && k.Use != useSig && k.Use != useEnc:
		return k, errors.New("is neither for signatures nor for encryption (use)")
	case len(k.KeyID) > maxKeyID:
		return k, fmt.Errorf("has a kid longer than %d bytes", maxKeyID)
	}
	return k, keyProblem(k.Key)
}

func keyProblem(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("is an RSA key of %d bits, must be from %d to %d", n, minRSA, maxRSA)
		}
		if k.E < 3 || k.E&1 == 0 {
			return errors.New("has an RSA exponent that is not possible")
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return errors.New("is on an unknown curve")
		}
	case ed25519.PublicKey:
	default:
		return errors.New("is of a type not understood here")
	}
	return nil
}
