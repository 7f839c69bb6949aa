// Package app is wiring only: configuration in, running listeners and workers out. It has the
// one function that knows every package, the small adapters between the two halves of the
// house, and the background jobs that instances share. cmd/signet and tests call it.
package app
