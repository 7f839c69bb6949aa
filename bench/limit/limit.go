// Package limit measures what a flow cannot be faster than on the machine it runs on: a bare
// HTTP handler, a signature, a password hash, a durable commit, a SELECT by key. Each is
// measured next to the flow, in the same run and with the same number of workers, so that a
// ratio says something about the provider and not about the machine.
//
// It uses the libraries that Signet uses but nothing of Signet.
package limit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math"
	"runtime"

	"golang.org/x/crypto/argon2"

	"signet/bench/load"
)

// Allowed is the rate that a request could reach if it did nothing but its unavoidable
// steps one after the other: 1 / Σ 1/limit.
func Allowed(limits ...float64) float64 {
	var sum float64
	for _, l := range limits {
		if l <= 0 {
			return math.NaN()
		}
		sum += 1 / l
	}
	return 1 / sum
}

// PerCore runs op in one worker per core: the limit of work that only computes.
func PerCore(ctx context.Context, op load.Op, b load.Bounds) load.Result {
	return load.Run(ctx, Same(op, runtime.GOMAXPROCS(0)), b)
}

// Same gives n workers the same operation, which must allow concurrent calls.
func Same(op load.Op, n int) []load.Op {
	ops := make([]load.Op, n)
	for i := range ops {
		ops[i] = op
	}
	return ops
}

// ES256 signs the digest of a message of a token's size with ECDSA on P-256.
func ES256() (load.Op, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	message := make([]byte, 700)
	_, _ = rand.Read(message) // never fails (crypto/rand)
	return func(context.Context) error {
		digest := sha256.Sum256(message)
		_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		return err
	}, nil
}

// Argon2 is a password hash's cost.
type Argon2 struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
}

// Argon2id hashes a password with the parameters.
func Argon2id(p Argon2) load.Op {
	password, salt := []byte("correct horse battery staple"), make([]byte, 16)
	return func(context.Context) error {
		argon2.IDKey(password, salt, p.Time, p.MemoryKiB, p.Parallelism, 32)
		return nil
	}
}
