package oauth

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaimsMemory_DecodesLikeTheFirstTime(t *testing.T) {
	t.Parallel()
	var m claimsMemory
	texts := map[string]*accessClaims{
		`{"iss":"i","sub":"u","aud":"a","client_id":"c","exp":7,"jti":"1"}`:       {Issuer: "i", Subject: "u", Audience: audience{"a"}, ClientID: "c", Expires: 7, ID: "1"},
		`{"iss":"i","sub":"u","aud":["a","b"],"client_id":"c","exp":7,"jti":"2"}`: {Issuer: "i", Subject: "u", Audience: audience{"a", "b"}, ClientID: "c", Expires: 7, ID: "2"},
	}
	for range 2 {
		for text, want := range texts {
			got, err := m.decode([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", text, diff)
			}
		}
		for _, bad := range []string{``, `[]`, `{"exp":"soon"}`} {
			if _, err := m.decode([]byte(bad)); err == nil {
				t.Errorf("%q was decoded", bad)
			}
		}
	}
	if len(m.new) != len(texts) {
		t.Errorf("%d texts are kept, want %d: bad ones must not be", len(m.new), len(texts))
	}
}

func TestClaimsMemory_KeepsNoReferenceToItsInput(t *testing.T) {
	t.Parallel()
	var m claimsMemory
	raw := []byte(`{"sub":"alice"}`)
	if _, err := m.decode(raw); err != nil {
		t.Fatal(err)
	}
	copy(raw, `{"sub":"mallo"}`)
	c, err := m.decode(raw)
	if err != nil || c.Subject != "mallo" {
		t.Errorf("%+v (%v), want mallo", c, err)
	}
	if c, _ = m.decode([]byte(`{"sub":"alice"}`)); c.Subject != "alice" {
		t.Errorf("%+v, want alice", c)
	}
}

func TestClaimsMemory_IsBoundedAndSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var m claimsMemory
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range maxClaims {
				text := fmt.Sprintf(`{"jti":"%d-%d"}`, w%2, i)
				if c, err := m.decode([]byte(text)); err != nil || `{"jti":"`+c.ID+`"}` != text {
					t.Errorf("%s: %+v %v", text, c, err)
				}
			}
		})
	}
	wg.Wait()
	if len(m.new) > maxClaims || len(m.old) > maxClaims {
		t.Errorf("%d and %d texts are kept", len(m.new), len(m.old))
	}
}
