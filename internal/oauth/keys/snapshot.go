package keys

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// snapshot is everything that signing and verifying need, made by Load and never changed.
type snapshot struct {
	algs  []algorithm        // a handful: faster to walk than a map
	byKid map[string]*signer // all keys in the JWKS
	// headers are the protected headers that these keys write, as they stand in tokens.
	headers map[string]parsedHeader
	jwks    []byte
	etag    string
}

// algorithm is the keys of one algorithm, sorted by activation.
type algorithm struct {
	name    string
	keys    []Key
	signers []*signer
}

// signer is one key with what can be computed ahead.
type signer struct {
	Key
	priv    crypto.Signer
	headers []header
	seen    *verified
}

// header is a protected header in the form in which it stands in a token.
type header struct{ typ, encoded string }

// types are the typ values whose headers are encoded ahead: ID tokens, access tokens (RFC 9068
// §2.1), logout tokens (OIDC Back-Channel Logout §2.4), introspection answers (RFC 9701 §5).
var types = []string{"JWT", "at+jwt", "logout+jwt", "token-introspection+jwt", ""}

func newSigner(k Key, priv crypto.Signer) (*signer, error) {
	s := &signer{Key: k, priv: priv, seen: &verified{}}
	for _, typ := range types {
		s.headers = append(s.headers, header{typ, encodeHeader(k, typ)})
	}
	// One signature ahead: it finds a broken key at the start instead of at the first login,
	// and it fills what crypto/ecdsa computes at the first use of a key.
	_, err := signature(k.Alg, priv, []byte("signet"))
	return s, err
}

func encodeHeader(k Key, typ string) string {
	b, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ,omitempty"`
	}{k.Alg, string(k.ID), typ})
	if err != nil {
		panic(err) // three strings
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s *signer) header(typ string) string {
	for i := range s.headers {
		if s.headers[i].typ == typ {
			return s.headers[i].encoded
		}
	}
	return encodeHeader(s.Key, typ)
}

// signer returns the key that signs with alg at now, or nil.
func (s *snapshot) signer(alg string, now time.Time) *signer {
	for i := range s.algs {
		if a := &s.algs[i]; a.name == alg {
			if n := signerAt(a.keys, now); n >= 0 {
				return a.signers[n]
			}
			return nil
		}
	}
	return nil
}

// newSnapshot makes a snapshot of the keys that are not removed at now.
func newSnapshot(signers []*signer, now time.Time) (*snapshot, error) {
	s := &snapshot{byKid: map[string]*signer{}, headers: map[string]parsedHeader{}}
	var live []Key
	for _, k := range signers {
		if k.State(now) != Removed {
			live = append(live, k.Key)
			s.byKid[string(k.ID)] = k
			for _, h := range k.headers {
				s.headers[h.encoded] = parsedHeader{k.Alg, string(k.ID), h.typ}
			}
		}
	}
	var set struct {
		Keys []jose.JSONWebKey `json:"keys"`
	}
	set.Keys = []jose.JSONWebKey{}
	groups := byAlg(live)
	for _, alg := range Algorithms() {
		a := algorithm{name: alg, keys: groups[alg]}
		for _, k := range a.keys {
			sg := s.byKid[string(k.ID)]
			a.signers = append(a.signers, sg)
			set.Keys = append(set.Keys, publicJWK(string(k.ID), alg, sg.priv.Public()))
		}
		if len(a.keys) > 0 {
			s.algs = append(s.algs, a)
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	s.jwks, s.etag = body, `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`
	return s, nil
}

// same reports whether two snapshots publish the same, to keep the log quiet.
func (s *snapshot) same(o *snapshot) bool {
	return o != nil && bytes.Equal(s.jwks, o.jwks) && slices.EqualFunc(s.algs, o.algs, func(a, b algorithm) bool {
		return slices.EqualFunc(a.keys, b.keys, func(x, y Key) bool { return x == y })
	})
}
