package oidc

import "signet/internal/oauth/registration"

// registrationMetadata is the part of discovery about clients that nobody here registers.
type registrationMetadata struct {
	RegistrationEndpoint string `json:"registration_endpoint,omitempty"` // OIDC Discovery §3, RFC 8414 §2
	// draft-ietf-oauth-client-id-metadata-document §5: a client_id may be a URL.
	ClientDocuments bool `json:"client_id_metadata_document_supported,omitempty"`
}

func (e *Endpoints) registrationMetadata() registrationMetadata {
	m := registrationMetadata{ClientDocuments: e.engine.Policy().ClientDocuments}
	if e.registration.Enabled() {
		m.RegistrationEndpoint = e.engine.Issuer() + registration.Path
	}
	return m
}
