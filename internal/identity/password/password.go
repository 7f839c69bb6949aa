// Package password hashes and verifies passwords and says which ones are acceptable.
package password

import (
	"context"
	"log/slog"
	"time"

	"signet/internal/platform/seal"
)

// Params is the cost of a hash.
type Params struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
}

// Deps is what a Service needs.
type Deps struct {
	Params       Params
	Slots        int
	QueueTimeout time.Duration
	MinLength    int
	ServiceNames []string
	Log          *slog.Logger
}

// Service hashes and verifies.
type Service struct{}

// New returns a Service.
func New(Deps) (*Service, error) { panic("unfinished") }

// Result of Verify.
type Result struct{ OK, Upgrade bool }

// Scheme names a notation.
type Scheme string

// Hash hashes pw.
func (s *Service) Hash(context.Context, seal.Secret) (string, error) { panic("unfinished") }

// Verify checks pw.
func (s *Service) Verify(context.Context, string, seal.Secret) (Result, error) { panic("unfinished") }

// Check applies the policy.
func (s *Service) Check(seal.Secret, ...string) error { panic("unfinished") }

// Stats returns the load.
func (s *Service) Stats() (inUse, queued int, shed uint64) { panic("unfinished") }

// Recognize names the notation of a stored hash.
func Recognize(string) (Scheme, error) { panic("unfinished") }
