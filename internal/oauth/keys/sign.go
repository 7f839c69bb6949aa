package keys

import (
	"encoding/base64"
	"fmt"
)

// Sign returns the compact JWS (RFC 7515 §7.1) of claims, which are JSON already, with the key
// that is active for alg now. typ may be empty. It touches no database and costs little more
// than the bare signature. It fails with ErrNoKey if there is no key for alg.
func (s *Service) Sign(alg, typ string, claims []byte) (string, error) {
	k := s.current.Load().signer(alg, s.d.Clock.Now())
	if k == nil {
		return "", fmt.Errorf("%w: %s", ErrNoKey, alg)
	}
	h := k.header(typ)
	enc := base64.RawURLEncoding
	buf := make([]byte, 0, len(h)+enc.EncodedLen(len(claims))+enc.EncodedLen(maxSignature)+2)
	buf = append(buf, h...)
	buf = append(buf, '.')
	buf = enc.AppendEncode(buf, claims)
	sig, err := signature(alg, k.priv, buf)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.ID, err)
	}
	buf = append(buf, '.')
	buf = enc.AppendEncode(buf, sig)
	return string(buf), nil
}

// maxSignature is the bytes of the longest usual signature, RSA with 2048 bits.
const maxSignature = rsaBits / 8
