package client

import (
	"context"
	"time"
)

// API is a registered resource server (RFC 8707): its audience and the scopes it understands.
type API struct {
	Audience  string            `json:"audience"`
	Name      string            `json:"name"`
	Scopes    map[string]string `json:"scopes"` // name to description
	ManagedBy string            `json:"managed_by"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

// APIs is an immutable snapshot of the registry.
type APIs struct {
	list    []API
	byAud   map[string]int
	byScope map[string]int
}

// All returns the APIs ordered by audience. Do not change the slice.
func (a *APIs) All() []API { return a.list }

// ByAudience finds an API by its resource indicator, compared exactly.
func (a *APIs) ByAudience(aud string) (API, bool) {
	i, ok := a.byAud[aud]
	if !ok {
		return API{}, false
	}
	return a.list[i], true
}

// OfScope finds the one API that a scope belongs to.
func (a *APIs) OfScope(scope string) (API, bool) {
	i, ok := a.byScope[scope]
	if !ok {
		return API{}, false
	}
	return a.list[i], true
}

// APIs returns the registry.
func (s *Service) APIs(ctx context.Context) (*APIs, error) { panic("wip") }

// CreateAPI registers an API.
func (s *Service) CreateAPI(ctx context.Context, a API) (API, error) { panic("wip") }

// DeleteAPI removes an API that no client may ask tokens for.
func (s *Service) DeleteAPI(ctx context.Context, audience string) error { panic("wip") }
