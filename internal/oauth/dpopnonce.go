package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"
)

// nonceWindow is how long one nonce is handed out. It is accepted as long again, and from one window
// ahead, for instances whose clocks differ.
const nonceWindow = 2 * time.Minute

// nonces are the DPoP nonces (RFC 9449 §8): a MAC over the number of a time window. Every instance
// with the same master key makes and knows the same ones, without a table. That a nonce is the same
// for all clients is fine: it proves that a proof was not made long ago, and the jti makes it single.
type nonces struct{ key []byte }

func (n nonces) of(window int64) string {
	m := hmac.New(sha256.New, n.key)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(window))
	m.Write(b[:])
	return encode64(m.Sum(nil)[:18])
}

func windowOf(t time.Time) int64 { return t.Unix() / int64(nonceWindow/time.Second) }

// at is the nonce to hand out now.
func (n nonces) at(now time.Time) string { return n.of(windowOf(now)) }

// check reports whether a nonce is one of ours, and the newest.
func (n nonces) check(nonce string, now time.Time) (ok, newest bool) {
	w := windowOf(now)
	for i := w - 1; i <= w+1; i++ {
		if subtle.ConstantTimeCompare([]byte(nonce), []byte(n.of(i))) == 1 {
			ok, newest = true, newest || i >= w
		}
	}
	return ok, newest
}
