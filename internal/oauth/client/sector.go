package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"signet/internal/platform/fetch"
)

// errSectorAway tells a document that cannot be read now from one that says no.
var errSectorAway = errors.New("the sector cannot be asked now")

// CheckSector fetches the document at sector_identifier_uri, which must list every redirect URI of
// the client: otherwise anybody could see people as another sector sees them (OIDC Registration §5).
// A problem is errs.Invalid with Problems; which failure of the fetch it was is not told.
func (s *Service) CheckSector(ctx context.Context, m Metadata) error {
	if m.SectorIdentifierURI == "" {
		return nil
	}
	var p Problems
	doc, err := s.d.Fetch.Get(ctx, m.SectorIdentifierURI, fetch.JSON)
	if err != nil {
		p.add("sector_identifier_uri", "could not be read")
		return errors.Join(errSectorAway, p.err())
	}
	var listed []string
	if json.Unmarshal(doc.Body, &listed) != nil || listed == nil {
		p.add("sector_identifier_uri", "is not an array of redirect URIs (OIDC Registration §5)")
		return p.err()
	}
	for _, uri := range m.RedirectURIs {
		if !slices.Contains(listed, uri) {
			p.add("sector_identifier_uri", "does not list the redirect URI %q (OIDC Registration §5)", shown(uri))
		}
	}
	return p.err()
}
