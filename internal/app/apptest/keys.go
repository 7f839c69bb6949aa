package apptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"

	"signet/internal/oauth/keys"
)

// spare are the RSA keys of applications that have ended. The search for one is half of all the
// work that starting an application is.
var spare struct {
	sync.Mutex
	rsa []crypto.Signer
}

// Keys is app.Options.NewKey for tests. No two of the keys that are in use at one time are the same,
// neither in one application nor in two.
func Keys(t testing.TB) func(alg string) (crypto.Signer, error) {
	var taken []crypto.Signer // under the lock of spare
	t.Cleanup(func() {
		spare.Lock()
		defer spare.Unlock()
		spare.rsa = append(spare.rsa, taken...)
	})
	return func(alg string) (crypto.Signer, error) {
		if alg != keys.RS256 && alg != keys.PS256 {
			return keys.Generate(alg)
		}
		spare.Lock()
		defer spare.Unlock()
		if n := len(spare.rsa); n > 0 {
			taken, spare.rsa = append(taken, spare.rsa[n-1]), spare.rsa[:n-1]
			return taken[len(taken)-1], nil
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err == nil {
			taken = append(taken, key)
		}
		return key, err
	}
}
