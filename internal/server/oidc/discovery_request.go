package oidc

import (
	"slices"

	"signet/internal/oauth/client"
)

// requestMetadata is the part of discovery about how requests may be made and answers may travel (RFC 9101, RFC 9126, JARM).
type requestMetadata struct {
	PushEndpoint     string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 §5
	RequirePushed    bool     `json:"require_pushed_authorization_requests"`
	RequestParameter bool     `json:"request_parameter_supported"` // OIDC Discovery §3
	RequestURI       bool     `json:"request_uri_parameter_supported"`
	RegisteredURIs   bool     `json:"require_request_uri_registration,omitempty"`
	ObjectAlgs       []string `json:"request_object_signing_alg_values_supported,omitempty"`
	AnswerAlgs       []string `json:"authorization_signing_alg_values_supported"` // JARM §4
	AnswerEncAlgs    []string `json:"authorization_encryption_alg_values_supported"`
	AnswerEncEncs    []string `json:"authorization_encryption_enc_values_supported"`
}

func (e *Endpoints) requestMetadata() requestMetadata {
	p := e.engine.Policy()
	m := requestMetadata{
		PushEndpoint: e.engine.Issuer() + pathPush, RequirePushed: p.RequirePushed, AnswerAlgs: client.ResponseAlgs(),
		AnswerEncAlgs: client.EncryptionAlgs(), AnswerEncEncs: client.ContentEncryptions(),
	}
	if p.RequestObjects == "off" {
		return m
	}
	m.RequestParameter, m.RequestURI, m.RegisteredURIs = true, p.RequestURIs, p.RequestURIs
	m.ObjectAlgs = client.SignatureAlgs()
	if p.RequestObjects == "unsigned" {
		m.ObjectAlgs = append(slices.Clip(m.ObjectAlgs), "none")
	}
	return m
}
