package oauth

import (
	"context"
	"encoding/json"
)

// ClaimsRequest is the claims parameter (OIDC Core §5.5): which claims are wanted where.
type ClaimsRequest struct {
	Userinfo map[string]*ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*ClaimRequest `json:"id_token,omitempty"`
}

// ClaimRequest is how one claim is wanted; nil stands for "if you have it".
type ClaimRequest struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// checkClaims reads the claims parameter.
func checkClaims(context.Context, *authorization) error { return nil }
