package oidc

// grantsMetadata is the part of discovery about grants beyond the code.
type grantsMetadata struct{}

func (e *Endpoints) grantsMetadata() grantsMetadata { return grantsMetadata{} }
