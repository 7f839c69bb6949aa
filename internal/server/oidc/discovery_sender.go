package oidc

// senderMetadata is the part of discovery about sender-constrained tokens (RFC 8705, RFC 9449).
type senderMetadata struct{}

func (e *Endpoints) senderMetadata() senderMetadata { return senderMetadata{} }
