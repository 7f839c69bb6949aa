package password

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the digest of hashes that are only verified, and replaced at login
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	stdhash "hash"
)

type pbkdf2Func func(pw string, salt []byte, rounds, length int) []byte

// pbkdf2Digests are the digests that Django and Werkzeug use.
var pbkdf2Digests = map[string]pbkdf2Func{
	"sha1":   pbkdf2With(sha1.New),
	"sha256": pbkdf2With(sha256.New),
	"sha512": pbkdf2With(sha512.New),
}

func pbkdf2With[H stdhash.Hash](h func() H) pbkdf2Func {
	return func(pw string, salt []byte, rounds, length int) []byte {
		k, err := pbkdf2.Key(h, pw, salt, rounds, length)
		if err != nil { // only under FIPS 140-only mode, for short salts: then the login fails
			return nil
		}
		return k
	}
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
