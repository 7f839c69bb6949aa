package keys

import (
	"crypto/sha256"
	"sync"
)

// verified remembers which tokens had a good signature, because services introspect the same
// token again and again and an ECDSA verification costs more than all the rest of that. Only the
// outcome "this exact text is signed by that key" is kept, which never changes; type, state of
// the key and claims are judged anew each time. It belongs to one signer, so it goes when the
// key goes, and holds hashes, not tokens.
type verified struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]struct{}
}

// maxVerified bounds each of the two generations: 4096 × about 80 bytes × 2 per key at most.
const maxVerified = 4096

func (v *verified) has(sum [sha256.Size]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.new[sum]; ok {
		return true
	}
	if _, ok := v.old[sum]; !ok {
		return false
	}
	v.put(sum)
	return true
}

func (v *verified) add(sum [sha256.Size]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(sum)
}

// put adds to the new generation; when that is full it becomes the old one.
func (v *verified) put(sum [sha256.Size]byte) {
	if len(v.new) >= maxVerified || v.new == nil {
		v.old, v.new = v.new, make(map[[sha256.Size]byte]struct{}, 64)
	}
	v.new[sum] = struct{}{}
}
