package mfa

import (
	"strings"
	"testing"

	"signet/internal/platform/seal"
)

func FuzzRecoveryCode(f *testing.F) {
	for _, seed := range []string{"", "abcd-efgh-jkmn-pqrs-tvwx-yz01", "ＡＢＣＤ ０１２３", "OIL", "u", "\x00", strings.Repeat("-", 200)} {
		f.Add(seed)
	}
	s := &Service{key: make([]byte, 32)}
	f.Fuzz(func(t *testing.T, typed string) {
		clean := cleanRecovery(typed)
		if clean != cleanRecovery(clean) || len(clean) > 128 || strings.Trim(clean, alphabet) != "" {
			t.Errorf("%q became %q", typed, clean)
		}
		if hash, ok := s.hashCode("u", seal.Secret(typed)); ok != (len(clean) == codeSymbols) || (hash == "") == ok {
			t.Errorf("%q: %q, %v", typed, hash, ok)
		}
	})
}
