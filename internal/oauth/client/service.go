package client

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Topic is the change topic of clients and APIs.
const Topic = "client"

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Changes *store.Changes
	Audit   *audit.Log
	Fetch   *fetch.Client
	Log     *slog.Logger // discarded if nil
}

// Service keeps the registered clients and APIs. It is safe for concurrent use.
type Service struct{ d Deps }

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Changes == nil || d.Audit == nil || d.Fetch == nil {
		return nil, errors.New("client: DB, Clock, Changes, Audit and Fetch are required")
	}
	return &Service{d: d}, nil
}

// NewClient is what Create needs. ID may be empty.
type NewClient struct {
	ID       id.Client
	Name     string
	Kind     Kind
	Metadata Metadata // start from Defaults(Kind)
}

// Draft is what Update may change.
type Draft struct {
	Name     string
	Metadata Metadata
}

// ListOptions pages through List by id.
type ListOptions struct {
	After id.Client
	Limit int // 0 means all
}

// Client returns the client, active or not, as an immutable snapshot, or errs.NotFound.
func (s *Service) Get(ctx context.Context, cid id.Client) (*Client, error) { panic("wip") }

// Create registers a client. The secret is returned here and never again; it is empty for
// clients that have none.
func (s *Service) Create(ctx context.Context, n NewClient) (Client, seal.Secret, error) { panic("wip") }

// Update changes a client by edit, which may be called more than once.
func (s *Service) Update(ctx context.Context, cid id.Client, edit func(*Draft) error) (Client, error) {
	panic("wip")
}

// RotateSecret gives the client a new secret; the old one stays valid for overlap.
func (s *Service) RotateSecret(ctx context.Context, cid id.Client, overlap time.Duration) (seal.Secret, error) {
	panic("wip")
}

// Disable makes the client unusable until Enable.
func (s *Service) Disable(ctx context.Context, cid id.Client) error { panic("wip") }

// Enable reverses Disable.
func (s *Service) Enable(ctx context.Context, cid id.Client) error { panic("wip") }

// Delete removes the client with all that its users granted it.
func (s *Service) Delete(ctx context.Context, cid id.Client) error { panic("wip") }

// List returns the clients ordered by id.
func (s *Service) List(ctx context.Context, o ListOptions) ([]Client, error) { panic("wip") }

// Keys returns the public keys of the client that have the key id (all, if kid is empty).
func (s *Service) Keys(ctx context.Context, c *Client, kid string) (jose.JSONWebKeySet, error) {
	panic("wip")
}

// OriginAllowed reports whether any active client registered the origin (CORS).
func (s *Service) OriginAllowed(ctx context.Context, origin string) (bool, error) { panic("wip") }

// IDTokenAlgs returns the ID token algorithms that active clients ask for.
func (s *Service) IDTokenAlgs(ctx context.Context) ([]string, error) { panic("wip") }
