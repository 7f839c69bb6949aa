package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// rsaBits is the size of new RSA keys. A signature with 2048 bits costs about 30 ES256
// signatures; with 3072 it would be three times that. RS256 is for old relying parties only.
const rsaBits = 2048

// Generate makes a private key for the algorithm.
func Generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256, PS256:
		return firstRSA()
	case EdDSA:
		_, priv, err := ed25519.GenerateKey(rand.Reader)
		return priv, err
	}
	return nil, fmt.Errorf("unknown signing algorithm %q", alg)
}

// firstRSA takes the first of two keys that are searched for side by side: how long a search for
// primes takes varies widely, and the very first start waits for one.
func firstRSA() (crypto.Signer, error) {
	type result struct {
		key *rsa.PrivateKey
		err error
	}
	found := make(chan result, 2)
	for range cap(found) {
		go func() {
			key, err := rsa.GenerateKey(rand.Reader, rsaBits)
			found <- result{key, err}
		}()
	}
	r := <-found
	return r.key, r.err
}

// fits checks that a key is one that generate makes for the algorithm, so that a row whose
// algorithm was changed is refused.
func fits(alg string, key crypto.Signer) bool {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return alg == ES256 && k.Curve == elliptic.P256()
	case *rsa.PrivateKey:
		return (alg == RS256 || alg == PS256) && k.N.BitLen() >= rsaBits
	case ed25519.PrivateKey:
		return alg == EdDSA
	}
	return false
}

// parsePrivate reads PKCS #8, the form in which private keys are sealed. RSA keys come out with
// their precomputed values, without which a signature takes several times as long.
func parsePrivate(alg string, der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not a private key") // the cause could quote it
	}
	signer, ok := k.(crypto.Signer)
	if !ok || !fits(alg, signer) {
		return nil, fmt.Errorf("not a private key for %s", alg)
	}
	return signer, nil
}

// publicJWK is the key as relying parties see it (RFC 7517 §4).
func publicJWK(kid, alg string, pub crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: pub, KeyID: kid, Algorithm: alg, Use: "sig"}
}

// signature signs the signing input of a JWS, in the form that RFC 7518 §3 wants.
func signature(alg string, key crypto.Signer, input []byte) ([]byte, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		der, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
		if err != nil {
			return nil, err
		}
		return rawES256(der)
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		if alg == PS256 { // RFC 7518 §3.5: the salt is as long as the hash
			return rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input), nil
	}
	return nil, fmt.Errorf("unknown signing algorithm %q", alg)
}

// rawES256 turns the DER signature that crypto/ecdsa makes, SEQUENCE { INTEGER r, INTEGER s },
// into r and s of 32 bytes each (RFC 7518 §3.4). By hand, because the detour over big integers
// costs as much as the rest of Sign together. All lengths fit in one byte for P-256.
func rawES256(der []byte) ([]byte, error) {
	const size = 32
	out := make([]byte, 2*size)
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, errSignature
	}
	rest := der[2:]
	for part := range 2 {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, errSignature
		}
		n := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(n):]
		if len(n) == size+1 && n[0] == 0 { // sign byte
			n = n[1:]
		}
		if len(n) == 0 || len(n) > size {
			return nil, errSignature
		}
		copy(out[(part+1)*size-len(n):], n)
	}
	if len(rest) != 0 {
		return nil, errSignature
	}
	return out, nil
}

var errSignature = errors.New("crypto/ecdsa returned something that is no signature")
