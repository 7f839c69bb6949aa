package oidc

// registrationMetadata is the part of discovery about clients that register themselves.
type registrationMetadata struct{}

func (e *Endpoints) registrationMetadata() registrationMetadata { return registrationMetadata{} }
