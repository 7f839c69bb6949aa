package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
)

const claims = `{"iss":"https://id.test","sub":"u1","aud":"c1","exp":1767225600,"iat":1767225000}`

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestSign_VerifiesWithStandardLibraryThroughJWKS(t *testing.T) {
	t.Parallel()
	s := memory(t)
	body, _ := s.JWKS()
	var set jose.JSONWebKeySet
	must(t, json.Unmarshal(body, &set))
	for _, alg := range Algorithms() {
		token, err := s.Sign(alg, "at+jwt", []byte(claims))
		must(t, err)
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		must(t, err)
		h := jws.Signatures[0].Protected
		if got := h.ExtraHeaders[jose.HeaderType]; h.Algorithm != alg || got != "at+jwt" {
			t.Errorf("%s: header alg %q typ %v", alg, h.Algorithm, got)
		}
		payload, err := jws.Verify(&set)
		must(t, err)
		if string(payload) != claims {
			t.Errorf("%s: claims changed: %s", alg, payload)
		}
		got, err := s.Verify(token, "at+jwt")
		if err != nil || string(got) != claims {
			t.Errorf("%s: own Verify: %s, %v", alg, got, err)
		}
	}
}

func TestSign_UnknownAlgorithm(t *testing.T) {
	t.Parallel()
	s := memory(t)
	for _, alg := range []string{"", "none", "HS256", "ES512"} {
		if _, err := s.Sign(alg, "JWT", []byte(claims)); err == nil || !strings.Contains(err.Error(), ErrNoKey.Error()) {
			t.Errorf("%q: %v", alg, err)
		}
	}
}

// Signatures with short r or s are rare: each such value comes once in 128 signatures.
func TestRawES256_PadsShortNumbers(t *testing.T) {
	t.Parallel()
	priv := newPriv(t, ES256).(*ecdsa.PrivateKey)
	short := 0
	for i := range 1500 {
		sum := sha256.Sum256(fmt.Append(nil, i))
		der, err := ecdsa.SignASN1(rand.Reader, priv, sum[:])
		must(t, err)
		raw, err := rawES256(der)
		must(t, err)
		if raw[0] == 0 || raw[32] == 0 {
			short++
		}
		if len(raw) != 64 {
			t.Fatalf("%d bytes", len(raw))
		}
		if !verifyRaw(&priv.PublicKey, sum[:], raw) {
			t.Fatalf("signature %x does not verify", raw)
		}
	}
	if short == 0 {
		t.Error("no short number among 1500 signatures: the test shows nothing")
	}
}

func verifyRaw(pub *ecdsa.PublicKey, digest, raw []byte) bool {
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	return ecdsa.Verify(pub, digest, r, s)
}

func TestRawES256_RefusesWhatIsNoSignature(t *testing.T) {
	t.Parallel()
	for _, der := range [][]byte{
		nil, {0x30}, {0x30, 0}, {0x31, 0}, {0x30, 3, 2, 1, 1}, {0x30, 6, 2, 1, 1, 2, 2, 1}, {0x30, 7, 2, 1, 1, 2, 1, 1, 9},
		append([]byte{0x30, 38, 2, 33}, append(bytes.Repeat([]byte{1}, 33), 2, 1, 1)...),
		{0x30, 5, 2, 0, 2, 1, 1},
	} {
		if _, err := rawES256(der); err == nil {
			t.Errorf("%x accepted", der)
		}
	}
}

// RFC 8725 §2.1, §3.1, §3.10, §3.11; JW-01, JW-02, JW-05, JW-06.
func TestVerify_RefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	s := memory(t)
	es := s.current.Load().byKid["kid-ES256"]
	good, err := s.Sign(ES256, "at+jwt", []byte(claims))
	must(t, err)
	parts := strings.Split(good, ".")
	sign := func(header string) string { // a true signature of ours over a header that is not
		input := b64(header) + "." + parts[1]
		sig, err := signature(ES256, es.priv, []byte(input))
		must(t, err)
		return input + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	hs := func(secret []byte) string {
		input := b64(`{"alg":"HS256","kid":"kid-RS256","typ":"at+jwt"}`) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	rsaPub := s.current.Load().byKid["kid-RS256"].priv.Public()
	der, err := x509.MarshalPKIXPublicKey(rsaPub)
	must(t, err)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	foreignSig, err := signature(ES256, foreign, []byte(parts[0]+"."+parts[1]))
	must(t, err)
	last := parts[2][len(parts[2])-1]

	if _, err := s.Verify(sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt"}`), "at+jwt"); err != nil {
		t.Fatalf("the helper's own token is refused: %v", err)
	}
	cases := map[string]string{
		"empty":              "",
		"no dots":            "abc",
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         good + ".x",
		"10 000 dots":        strings.Repeat(".", 10_000),
		"too long":           parts[0] + "." + strings.Repeat("A", maxToken) + "." + parts[2],
		"8 MB":               strings.Repeat("A", 8<<20),
		"JSON serialization": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"empty signature":    parts[0] + "." + parts[1] + ".",
		"changed payload":    parts[0] + "." + b64(strings.Replace(claims, "u1", "u2", 1)) + "." + parts[2],
		"foreign key":        parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(foreignSig),
		"other base64 text":  good[:len(good)-1] + string(rune(last^1)),
		"padding":            good + "==",
		"newline":            good[:20] + "\n" + good[20:],
		"surrounding space":  " " + good,
		"alg none":           b64(`{"alg":"none","kid":"kid-ES256","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"alg none, signed":   sign(`{"alg":"none","kid":"kid-ES256","typ":"at+jwt"}`),
		"alg nOnE":           sign(`{"alg":"nOnE","kid":"kid-ES256","typ":"at+jwt"}`),
		"alg missing":        sign(`{"kid":"kid-ES256","typ":"at+jwt"}`),
		"alg of another key": sign(`{"alg":"RS256","kid":"kid-ES256","typ":"at+jwt"}`),
		"alg number":         sign(`{"alg":256,"kid":"kid-ES256","typ":"at+jwt"}`),
		"HS256 with DER":     hs(der),
		"HS256 with PEM":     hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"kid missing":        sign(`{"alg":"ES256","typ":"at+jwt"}`),
		"kid of another key": sign(`{"alg":"ES256","kid":"kid-PS256","typ":"at+jwt"}`),
		"kid path":           sign(`{"alg":"ES256","kid":"../../etc/passwd","typ":"at+jwt"}`),
		"kid SQL":            sign(`{"alg":"ES256","kid":"' OR 1=1 --","typ":"at+jwt"}`),
		"kid NUL":            sign(`{"alg":"ES256","kid":"kid-ES256\u0000","typ":"at+jwt"}`),
		"kid array":          sign(`{"alg":"ES256","kid":["kid-ES256"],"typ":"at+jwt"}`),
		"kid long":           sign(`{"alg":"ES256","kid":"` + strings.Repeat("k", 4000) + `","typ":"at+jwt"}`),
		"kid twice":          sign(`{"alg":"ES256","kid":"x","kid":"kid-ES256","typ":"at+jwt"}`),
		"alg twice":          sign(`{"alg":"none","alg":"ES256","kid":"kid-ES256","typ":"at+jwt"}`),
		"typ missing":        sign(`{"alg":"ES256","kid":"kid-ES256"}`),
		"typ of an ID token": sign(`{"alg":"ES256","kid":"kid-ES256","typ":"JWT"}`),
		"typ other case":     sign(`{"alg":"ES256","kid":"kid-ES256","typ":"AT+JWT"}`),
		"crit":               sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt","crit":["b64"],"b64":false}`),
		"jku":                sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt","jku":"https://evil.test"}`),
		"jwk":                sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt","jwk":{"kty":"oct","k":"AA"}}`),
		"case of member":     sign(`{"ALG":"ES256","kid":"kid-ES256","typ":"at+jwt"}`),
		"array header":       sign(`["alg","ES256"]`),
		"trailing data":      sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt"}{}`),
		"cut header":         sign(`{"alg":"ES256","kid":"kid-ES256","typ":"at+jwt"`),
		"deep header":        sign(strings.Repeat("[", 600)),
		"JWE":                b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000}`) + ".a.b.c.d",
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			took := time.Hour // the best of a few: other tests share the cores
			for range 5 {
				began := time.Now()
				_, err := s.Verify(token, "at+jwt")
				if !errs.Is(err, errs.Unauthenticated) {
					t.Fatalf("got %v, want unauthenticated", err)
				}
				took = min(took, time.Since(began))
			}
			if took > 50*time.Millisecond {
				t.Errorf("took %s", took)
			}
		})
	}
	if _, err := s.Verify(good); err == nil {
		t.Error("a caller that names no type gets any")
	}
}

// The memory of good signatures never lets a token pass that a fresh look would refuse.
func TestVerify_RemembersOnlySignatures(t *testing.T) {
	t.Parallel()
	s := memory(t)
	token, err := s.Sign(ES256, "at+jwt", []byte(claims))
	must(t, err)
	for range 2 {
		if got, err := s.Verify(token, "at+jwt"); err != nil || string(got) != claims {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if _, err := s.Verify(token, "JWT"); err == nil {
		t.Error("remembered token passes as another type")
	}
	s.current.Load().byKid["kid-ES256"].RemoveAt = start
	if _, err := s.Verify(token, "at+jwt"); err == nil {
		t.Error("remembered token outlives its key")
	}
}

func TestVerified_IsBounded(t *testing.T) {
	t.Parallel()
	var v verified
	for i := range 5 * maxVerified {
		v.add(sha256.Sum256(fmt.Append(nil, i)))
	}
	if n := len(v.new) + len(v.old); n > 2*maxVerified {
		t.Errorf("%d entries", n)
	}
	if v.has(sha256.Sum256(fmt.Append(nil, 0))) || !v.has(sha256.Sum256(fmt.Append(nil, 5*maxVerified-1))) {
		t.Error("the oldest must go, the newest stay")
	}
}

func FuzzVerify(f *testing.F) {
	s := memory(f)
	good := map[string]bool{}
	for _, alg := range Algorithms() {
		token, err := s.Sign(alg, "JWT", []byte(claims))
		must(f, err)
		good[token] = true
		f.Add(token)
	}
	f.Add(b64(`{"alg":"none"}`) + "." + b64(claims) + ".")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := s.Verify(token, "JWT")
		if err == nil && !good[token] {
			t.Fatalf("accepted %q, which was never signed", token)
		}
		if err == nil && string(got) != claims {
			t.Fatalf("claims %q", got)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte(`{"alg":"ES256","kid":"a","typ":"JWT"}`))
	f.Add([]byte(`{"alg":"ES256","alg":"none","kid":"a"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := parseHeader(base64.RawURLEncoding.EncodeToString(raw))
		if err != nil {
			return
		}
		// Whatever is accepted means the same to an ordinary parser.
		var m map[string]string
		if err := json.Unmarshal(raw, &m); err != nil || m["alg"] != h.alg || m["kid"] != h.kid || m["typ"] != h.typ || len(m) > 3 {
			t.Fatalf("%q: %+v against %v (%v)", raw, h, m, err)
		}
	})
}

// BenchmarkSign holds Sign against the bare signature it cannot do without.
func BenchmarkSign(b *testing.B) {
	s := memory(b)
	s.d.Clock = clock.NewSystem() // the cost of the real one belongs to Sign
	payload := []byte(`{"iss":"https://id.example.com","sub":"0198f3a2-7c1e-7a44-9b0a-2f6d3c1b5e77","aud":["https://api.example.com"],` +
		`"client_id":"0198f3a2-7c1e-7a44-9b0a-2f6d3c1b5e78","scope":"orders:read orders:write","iat":1767225000,"exp":1767225600,"jti":"0198f3a2-7c1e-7a44-9b0a-2f6d3c1b5e79"}`)
	for _, alg := range Algorithms() {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(alg, "at+jwt", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	digest := sha256.Sum256(payload)
	es := s.current.Load().byKid["kid-ES256"].priv.(*ecdsa.PrivateKey)
	b.Run("bare/ES256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, es, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	rs := s.current.Load().byKid["kid-RS256"].priv.(*rsa.PrivateKey)
	b.Run("bare/RS256", func(b *testing.B) {
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, rs, crypto.SHA256, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	ed := s.current.Load().byKid["kid-EdDSA"].priv.(ed25519.PrivateKey)
	b.Run("bare/EdDSA", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(ed, payload)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := memory(b)
	token, err := s.Sign(ES256, "at+jwt", []byte(claims))
	must(b, err)
	k := s.current.Load().byKid["kid-ES256"]
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			*k.seen = verified{}
			if _, err := s.Verify(token, "at+jwt"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Verify(token, "at+jwt"); err != nil {
				b.Fatal(err)
			}
		}
	})
	digest := sha256.Sum256([]byte(token))
	sig, err := ecdsa.SignASN1(rand.Reader, k.priv.(*ecdsa.PrivateKey), digest[:])
	must(b, err)
	b.Run("bare/ES256", func(b *testing.B) {
		for b.Loop() {
			if !ecdsa.VerifyASN1(k.priv.Public().(*ecdsa.PublicKey), digest[:], sig) {
				b.Fatal("does not verify")
			}
		}
	})
}

// BenchmarkSignRatio takes turns between Sign and the bare signature, so that a busy machine
// slows both, and reports the ratio of their medians.
func BenchmarkSignRatio(b *testing.B) {
	s := memory(b)
	s.d.Clock = clock.NewSystem()
	priv := s.current.Load().byKid["kid-ES256"].priv.(*ecdsa.PrivateKey)
	payload := []byte(claims)
	digest := sha256.Sum256(payload)
	var ours, bare []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := s.Sign(ES256, "at+jwt", payload); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if _, err := ecdsa.SignASN1(rand.Reader, priv, digest[:]); err != nil {
			b.Fatal(err)
		}
		ours, bare = append(ours, middle.Sub(began)), append(bare, time.Since(middle))
	}
	slices.Sort(ours)
	slices.Sort(bare)
	b.ReportMetric(float64(bare[len(bare)/2])/float64(ours[len(ours)/2])*100, "%of-bare")
}
