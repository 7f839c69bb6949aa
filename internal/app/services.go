package app

import (
	"signet/internal/platform/clock"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Services is everything below the HTTP skin, wired over one store.
type Services struct {
	DB      *store.DB
	Clock   clock.Clock
	Seal    *seal.Sealer
	Changes *store.Changes
}

// Close releases the store.
func (s *Services) Close() { s.DB.Close() }
