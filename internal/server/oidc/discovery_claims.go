package oidc

// claimsMetadata is the part of discovery about subjects, claims and how they are protected.
type claimsMetadata struct{}

func (e *Endpoints) claimsMetadata() claimsMetadata { return claimsMetadata{} }
