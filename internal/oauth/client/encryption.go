package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// EncryptionKey returns the client's key for what is encrypted to it with a key management
// algorithm: one that says use=enc before one that says nothing, one that names the algorithm before
// one that does not. A set behind a jwks_uri is read as by Keys.
func (s *Service) EncryptionKey(ctx context.Context, c *Client, alg string) (key jose.JSONWebKey, found bool, err error) {
	set, err := s.keysOf(ctx, c, func(set jose.JSONWebKeySet) jose.JSONWebKeySet { return forEncryption(set, alg) })
	if err != nil || len(set.Keys) == 0 {
		return jose.JSONWebKey{}, false, err
	}
	return set.Keys[0], true, nil
}

// forEncryption returns the best fitting key of a set, or none.
func forEncryption(set jose.JSONWebKeySet, alg string) jose.JSONWebKeySet {
	best := 0
	var out jose.JSONWebKeySet
	for _, k := range set.Keys {
		score := 1
		switch {
		case k.Use != "" && k.Use != useEnc, k.Algorithm != "" && k.Algorithm != alg, !encrypts(k.Key, alg):
			continue
		case k.Use == useEnc:
			score += 2
		}
		if k.Algorithm == alg {
			score++
		}
		if score > best {
			best, out.Keys = score, []jose.JSONWebKey{k}
		}
	}
	return out
}

// encrypts reports whether the key is of the type that the algorithm needs (RFC 7518 §4.1).
func encrypts(key any, alg string) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RSA-OAEP")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ECDH-ES")
	}
	return false
}
