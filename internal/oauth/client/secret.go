package client

import (
	"crypto/subtle"
	"time"

	"signet/internal/platform/id"
)

// maxSecrets is how many secrets of a client are live at once: the current one and, during a
// rotation, the one it replaces.
const maxSecrets = 2

// secretHash is a stored secret. Only full-entropy secrets get here (generated ones, or
// operator-supplied ones that passed checkSecret), so a fast hash is safe: it cannot be guessed,
// and 500 wrong guesses a second cost nothing.
type secretHash struct {
	hash      string // id.Digest of the secret
	createdAt time.Time
	expiresAt time.Time // zero for the current secret
	sealed    string    // the secret itself, for client_secret_jwt only
}

func (s secretHash) live(now time.Time) bool {
	return s.expiresAt.IsZero() || now.Before(s.expiresAt)
}

// VerifySecret reports whether secret is a live secret of the client. It does the same work for
// every client, known or not: call it on a nil *Client for an unknown client_id, so that the
// answer does not tell which exist.
func (c *Client) VerifySecret(secret string, now time.Time) bool {
	given := []byte(id.Digest(secret))
	ok := 0
	for i := range maxSecrets {
		stored, live := decoy, 0
		if c != nil && i < len(c.secrets) && c.secrets[i].live(now) {
			stored, live = []byte(c.secrets[i].hash), 1
		}
		ok |= subtle.ConstantTimeCompare(given, stored) & live
	}
	return ok == 1
}

// decoy is compared in place of a missing secret; it is never live.
var decoy = []byte(id.Digest(""))

// SecretInfo is what may be shown of a secret.
type SecretInfo struct {
	CreatedAt time.Time
	ExpiresAt time.Time // zero for the current secret
}

// Secrets tells which secrets are live at now, oldest first.
func (c *Client) Secrets(now time.Time) []SecretInfo {
	var out []SecretInfo
	for _, s := range c.secrets {
		if s.live(now) {
			out = append(out, SecretInfo{s.createdAt, s.expiresAt})
		}
	}
	return out
}

// NeedsSecret reports whether the client authenticates with a secret and has none at now, as after
// a change of its method.
func (c *Client) NeedsSecret(now time.Time) bool {
	return c.Metadata.UsesSecret() && len(c.Secrets(now)) == 0
}
