package client

import (
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// maxTries bounds how many keys are tried for a signature that names none.
const maxTries = 8

// SigningKeys returns those keys of a set that signatures may be verified with, all of them or those
// with a key id.
func SigningKeys(set jose.JSONWebKeySet, kid string) jose.JSONWebKeySet {
	var out jose.JSONWebKeySet
	for _, k := range set.Keys {
		if k.Use != useEnc && (kid == "" || k.KeyID == kid) {
			out.Keys = append(out.Keys, k)
		}
	}
	return out
}

// Verify returns the payload of a JWS that one of the keys has signed; SigningKeys has chosen them. A key
// counts only for the use and the algorithm that it names (RFC 7517 §4.2, §4.4). Which algorithms are
// possible at all was said when the JWS was parsed.
func Verify(jws *jose.JSONWebSignature, set jose.JSONWebKeySet) ([]byte, error) {
	alg, tried := jws.Signatures[0].Protected.Algorithm, 0
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != alg || !k.IsPublic() {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("none of %d registered keys verifies it", len(set.Keys))
}

// CheckHeader refuses a JWS header that brings its own key or changes how the token is read: keys come
// from the registration or the configuration, never from the token (RFC 8725 §3.10).
func CheckHeader(head jose.Header) error {
	for _, name := range []jose.HeaderKey{"jku", "x5u", "x5c", "jwk", "crit", "b64"} {
		if _, found := head.ExtraHeaders[name]; found {
			return fmt.Errorf("the header carries %s", name)
		}
	}
	if head.JSONWebKey != nil {
		return errors.New("the header carries a key")
	}
	return nil
}
