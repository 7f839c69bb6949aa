// Package id makes identifiers and bearer tokens. Identifiers are UUIDv7 (sortable, not
// secret) with one Go type per kind of thing, so that they cannot be swapped. Tokens are
// 256 random bits with a typed prefix and a checksum; the store keeps only their hash.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/google/uuid"
)

// One type per kind of row.
type (
	// User identifies a person; it is the "sub" of tokens and is never reused.
	User string
	// Session identifies a browser session; it is the "sid" of tokens, not the cookie.
	Session string
	// Client is an OAuth client_id.
	Client string
	// Grant identifies what one user (or machine client) allowed one client.
	Grant string
	// Journey identifies a parked sign-in.
	Journey string
	// Key identifies a signing key; it is the "kid" of tokens.
	Key string
)

// New returns a new identifier as text. It is unique and sortable by time, not secret.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// Kind is the prefix of a token: it says what the token is, so that a leaked one can be
// recognised by secret scanners and refused where another kind is expected.
type Kind string

// The kinds of tokens.
const (
	AuthorizationCode Kind = "sgn_code_"
	AccessToken       Kind = "sgn_at_"
	RefreshToken      Kind = "sgn_rt_"
	ClientSecret      Kind = "sgn_cs_"
	SessionCookie     Kind = "sgn_ses_"
	BrowserCookie     Kind = "sgn_brw_"
	DeviceCookie      Kind = "sgn_dev_" // a browser in which somebody has signed in before
	MailLink          Kind = "sgn_mail_"
	Invitation        Kind = "sgn_inv_"
	UpstreamState     Kind = "sgn_ups_"
	RegistrationToken Kind = "sgn_rat_" // of a client that registered itself (RFC 7592)
	InitialToken      Kind = "sgn_iat_" // with which one may register (RFC 7591 §1.2)
	DeviceCode        Kind = "sgn_dc_"  // RFC 8628; no browser is marked by it
	PushedRequest     Kind = "sgn_par_"
	AuthRequest       Kind = "sgn_arq_" // auth_req_id of a backchannel authentication request
)

const (
	secretBytes = 32
	sumBytes    = 4
	bodyLen     = 48 // base64url of 36 bytes
)

// NewToken returns a fresh token of the kind: prefix, 256 random bits, CRC-32 checksum.
func NewToken(k Kind) string {
	var b [secretBytes + sumBytes]byte
	_, _ = rand.Read(b[:secretBytes]) // never fails (crypto/rand)
	binary.BigEndian.PutUint32(b[secretBytes:], checksum(k, b[:secretBytes]))
	return string(k) + base64.RawURLEncoding.EncodeToString(b[:])
}

// Hash checks that token is a well-formed token of the kind and returns the hash under
// which the store knows it. Malformed tokens cost no database work.
func Hash(k Kind, token string) (hash string, ok bool) {
	body, found := strings.CutPrefix(token, string(k))
	if !found || len(body) != bodyLen {
		return "", false
	}
	// Go's decoder skips line breaks, so that a body of the right length can hold too few bytes.
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) != secretBytes+sumBytes || checksum(k, b[:secretBytes]) != binary.BigEndian.Uint32(b[secretBytes:]) {
		return "", false
	}
	return Digest(token), true
}

// Digest returns the base64url SHA-256 of s: the form in which secrets of full entropy
// are stored.
func Digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func checksum(k Kind, secret []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(k)), crc32.IEEETable, secret)
}
