package client

import "github.com/go-jose/go-jose/v4"

// UsableKey says what is wrong with a public key that came from outside, by the rules for
// registered ones, or nil.
func UsableKey(k jose.JSONWebKey) error { return keyProblem(k.Key) }
