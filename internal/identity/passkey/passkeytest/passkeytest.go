// Package passkeytest is an authenticator and the browser around it, in software: it answers the
// options of package passkey as Chromium would, and every part of an answer can be bent. It
// is for tests alone and writes each byte by hand, so that it shares no mistake with the library
// that reads them.
package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// The flags of authenticator data (WebAuthn Level 3 §6.1).
const (
	UP byte = 1 << 0
	UV byte = 1 << 2
	BE byte = 1 << 3
	BS byte = 1 << 4
	AT byte = 1 << 6
	ED byte = 1 << 7
)

// The algorithms (RFC 9053 §2, RFC 8812 §2).
const (
	ES256 int64 = -7
	EdDSA int64 = -8
	ES384 int64 = -35
	RS256 int64 = -257
)

// Key is a credential that the authenticator holds.
type Key struct {
	ID, Handle []byte
	Alg        int64
	Count      uint32
	Private    crypto.Signer
}

// NewKey makes a key of an algorithm.
func NewKey(t testing.TB, alg int64) *Key {
	t.Helper()
	k := &Key{ID: make([]byte, 16), Alg: alg}
	_, _ = rand.Read(k.ID)
	var err error
	switch alg {
	case ES256:
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		k.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EdDSA:
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no algorithm %d", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// COSE is the public key as authenticators write it (RFC 9052 §7).
func (k *Key) COSE() []byte {
	switch pub := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		curve, size := int64(1), 32
		if pub.Curve == elliptic.P384() {
			curve, size = 2, 48
		}
		point, _ := pub.Bytes()
		return Map(Int(1), Int(2), Int(3), Int(k.Alg), Int(-1), Int(curve), Int(-2), Bytes(point[1:1+size]), Int(-3), Bytes(point[1+size:]))
	case ed25519.PublicKey:
		return Map(Int(1), Int(1), Int(3), Int(k.Alg), Int(-1), Int(6), Int(-2), Bytes(pub))
	case *rsa.PublicKey:
		return Map(Int(1), Int(3), Int(3), Int(k.Alg), Int(-1), Bytes(pub.N.Bytes()), Int(-2), Bytes([]byte{1, 0, 1}))
	}
	return nil
}

func (k *Key) sign(t testing.TB, data []byte) []byte {
	t.Helper()
	if k.Alg == EdDSA {
		sig, err := k.Private.Sign(rand.Reader, data, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	hash := crypto.SHA256
	if k.Alg == ES384 {
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write(data)
	sig, err := k.Private.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Authenticator answers for one person at one origin.
type Authenticator struct {
	Origin string
	Alg    int64
	Flags  byte // of every answer; UP|UV unless changed
	Keys   []*Key
	AAGUID [16]byte
	// Counts makes keys count their uses; most that are synced do not.
	Counts bool
}

// New returns an authenticator that verifies its user.
func New(origin string) *Authenticator {
	return &Authenticator{Origin: origin, Alg: ES256, Flags: UP | UV}
}

// Answer is everything that goes into an answer. Bend changes it before it is signed and encoded.
type Answer struct {
	Type, Challenge, Origin string
	CrossOrigin             bool
	TopOrigin               string
	RPID                    string
	Flags                   byte
	Count                   uint32
	ID, RawID               []byte
	Key                     *Key
	// For a new key.
	AAGUID           [16]byte
	Public           []byte // COSE
	Format           string
	Statement        []byte // CBOR
	Transports       []string
	AttestationExtra []byte // after the attestation object
	// For an assertion.
	UserHandle []byte
	Signature  []byte // "" = the right one
	// Extra follows the authenticator data.
	Extra []byte
}

// Bend changes an answer.
type Bend func(*Answer)

type options struct {
	Challenge string                    `json:"challenge"`
	RPID      string                    `json:"rpId"`
	RP        struct{ ID string }       `json:"rp"`
	User      struct{ ID string }       `json:"user"`
	Allow     []struct{ ID string }     `json:"allowCredentials"`
	Exclude   []struct{ ID string }     `json:"excludeCredentials"`
	Params    []struct{ Alg int64 }     `json:"pubKeyCredParams"`
	Selection struct{ ResidentKey any } `json:"authenticatorSelection"`
}

func parse(t testing.TB, raw []byte) options {
	t.Helper()
	var o options
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatalf("options %s: %v", raw, err)
	}
	return o
}

// Create answers creation options with a new key.
func (a *Authenticator) Create(t testing.TB, raw []byte, bends ...Bend) []byte {
	t.Helper()
	o := parse(t, raw)
	k := NewKey(t, a.Alg)
	k.Handle = decode(t, o.User.ID)
	an := &Answer{
		Type: "webauthn.create", Challenge: o.Challenge, Origin: a.Origin, RPID: o.RP.ID, Flags: a.Flags | AT, ID: k.ID, RawID: k.ID,
		Key: k, AAGUID: a.AAGUID, Public: k.COSE(), Format: "none", Statement: Map(), Transports: []string{"internal"},
	}
	for _, b := range bends {
		b(an)
	}
	a.Keys = append(a.Keys, an.Key)
	data := an.authData()
	data = append(data, an.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(an.Key.ID)))
	data = append(data, an.Key.ID...)
	data = append(data, an.Public...)
	data = append(data, an.Extra...)
	client := an.clientData(t)
	if an.Format == "packed" && len(an.Statement) == 1 { // self attestation (§8.2)
		hash := sha256.Sum256(client)
		an.Statement = Map(Text("alg"), Int(an.Key.Alg), Text("sig"), Bytes(an.Key.sign(t, append(data[:len(data):len(data)], hash[:]...))))
	}
	object := Map(Text("fmt"), Text(an.Format), Text("attStmt"), an.Statement, Text("authData"), Bytes(data))
	return an.json(t, map[string]any{
		"clientDataJSON": encode(client), "attestationObject": encode(append(object, an.AttestationExtra...)), "transports": an.Transports,
	})
}

// Get answers request options with the key they allow, or the newest.
func (a *Authenticator) Get(t testing.TB, raw []byte, bends ...Bend) []byte {
	t.Helper()
	o := parse(t, raw)
	if len(a.Keys) == 0 {
		t.Fatal("the authenticator has no key")
	}
	k := a.Keys[len(a.Keys)-1]
	for _, allowed := range o.Allow {
		for _, mine := range a.Keys {
			if encode(mine.ID) == allowed.ID {
				k = mine
			}
		}
	}
	if a.Counts {
		k.Count++
	}
	an := &Answer{
		Type: "webauthn.get", Challenge: o.Challenge, Origin: a.Origin, RPID: o.RPID, Flags: a.Flags, Count: k.Count,
		ID: k.ID, RawID: k.ID, Key: k, UserHandle: k.Handle,
	}
	for _, b := range bends {
		b(an)
	}
	data := append(an.authData(), an.Extra...)
	client := an.clientData(t)
	if an.Signature == nil {
		hash := sha256.Sum256(client)
		an.Signature = an.Key.sign(t, append(data[:len(data):len(data)], hash[:]...))
	}
	response := map[string]any{"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(an.Signature)}
	if an.UserHandle != nil {
		response["userHandle"] = encode(an.UserHandle)
	}
	return an.json(t, response)
}

func (an *Answer) authData() []byte {
	hash := sha256.Sum256([]byte(an.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], an.Flags), an.Count)
}

func (an *Answer) clientData(t testing.TB) []byte {
	t.Helper()
	data := map[string]any{"type": an.Type, "challenge": an.Challenge, "origin": an.Origin, "crossOrigin": an.CrossOrigin}
	if an.TopOrigin != "" {
		data["topOrigin"] = an.TopOrigin
	}
	return marshal(t, data)
}

func (an *Answer) json(t testing.TB, response map[string]any) []byte {
	t.Helper()
	return marshal(t, map[string]any{
		"id": encode(an.ID), "rawId": encode(an.RawID), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response,
	})
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
