package password

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Scheme names how a stored password was hashed.
type Scheme string

// The schemes that are verified.
const (
	Argon2id     Scheme = "argon2id"
	Argon2i      Scheme = "argon2i"
	Bcrypt       Scheme = "bcrypt"
	BcryptSHA256 Scheme = "bcrypt_sha256" // Django: bcrypt of the hexadecimal SHA-256
	Scrypt       Scheme = "scrypt"
	PBKDF2       Scheme = "pbkdf2"
)

// Errors of Recognize.
var (
	// ErrUnknown says that a string is no password hash in a notation of ours.
	ErrUnknown = errors.New("not a known password hash notation")
	// ErrHostile says that verifying would take more time or memory than a login may.
	ErrHostile = errors.New("cost parameters beyond the ceiling")
	// ErrMalformed says that a known notation is broken.
	ErrMalformed = errors.New("malformed password hash")
)

// The ceilings: above the defaults of every framework whose hashes we take, and around a second
// of work. A hash beyond them would let one login starve the others.
const (
	maxMemoryKiB    = 256 << 10
	maxWorkKiB      = 1 << 20 // memory × passes
	maxPasses       = 64
	maxLanes        = 16
	maxBcryptCost   = 15
	maxPBKDF2Rounds = 5_000_000
	maxHashLength   = 512 // of the whole string
	maxSalt         = 128
	minKey, maxKey  = 16, 64
)

// hash is a parsed stored hash. Exactly one of derive and check is set.
type hash struct {
	scheme    Scheme
	params    Params // argon2 only
	memoryKiB uint32
	foreign   bool // carries a prefix that is not ours
	want      []byte
	derive    func(pw []byte) []byte
	check     func(pw []byte) bool
}

func (h hash) verify(pw []byte) bool {
	if h.check != nil {
		return h.check(pw)
	}
	return subtle.ConstantTimeCompare(h.derive(pw), h.want) == 1
}

// Recognize names the scheme of a stored hash and refuses what Verify could not or should not
// work on. It does no hashing.
func Recognize(stored string) (Scheme, error) {
	h, err := parse(stored)
	return h.scheme, err
}

// notations are tried in order; the first whose prefix fits decides.
var notations = []struct {
	prefix string
	parse  func(rest string) (hash, error)
}{
	{"$argon2id$", func(s string) (hash, error) { return parseArgon2(Argon2id, s) }},
	{"$argon2i$", func(s string) (hash, error) { return parseArgon2(Argon2i, s) }},
	{"$2a$", parseBcrypt}, {"$2b$", parseBcrypt}, {"$2y$", parseBcrypt},
	{"$scrypt$", parsePHCScrypt},
	// Django: algorithm$parameters…, without a leading dollar sign.
	{"argon2$argon2id$", func(s string) (hash, error) { return foreign(parseArgon2(Argon2id, s)) }},
	{"argon2$argon2i$", func(s string) (hash, error) { return foreign(parseArgon2(Argon2i, s)) }},
	{"bcrypt$$", func(s string) (hash, error) { return parseBcryptText("$" + s) }},
	{"bcrypt_sha256$$", parseBcryptSHA256},
	{"pbkdf2_sha256$", func(s string) (hash, error) { return parseDjangoPBKDF2("sha256", s) }},
	{"pbkdf2_sha1$", func(s string) (hash, error) { return parseDjangoPBKDF2("sha1", s) }},
	{"scrypt$", parseDjangoScrypt},
	// Werkzeug: method:parameters$salt$hex.
	{"scrypt:", parseWerkzeugScrypt},
	{"pbkdf2:", parseWerkzeugPBKDF2},
}

func parse(stored string) (hash, error) {
	for _, n := range notations {
		if rest, ok := strings.CutPrefix(stored, n.prefix); ok {
			if len(stored) > maxHashLength || strings.ContainsFunc(stored, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return hash{}, ErrMalformed
			}
			if strings.HasPrefix(n.prefix, "$2") {
				rest = stored // bcrypt's own parser wants all of it
			}
			h, err := n.parse(rest)
			if err != nil {
				return hash{}, err
			}
			return h, nil
		}
	}
	return hash{}, ErrUnknown
}

func foreign(h hash, err error) (hash, error) {
	h.foreign = true
	return h, err
}

// parseArgon2 reads v=19$m=…,t=…,p=…$salt$key. Version 1.0 (no v, or v=16) is another function
// and not supported.
func parseArgon2(scheme Scheme, s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 4 || f[0] != "v=19" {
		return hash{}, ErrMalformed
	}
	n, err := parameters(f[1], "m", "t", "p")
	if err != nil {
		return hash{}, err
	}
	m, t, p := n[0], n[1], n[2]
	if m > maxMemoryKiB || t > maxPasses || p > maxLanes || m*t > maxWorkKiB {
		return hash{}, ErrHostile
	}
	if t < 1 || p < 1 || m < 8*p { // RFC 9106 §3.1
		return hash{}, ErrMalformed
	}
	salt, key, err := saltAndKey(f[2], f[3])
	if err != nil {
		return hash{}, err
	}
	h := hash{scheme: scheme, want: key, memoryKiB: uint32(m), params: Params{MemoryKiB: uint32(m), Time: uint32(t), Parallelism: uint8(p)}}
	kdf := argon2.IDKey
	if scheme == Argon2i {
		kdf = argon2.Key
	}
	h.derive = func(pw []byte) []byte {
		return kdf(pw, salt, h.params.Time, h.params.MemoryKiB, h.params.Parallelism, uint32(len(key)))
	}
	return h, nil
}

func parseBcrypt(s string) (hash, error) { return parseBcryptText(s) }

// bcryptLength is that of $2b$cc$ + 22 characters of salt + 31 of key.
const bcryptLength = 60

// parseBcryptText reads the modular crypt form. bcrypt looks at the first 72 bytes of a password
// alone; so did the system that made the hash, and the upgrade at login ends it.
func parseBcryptText(s string) (hash, error) {
	b := []byte(s)
	if len(b) != bcryptLength {
		return hash{}, ErrMalformed
	}
	for _, c := range b[7:] {
		if !strings.ContainsRune("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", rune(c)) {
			return hash{}, ErrMalformed
		}
	}
	if s[0] != '$' || s[1] != '2' || !strings.ContainsRune("aby", rune(s[2])) || s[3] != '$' || s[6] != '$' {
		return hash{}, ErrMalformed
	}
	cost, err := bcrypt.Cost(b)
	if err != nil {
		return hash{}, ErrMalformed
	}
	if cost > maxBcryptCost {
		return hash{}, ErrHostile
	}
	return hash{scheme: Bcrypt, check: func(pw []byte) bool { return bcrypt.CompareHashAndPassword(b, pw) == nil }}, nil
}

func parseBcryptSHA256(s string) (hash, error) {
	h, err := parseBcryptText("$" + s)
	if err != nil {
		return hash{}, err
	}
	inner := h.check
	h.scheme = BcryptSHA256
	h.check = func(pw []byte) bool { return inner([]byte(sha256Hex(pw))) }
	return h, nil
}

// parsePHCScrypt reads ln=…,r=…,p=…$salt$key.
func parsePHCScrypt(s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return hash{}, ErrMalformed
	}
	n, err := parameters(f[0], "ln", "r", "p")
	if err != nil {
		return hash{}, err
	}
	if n[0] > 24 {
		return hash{}, ErrHostile
	}
	salt, key, err := saltAndKey(f[1], f[2])
	if err != nil {
		return hash{}, err
	}
	return newScrypt(1<<n[0], n[1], n[2], salt, key)
}

// parseDjangoScrypt reads N$salt$r$p$key: the salt is text, the key standard base64.
func parseDjangoScrypt(s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 5 {
		return hash{}, ErrMalformed
	}
	n, err := numbers(f[0], f[2], f[3])
	if err != nil {
		return hash{}, err
	}
	key, err := base64.StdEncoding.Strict().DecodeString(f[4])
	if err != nil {
		return hash{}, ErrMalformed
	}
	return newScrypt(n[0], n[1], n[2], []byte(f[1]), key)
}

// parseWerkzeugScrypt reads N:r:p$salt$hex.
func parseWerkzeugScrypt(s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return hash{}, ErrMalformed
	}
	n, err := numbers(strings.Split(f[0], ":")...)
	if err != nil || len(n) != 3 {
		return hash{}, ErrMalformed
	}
	key, err := hex.DecodeString(f[2])
	if err != nil {
		return hash{}, ErrMalformed
	}
	return newScrypt(n[0], n[1], n[2], []byte(f[1]), key)
}

func newScrypt(n, r, p uint64, salt, key []byte) (hash, error) {
	if n > 1<<24 || r > 1<<10 || p > maxLanes || n*r/8 > maxMemoryKiB || n*r/8*p > maxWorkKiB {
		return hash{}, ErrHostile
	}
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || !sane(salt, key) {
		return hash{}, ErrMalformed
	}
	return hash{
		scheme: Scrypt, memoryKiB: uint32(n * r / 8), want: key,
		derive: func(pw []byte) []byte {
			k, err := scrypt.Key(pw, salt, int(n), int(r), int(p), len(key))
			if err != nil { // only for parameters that were refused above
				return nil
			}
			return k
		},
	}, nil
}

// parseDjangoPBKDF2 reads iterations$salt$key: the salt is text, the key standard base64.
func parseDjangoPBKDF2(digest, s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return hash{}, ErrMalformed
	}
	key, err := base64.StdEncoding.Strict().DecodeString(f[2])
	if err != nil {
		return hash{}, ErrMalformed
	}
	return newPBKDF2(digest, f[0], []byte(f[1]), key)
}

// parseWerkzeugPBKDF2 reads digest:iterations$salt$hex. Without a number of iterations the
// notation depends on the version that made it, so that is refused.
func parseWerkzeugPBKDF2(s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return hash{}, ErrMalformed
	}
	digest, rounds, ok := strings.Cut(f[0], ":")
	key, err := hex.DecodeString(f[2])
	if !ok || err != nil {
		return hash{}, ErrMalformed
	}
	return newPBKDF2(digest, rounds, []byte(f[1]), key)
}

func newPBKDF2(digest, rounds string, salt, key []byte) (hash, error) {
	n, err := numbers(rounds)
	if err != nil {
		return hash{}, err
	}
	if n[0] > maxPBKDF2Rounds {
		return hash{}, ErrHostile
	}
	kdf, known := pbkdf2Digests[digest]
	if !known || n[0] < 1 || !sane(salt, key) {
		return hash{}, ErrMalformed
	}
	return hash{scheme: PBKDF2, want: key, derive: func(pw []byte) []byte { return kdf(string(pw), salt, int(n[0]), len(key)) }}, nil
}

// saltAndKey decodes PHC's base64: standard alphabet, no padding.
func saltAndKey(s, k string) (salt, key []byte, err error) {
	b64 := base64.RawStdEncoding.Strict()
	salt, err = b64.DecodeString(s)
	if err == nil {
		key, err = b64.DecodeString(k)
	}
	if err != nil || !sane(salt, key) {
		return nil, nil, ErrMalformed
	}
	return salt, key, nil
}

func sane(salt, key []byte) bool {
	// An empty salt is bad practice elsewhere, not danger here. A key shorter than 128 bits could
	// be met by chance.
	return len(salt) <= maxSalt && len(key) >= minKey && len(key) <= maxKey
}

// parameters reads "a=1,b=2" with exactly the given names in their order.
func parameters(s string, names ...string) ([]uint64, error) {
	f := strings.Split(s, ",")
	if len(f) != len(names) {
		return nil, ErrMalformed
	}
	for i, name := range names {
		v, ok := strings.CutPrefix(f[i], name+"=")
		if !ok {
			return nil, ErrMalformed
		}
		f[i] = v
	}
	return numbers(f...)
}

// numbers reads decimal numbers of at most ten digits, so that products of them cannot overflow
// unnoticed.
func numbers(fields ...string) ([]uint64, error) {
	out := make([]uint64, len(fields))
	for i, f := range fields {
		if f == "" || len(f) > 1 && f[0] == '0' || bytes.ContainsFunc([]byte(f), func(r rune) bool { return r < '0' || r > '9' }) {
			return nil, ErrMalformed
		}
		if len(f) > 10 {
			return nil, ErrHostile
		}
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		out[i] = n
	}
	return out, nil
}

// Unusable reports the marker with which Django stores an account that has no password.
func Unusable(stored string) bool { return strings.HasPrefix(stored, "!") && len(stored) >= 41 }

// LooksHashed reports whether s, which Recognize does not know, is likely a hash in another
// notation rather than a password: modular crypt, LDAP and Django prefixes, or hexadecimal of the
// length of a common digest.
func LooksHashed(s string) bool {
	if strings.HasPrefix(s, "$") && strings.Count(s, "$") >= 2 || strings.HasPrefix(s, "{") && strings.Contains(s, "}") {
		return true
	}
	for _, p := range []string{"md5$", "sha1$", "sha256$", "sha512$", "unsalted_", "argon2$", "bcrypt$", "pbkdf2", "scrypt", "hmac:"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	switch len(s) {
	case 32, 40, 56, 64, 96, 128: // MD5, SHA-1, SHA-2
		_, err := hex.DecodeString(s)
		return err == nil
	}
	return false
}
