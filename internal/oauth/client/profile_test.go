package client

import "testing"

// FAPI 2.0 Security Profile §5.4.1: a client under the profile has nothing signed, and signs nothing, with
// an algorithm outside of it.
func TestProfile_Algorithms(t *testing.T) {
	t.Parallel()
	for field, of := range map[string]func(m *Metadata) *string{
		"id_token_signed_response_alg":      func(m *Metadata) *string { return &m.IDTokenAlg },
		"userinfo_signed_response_alg":      func(m *Metadata) *string { return &m.UserinfoAlg },
		"authorization_signed_response_alg": func(m *Metadata) *string { return &m.AuthorizationAlg },
		"introspection_signed_response_alg": func(m *Metadata) *string { return &m.IntrospectionAlg },
		"request_object_signing_alg":        func(m *Metadata) *string { return &m.RequestObjectAlg },
		"token_endpoint_auth_signing_alg":   func(m *Metadata) *string { return &m.AuthSigningAlg },
	} {
		for alg, ok := range map[string]bool{"": true, "ES256": true, "PS256": true, "EdDSA": true, "RS256": false} {
			m := valid(Web)
			m.AuthMethod, m.JWKSURI, m.Profile = PrivateKeyJWT, "https://a.example/jwks", ProfileFAPI2Signing
			*of(&m) = alg
			if err := m.Validate(Web); (err == nil) != ok {
				t.Errorf("%s %q: %v", field, alg, err)
			}
		}
	}
}
