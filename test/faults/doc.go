// Package faults kills instances of the provider under load and looks at what is left: nothing
// that was acknowledged may be lost, and nothing may be redeemed twice.
package faults
