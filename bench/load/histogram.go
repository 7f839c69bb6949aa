package load

import (
	"math/bits"
	"time"
)

const (
	subBits = 6 // 64 steps per power of two: at most 1.6 % error
	sub     = 1 << subBits
)

// histogram counts durations in logarithmic buckets, so that a run of any length costs a
// worker the same few kilobytes.
type histogram struct {
	buckets [64 * sub]uint32
	count   uint64
	sum     time.Duration
	max     time.Duration
}

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < sub {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - subBits
	return (shift+1)*sub + int(n>>shift) - sub
}

// floor is the least duration of a bucket.
func floor(b int) time.Duration {
	if b < sub {
		return time.Duration(b)
	}
	shift := b/sub - 1
	return time.Duration(sub+b%sub) << shift
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucket(d)]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

func (h *histogram) mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// quantile returns the duration below which the share q of all lies.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		seen += uint64(n)
		if n > 0 && seen > rank {
			return min(floor(i+1), h.max)
		}
	}
	return h.max
}
