package oauth

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// The typ header values of our tokens. They keep the kinds apart: no endpoint takes one for
// another (RFC 8725 §3.11).
const (
	typAccess = "at+jwt" // RFC 9068 §2.1
	typID     = "JWT"
)

// audience is the aud claim: one string, or a list where there are more (RFC 7519 §4.1.3).
type audience []string

// MarshalJSON implements json.Marshaler.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*a = audience{one}
	return nil
}

// accessClaims is a JWT access token (RFC 9068 §2.2). GrantID names the grant that introspection
// and userinfo check; tokens of machine clients have none.
type accessClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	GrantID  string   `json:"gid,omitempty"`
	Session  string   `json:"sid,omitempty"`

	Confirm *confirmation   `json:"cnf,omitempty"`
	Act     *actor          `json:"act,omitempty"`
	Via     []string        `json:"via,omitempty"` // clients that impersonated the user on the way
	Details json.RawMessage `json:"authorization_details,omitempty"`
}

// idClaims is an ID token (OIDC Core §2). Claims about the person are at userinfo (§5.4), but for
// those that idTokenClaims adds. There is no azp: the client is the only audience.
type idClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	AuthTime int64    `json:"auth_time"`
	Nonce    string   `json:"nonce,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	AtHash   string   `json:"at_hash,omitempty"`
	CHash    string   `json:"c_hash,omitempty"`         // OIDC Core §3.3.2.11
	Account  string   `json:"signet_account,omitempty"` // see accountMark
}

func (c *idClaims) issuedTo(client id.Client) bool {
	return slices.Contains(c.Audience, string(client))
}

var (
	errForeignIssuer = errors.New("the token names another issuer")
	errNotIDToken    = errors.New("the token is no ID token")
	errPastHint      = errors.New("the token could be an old ID token of this server, whose key was removed")
)

// verifyHint checks an ID token that came back to us: signed with a key of ours, retired ones
// included, and naming us. Expiry is of no concern (OIDC Core §3.1.2.1, RP-Initiated Logout §2). errPastHint
// is for one that only lacks its key.
func (e *Engine) verifyHint(token string) (*idClaims, error) {
	if len(token) > maxTokenText {
		return nil, errors.New("token too long")
	}
	raw, gone := e.keys.Verify(token, typID)
	if errors.Is(gone, keys.ErrKeyGone) {
		var err error
		if raw, err = base64.RawURLEncoding.Strict().DecodeString(strings.Split(token, ".")[1]); err != nil {
			return nil, err
		}
	} else if gone != nil {
		return nil, gone
	}
	var c idClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if c.Issuer != e.issuer {
		return nil, errForeignIssuer
	}
	if c.Subject == "" || c.Expires == 0 { // another JWT of ours, whatever its typ
		return nil, errNotIDToken
	}
	if gone != nil { // what it says was never checked: the caller learns nothing of it
		return nil, errPastHint
	}
	return &c, nil
}

// verifyAccess checks a JWT access token's signature, type, issuer and lifetime; whether it was
// revoked is for the store. An ID token fails by its typ (fosite trap 10).
func (e *Engine) verifyAccess(token string) (*accessClaims, error) {
	raw, err := e.keys.Verify(token, typAccess)
	if err != nil {
		return nil, err
	}
	c, err := e.claims.decode(raw)
	if err != nil {
		return nil, err
	}
	if c.Issuer != e.issuer {
		return nil, errForeignIssuer
	}
	if now := e.clock.Now().Unix(); c.Expires <= now {
		return nil, fmt.Errorf("token expired %d s ago", now-c.Expires)
	}
	return c, nil
}

// claimsMemory remembers what claims were decoded to, because services introspect the same token
// again and again. It holds no tokens: without its signature, a claims text is worth nothing.
// Results are shared and must not be changed.
type claimsMemory struct {
	mu       sync.Mutex
	new, old map[string]*accessClaims
}

// maxClaims bounds each of the two generations, maxClaimsKept what is worth remembering: 2048 × about
// 1 kB × 2, and four times that at most.
const (
	maxClaims     = 2048
	maxClaimsKept = 4 << 10
)

func (m *claimsMemory) decode(raw []byte) (*accessClaims, error) {
	m.mu.Lock()
	c := m.new[string(raw)] // no copy is made to look something up
	if c == nil {
		c = m.old[string(raw)]
	}
	m.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c = &accessClaims{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, err
	}
	if len(raw) > maxClaimsKept {
		return c, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.new == nil || len(m.new) >= maxClaims {
		m.old, m.new = m.new, map[string]*accessClaims{}
	}
	m.new[string(raw)] = c
	return c, nil
}

// leftHash is the left half of a token's or code's hash, by the hash of the signature algorithm: at_hash
// and c_hash (OIDC Core §3.1.3.6, §3.3.2.11). Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
func leftHash(alg, token string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
