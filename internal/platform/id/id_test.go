package id

import (
	"strings"
	"testing"
)

func TestToken_RoundTripAndDamage(t *testing.T) {
	t.Parallel()
	tok := NewToken(RefreshToken)
	h, ok := Hash(RefreshToken, tok)
	if !ok || h != Digest(tok) {
		t.Fatalf("own token refused: %q", tok)
	}
	flipped := []byte(tok)
	flipped[len(flipped)-10] ^= 1
	for name, bad := range map[string]string{
		"truncated":    tok[:len(tok)-1],
		"extended":     tok + "A",
		"flipped":      string(flipped),
		"other prefix": strings.Replace(tok, string(RefreshToken), string(AccessToken), 1),
		"empty":        "",
		"prefix only":  string(RefreshToken),
		"line break":   tok[:len(tok)-1] + "\n", // as long, but base64 decoders skip it
		"line breaks":  string(RefreshToken) + strings.Repeat("\r\n", bodyLen/2),
	} {
		if _, ok := Hash(RefreshToken, bad); ok {
			t.Errorf("%s token accepted", name)
		}
	}
	// A relabelled token must fail as the kind it claims to be as well.
	if _, ok := Hash(AccessToken, strings.Replace(tok, string(RefreshToken), string(AccessToken), 1)); ok {
		t.Error("refresh token accepted as access token after a change of prefix")
	}
}

func FuzzHash(f *testing.F) {
	f.Add(NewToken(AccessToken))
	f.Add("sgn_at_")
	f.Add("sgn_at_" + strings.Repeat("A", bodyLen-1) + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := Hash(AccessToken, s); ok && h != Digest(s) {
			t.Fatal("hash differs from digest")
		}
	})
}
