// Package rig runs the provider as its users do, as processes of the built binary, for tests
// that need more than one process, a process to kill, or a client that is a program of its own.
// It knows the command line and the pages, and nothing of the packages behind them.
package rig
