package passkeytest

import "encoding/binary"

// The few forms of CBOR (RFC 8949 §3) that an authenticator writes.

func head(major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major | 27}, n)
}

// Int encodes an integer.
func Int(n int64) []byte {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

// Bytes encodes a byte string.
func Bytes(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

// Text encodes a text string.
func Text(s string) []byte { return append(head(3, uint64(len(s))), s...) }

// Map encodes a map of encoded keys and values, in the order given.
func Map(pairs ...[]byte) []byte { return join(head(5, uint64(len(pairs)/2)), pairs) }

func join(b []byte, items [][]byte) []byte {
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}
