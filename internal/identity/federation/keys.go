package federation

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a provider's key set.
const (
	maxKeys = 64
	minRSA  = 2048
	maxRSA  = 8192 // verifying costs grow with the square
)

// keySet is the public signature keys of a provider.
type keySet []jose.JSONWebKey

// parseKeys reads a JWK Set (RFC 7517 §5). Keys that are not understood, not public or not for
// signatures are skipped, as §5 says.
func parseKeys(body []byte) (keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Keys == nil {
		return nil, errors.New("not a JWK Set")
	}
	if len(doc.Keys) > maxKeys {
		return nil, errors.New("the JWK Set has too many keys")
	}
	var out keySet
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil || !k.Valid() || !k.IsPublic() || k.Use != "" && k.Use != "sig" || !strong(k.Key) {
			continue
		}
		out = append(out, k)
	}
	return out, nil
}

func strong(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		n := k.N.BitLen()
		return n >= minRSA && n <= maxRSA && k.E >= 3 && k.E&1 == 1
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// matching are the keys that a signature with this header may have been made with. A key that names
// an algorithm is good for no other (RFC 8725 §3.1).
func (set keySet) matching(kid, alg string) keySet {
	var out keySet
	for _, k := range set {
		if (kid == "" || k.KeyID == kid) && (k.Algorithm == "" || k.Algorithm == alg) {
			out = append(out, k)
		}
	}
	return out
}

// keysFor returns the keys that a token with this header may be verified with. A kid that is not
// known makes one request to the provider, at most every 30 s: tokens come from the provider,
// but a broken one must not make us knock at its door with every sign-in.
func (s *Service) keysFor(ctx context.Context, p *provider, m metadata, kid, alg string) (keySet, error) {
	for _, again := range []bool{false, true} {
		set, err := p.keys.load(ctx, s.d.Clock.Now(), m.JWKSURI, again, s.readKeys)
		if err != nil {
			return nil, err
		}
		if found := set.matching(kid, alg); len(found) > 0 {
			return found, nil
		}
	}
	return nil, refuse("the ID token is signed with a key that is not in the provider's key set")
}

func (s *Service) readKeys(ctx context.Context, address string) (keySet, error) {
	body, err := s.d.Fetch.GetJSON(ctx, address)
	if err != nil {
		return nil, err // logged there
	}
	return parseKeys(body)
}
