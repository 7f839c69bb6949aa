// Package keys owns the signing keys of the provider: it makes them, publishes them ahead of
// use, signs with the active one of each algorithm, keeps retired ones until what they signed
// has expired, and removes them. It signs and verifies bytes; what the claims say is the
// business of internal/oauth.
//
// The state of a key follows from its times alone, so that every instance switches at the same
// instant without asking the database: published (created) → active (activate_at) → retired
// (retire_at) → removed (remove_at). Private keys are sealed with the master key, bound to their
// row and algorithm.
package keys
