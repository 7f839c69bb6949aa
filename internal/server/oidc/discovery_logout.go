package oidc

// logoutMetadata is the part of discovery about logout (OIDC Session Management, Front-Channel and Back-Channel Logout).
type logoutMetadata struct{}

func (e *Endpoints) logoutMetadata() logoutMetadata { return logoutMetadata{} }
