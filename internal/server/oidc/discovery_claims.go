package oidc

import (
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
)

// claimsMetadata is the part of discovery about subjects, claims, what goes through the browser, and
// how it is protected (OIDC Discovery §3).
type claimsMetadata struct {
	ResponseTypes   []string `json:"response_types_supported"`
	SubjectTypes    []string `json:"subject_types_supported"`
	ClaimTypes      []string `json:"claim_types_supported"`
	Claims          []string `json:"claims_supported"`
	ClaimsParameter bool     `json:"claims_parameter_supported"`
	IDTokenAlgs     []string `json:"id_token_signing_alg_values_supported"`
	IDTokenEncAlgs  []string `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncEncs  []string `json:"id_token_encryption_enc_values_supported"`
	UserinfoAlgs    []string `json:"userinfo_signing_alg_values_supported"`
	UserinfoEncAlgs []string `json:"userinfo_encryption_alg_values_supported"`
	UserinfoEncEncs []string `json:"userinfo_encryption_enc_values_supported"`
}

func (e *Endpoints) claimsMetadata() claimsMetadata {
	return claimsMetadata{
		ResponseTypes: e.engine.ResponseTypes(),
		SubjectTypes:  []string{"public", "pairwise"},
		ClaimTypes:    []string{"normal"}, Claims: oauth.ClaimNames(), ClaimsParameter: true,
		IDTokenAlgs: keys.Algorithms(), IDTokenEncAlgs: client.EncryptionAlgs(), IDTokenEncEncs: client.ContentEncryptions(),
		UserinfoAlgs: client.ResponseAlgs(), UserinfoEncAlgs: client.EncryptionAlgs(), UserinfoEncEncs: client.ContentEncryptions(),
	}
}
