// Package seal keeps secrets at rest: a master key from a file or the environment, one
// subkey per purpose (HKDF), and authenticated encryption whose additional data binds a
// sealed value to its table, column and row, so that values cannot be swapped between rows.
// It also has Secret, the string type that cannot be printed by accident.
package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keyBytes = 32
	version  = 1 // first byte of every sealed value; a new scheme takes the next number
)

// Secret is text that must not be shown. All of fmt, slog and the encoders print a constant.
type Secret string

const redacted = "[secret]"

// Reveal returns the text. Call it only where the value is used, never to print it.
func (s Secret) Reveal() string { return string(s) }

// Equal compares in constant time.
func (s Secret) Equal(other string) bool {
	return subtle.ConstantTimeCompare([]byte(s), []byte(other)) == 1
}

// String hides the text.
func (Secret) String() string { return redacted }

// GoString hides the text.
func (Secret) GoString() string { return redacted }

// Format hides the text from every fmt verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the text from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the text from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Sealer encrypts and derives under one master key.
type Sealer struct{ master []byte }

// New returns a Sealer for a master key of exactly 32 bytes.
func New(master []byte) (*Sealer, error) {
	if len(master) != keyBytes {
		return nil, fmt.Errorf("master key has %d bytes, want %d", len(master), keyBytes)
	}
	if subtle.ConstantTimeCompare(master, make([]byte, keyBytes)) == 1 {
		return nil, errors.New("master key is all zeros")
	}
	return &Sealer{master: master}, nil
}

// Parse reads a master key in its text form: 32 bytes in standard or URL base64.
func Parse(text string) (*Sealer, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("master key is not base64") // the cause would print a part of it
	}
	return New(b)
}

// Load reads the master key file at path. It refuses a file that others can read.
func Load(path string) (*Sealer, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key file %s can be read by others (mode %04o): chmod 600 it", path, st.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key file: %w", err)
	}
	s, err := Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("master key file %s: %w", path, err)
	}
	return s, nil
}

// Create writes a new master key file at path with mode 0600, synced to disk, unless one
// exists already, and loads it. Of several processes at once, one creates and all load.
func Create(path string) (*Sealer, error) {
	var b [keyBytes]byte
	_, _ = rand.Read(b[:])
	tmp, err := os.CreateTemp(filepath.Dir(path), ".master-*")
	if err != nil {
		return nil, fmt.Errorf("create master key: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(b[:]) + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("create master key: %w", err)
	}
	// Link never replaces an existing file: the first one to arrive wins.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create master key: %w", err)
	}
	return Load(path)
}

// Subkey derives a 32-byte key for one purpose. Different purposes give unrelated keys.
func (s *Sealer) Subkey(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, s.master, nil, "signet/"+purpose, keyBytes)
	if err != nil {
		panic(err) // only for absurd lengths
	}
	return k
}

// Seal encrypts plain for one place in the store.
func (s *Sealer) Seal(table, column, row string, plain []byte) []byte {
	aead, err := chacha20poly1305.NewX(s.Subkey("seal"))
	if err != nil {
		panic(err) // only for a wrong key length
	}
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = version
	_, _ = rand.Read(out[1:])
	return aead.Seal(out, out[1:], plain, place(table, column, row))
}

// Open decrypts what Seal made for the same place. It fails if the value was changed,
// moved to another row, or sealed under another master key.
func (s *Sealer) Open(table, column, row string, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.Subkey("seal"))
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+aead.NonceSize() || sealed[0] != version {
		return nil, fmt.Errorf("sealed %s.%s: unknown format", table, column)
	}
	nonce, box := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, box, place(table, column, row))
	if err != nil {
		return nil, fmt.Errorf("sealed %s.%s: wrong master key, or the value was changed or moved", table, column)
	}
	return plain, nil
}

func place(table, column, row string) []byte {
	return []byte(table + "\x00" + column + "\x00" + row)
}
