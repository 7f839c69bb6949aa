package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/errs"
)

// Limits of a token of ours, checked before anything is decoded.
const (
	maxToken  = 16 << 10
	maxHeader = 1 << 10
)

// ErrKeyGone is the cause of a refusal where the token names a key that is not here. It may be one of ours that
// was removed, or anybody's.
var ErrKeyGone = errors.New("token is signed with a key that is not ours, or not any more")

// Verify checks that token is one of ours: a compact JWS, signed with a key of this provider that
// has not been removed, of one of the given types (exact, at least one), and returns its claims.
// What the claims say (exp, aud, iss, …) is for the caller to judge. Every refusal is the same
// errs.Unauthenticated; the cause says why.
func (s *Service) Verify(token string, typ ...string) (claims []byte, err error) {
	claims, err = s.verify(token, typ)
	if err != nil {
		return nil, errs.New(errs.Unauthenticated, "", err)
	}
	return claims, nil
}

func (s *Service) verify(token string, typ []string) ([]byte, error) {
	// RFC 7515 §7.1: three parts, no more; counted before anything is split.
	if len(token) > maxToken {
		return nil, errors.New("token is too long")
	}
	if strings.Count(token, ".") != 2 {
		return nil, errors.New("token does not have three parts")
	}
	head, rest, _ := strings.Cut(token, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	keys := s.current.Load()
	h, ok := keys.headers[head] // nearly always
	if !ok {
		var err error
		if h, err = parseHeader(head); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(typ, h.typ) {
		return nil, errors.New("token is of another type") // RFC 8725 §3.11
	}
	// The kid is compared with those in memory and nothing else (RFC 8725 §3.10).
	k := keys.byKid[h.kid]
	if k == nil || k.State(s.d.Clock.Now()) == Removed {
		if h.kid == "" || !Known(h.alg) {
			return nil, errors.New("token is signed with a key that is not ours")
		}
		return nil, ErrKeyGone
	}
	// The key decides the algorithm, the token only has to agree (RFC 8725 §3.1).
	if h.alg != k.Alg {
		return nil, errors.New("token names another algorithm than its key has")
	}
	claims, err := decode(payload)
	if err != nil {
		return nil, err
	}
	if _, err := decode(sig); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(token))
	if k.seen.has(sum) {
		return claims, nil
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.Alg)})
	if err != nil {
		return nil, err
	}
	if claims, err = jws.Verify(k.priv.Public()); err != nil {
		return nil, err
	}
	k.seen.add(sum)
	return claims, nil
}

// decode reads base64url as RFC 7515 §2 has it: no padding, no line breaks (which Go's decoder
// skips) and no stray bits, so that one token has one spelling.
func decode(part string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || part == "" || strings.ContainsAny(part, "\r\n") {
		return nil, errEncoding
	}
	return b, nil
}

var errEncoding = errors.New("token is not base64url")

type parsedHeader struct{ alg, kid, typ string }

// parseHeader reads the protected header of a token of ours: an object of the strings alg, kid
// and typ, each at most once, and nothing else. No header of ours has crit, b64, jku, jwk, x5u or
// zip, so whatever has one was not made here (RFC 8725 §3.10, RFC 7515 §4: duplicates).
func parseHeader(encoded string) (h parsedHeader, err error) {
	if len(encoded) > maxHeader {
		return h, errHeader
	}
	raw, err := decode(encoded)
	if err != nil {
		return h, errHeader
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return h, errHeader
	}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return h, errHeader
		}
		key, _ := name.(string)
		var field *string
		switch key {
		case "alg":
			field = &h.alg
		case "kid":
			field = &h.kid
		case "typ":
			field = &h.typ
		}
		value, err := dec.Token()
		text, isString := value.(string)
		if err != nil || field == nil || seen[key] || !isString {
			return h, errHeader
		}
		seen[key] = true
		*field = text
	}
	if _, err := dec.Token(); err != nil {
		return h, errHeader
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return h, errHeader
	}
	if h.alg == "" || h.kid == "" {
		return h, errHeader
	}
	return h, nil
}

var errHeader = errors.New("header is not one of ours")
