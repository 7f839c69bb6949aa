package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"signet/internal/platform/id"
)

// ceremony is what a challenge may be answered for. It is part of what is signed, so what the
// options asked for cannot be weakened by whoever answers.
type ceremony string

const (
	firstFactor  ceremony = "login"   // whoever it is; user verification required
	secondFactor ceremony = "second"  // that user; presence is enough
	addition     ceremony = "add"     // a new passkey; user verification required
	upgrade      ceremony = "upgrade" // a new passkey straight after a sign-in, without a gesture
)

// spending is the purpose under which used challenges are kept.
const spending = "passkey_challenge"

const nonceBytes = 16

// newChallenge signs a challenge for one ceremony, in one journey or session, by one user ("" for
// anybody): random bytes, when it ends, and a MAC over both and all of that. Nothing is stored
// until it is used, so a login page costs no row.
func (s *Service) newChallenge(c ceremony, binding string, user id.User) string {
	b := make([]byte, nonceBytes+8, nonceBytes+8+sha256.Size)
	_, _ = rand.Read(b[:nonceBytes])
	binary.BigEndian.PutUint64(b[nonceBytes:], uint64(s.clock.Now().Add(Life).Unix())) //nolint:gosec // far from the bounds
	return base64.RawURLEncoding.EncodeToString(append(b, s.sign(c, binding, user, b)...))
}

func (s *Service) sign(c ceremony, binding string, user id.User, body []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	for _, part := range []string{string(c), binding, string(user)} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // ids
		m.Write([]byte(part))
	}
	m.Write(body)
	return m.Sum(nil)
}

var (
	errForeign = errors.New("not a challenge of ours for this")
	errStale   = errors.New("the challenge is too old")
)

// checkChallenge returns when a challenge ends, if it is one of ours for this very ceremony
// (WebAuthn Level 3 §7.2 step 11, §13.4.3).
func (s *Service) checkChallenge(c ceremony, binding string, user id.User, challenge string) (time.Time, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(b) != nonceBytes+8+sha256.Size {
		return time.Time{}, errForeign
	}
	body, mac := b[:nonceBytes+8], b[nonceBytes+8:]
	if !hmac.Equal(mac, s.sign(c, binding, user, body)) {
		return time.Time{}, errForeign
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(body[nonceBytes:])), 0) //nolint:gosec // we signed it
	if !s.clock.Now().Before(ends) {
		return time.Time{}, errStale
	}
	return ends, nil
}
