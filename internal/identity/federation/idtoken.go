package federation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Limits of an ID token.
const (
	maxIDToken = 64 << 10
	maxSubject = 255              // OIDC Core §2, "sub"
	skew       = 60 * time.Second // between the provider's clock and ours
)

// claims is a set of claims as it was sent. Reading it does not guess: a value of another type
// than expected is no value.
type claims map[string]json.RawMessage

// parseClaims reads a JSON object; one with duplicate members is none.
func parseClaims(body []byte) (claims, bool) {
	var c claims
	// This decoder, unlike that of the standard library, refuses duplicates and tells case apart.
	if err := json.Unmarshal(body, &c); err != nil || c == nil {
		return nil, false
	}
	return c, true
}

func (c claims) text(name string) string {
	var s *string
	if json.Unmarshal(c[name], &s) != nil || s == nil {
		return ""
	}
	return *s
}

// isTrue is for claims on which something hangs: JSON true and nothing that resembles it.
func (c claims) isTrue(name string) bool { return string(c[name]) == "true" }

func (c claims) has(name string) bool { _, ok := c[name]; return ok }

// seconds reads a NumericDate (RFC 7519 §2); ok is false if there is none that makes sense.
func (c claims) seconds(name string) (t time.Time, ok bool) {
	var n *float64
	if json.Unmarshal(c[name], &n) != nil || n == nil || *n < 0 || *n > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(*n), 0).UTC(), true
}

// list reads a string or a list of strings.
func (c claims) list(name string) []string {
	if s := c.text(name); s != "" {
		return []string{s}
	}
	var many []string
	if json.Unmarshal(c[name], &many) != nil {
		return nil
	}
	return many
}

// verifyIDToken checks an ID token as OIDC Core §3.1.3.7 demands and returns its claims.
func (s *Service) verifyIDToken(ctx context.Context, p *provider, m metadata, wait pending, token, access string) (claims, error) {
	if len(token) > maxIDToken || strings.Count(token, ".") != 2 {
		return nil, refuse("the ID token is no compact JWS")
	}
	jws, err := jose.ParseSignedCompact(token, m.algs()) // refuses every other alg
	if err != nil || len(jws.Signatures) != 1 {
		return nil, refuse("the ID token is no JWS with an algorithm that the provider uses")
	}
	head := jws.Signatures[0].Protected
	// The keys are the provider's, whatever the header offers (jku, jwk, x5u: RFC 8725 §3.10).
	keys, err := s.keysFor(ctx, p, m, head.KeyID, head.Algorithm)
	if err != nil {
		return nil, err
	}
	var body []byte
	for _, k := range keys {
		if body, err = jws.Verify(k.Key); err == nil {
			break
		}
	}
	if err != nil {
		return nil, refuse("the signature of the ID token does not hold")
	}
	c, ok := parseClaims(body)
	if !ok {
		return nil, refuse("the ID token is not a JSON object with each member once")
	}
	if why := s.claimProblem(p, wait, c); why != "" {
		return nil, refuse(why)
	}
	if h := c.text("at_hash"); c.has("at_hash") && h != atHash(head.Algorithm, access) { // OIDC Core §3.1.3.8
		return nil, refuse("the access token is not the one that the ID token came with")
	}
	return c, s.checkAge(wait, c)
}

// claimProblem says what is wrong with the claims, "" if nothing is (OIDC Core §3.1.3.7).
func (s *Service) claimProblem(p *provider, wait pending, c claims) string {
	aud := c.list("aud")
	now := s.d.Clock.Now()
	exp, hasExp := c.seconds("exp")
	iat, hasIat := c.seconds("iat")
	nbf, hasNbf := c.seconds("nbf")
	sub := c.text("sub")
	switch {
	case c.text("iss") != p.Issuer:
		return "the ID token is of another issuer"
	case sub == "" || len(sub) > maxSubject:
		return "the ID token has no usable sub"
	case !slices.Contains(aud, p.ClientID):
		return "the ID token is for somebody else (aud)"
	// An audience besides us is somebody who could have got this token for itself; azp says who did.
	case len(aud) > 1 && c.text("azp") != p.ClientID, c.has("azp") && c.text("azp") != p.ClientID:
		return "the ID token was given to somebody else (azp)"
	case !hasExp || !now.Before(exp.Add(skew)):
		return "the ID token has expired"
	case !hasIat || iat.After(now.Add(skew)):
		return "the ID token is of the future or undated (iat)"
	case hasNbf && nbf.After(now.Add(skew)):
		return "the ID token is not valid yet (nbf)"
	case !hmac.Equal([]byte(c.text("nonce")), []byte(wait.Nonce)): // never empty on our side
		return "the ID token has no nonce or another one"
	}
	return ""
}

// checkAge makes sure that the person proved it again where that was asked for. The provider must
// say when (OIDC Core §2, auth_time: required with max_age).
func (s *Service) checkAge(wait pending, c claims) error {
	at, told := c.seconds("auth_time")
	if wait.Fresh && (!told || at.Before(wait.Since.Add(-skew))) {
		return notFresh()
	}
	return nil
}

// atHash is the left half of the token's hash, by the hash of the signature algorithm (OIDC Core
// §3.1.3.6); Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
func atHash(alg, token string) string {
	var h hash.Hash
	switch {
	case strings.HasSuffix(alg, "256"):
		h = sha256.New()
	case strings.HasSuffix(alg, "384"):
		h = sha512.New384()
	default:
		h = sha512.New()
	}
	_, _ = h.Write([]byte(token))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
