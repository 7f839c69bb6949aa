package main

import "maps"

// detailsType is the type of authorization details (RFC 9396) that is known where a group sets it.
const detailsType = "payment_initiation"

// fapi2 is the plan of FAPI 2.0 Security Profile for a way in which clients authenticate, and one in
// which their tokens are bound to them.
func fapi2(key, authentication, bound, algorithm string) plan {
	return plan{
		key: "fapi2-" + key, name: "fapi2-security-profile-final-test-plan", profile: "fapi2", algorithm: algorithm,
		variant: choices{"fapi_profile": "plain_fapi", "openid": "openid_connect", "client_auth_type": authentication, "sender_constrain": bound},
	}
}

// with is the plan with other choices.
func (p plan) with(other choices) plan {
	p.variant = maps.Clone(p.variant)
	maps.Copy(p.variant, other)
	return p
}

// signed makes it the plan of FAPI 2.0 Message Signing.
func (p plan) signed(responseMode string) plan {
	p.name, p.profile = "fapi2-message-signing-final-test-plan", "fapi2_message_signing"
	return p.with(choices{"fapi_request_method": "signed_non_repudiation", "fapi_response_mode": responseMode, "authorization_request_type": "simple"})
}

// machine is for clients that act for themselves.
func (p plan) machine() plan {
	return p.with(choices{"fapi_profile": "fapi_client_credentials_grant", "openid": "plain_oauth"})
}

func (p plan) fapi() bool      { return p.profile != "" || p.ciba() }
func (p plan) forItself() bool { return p.variant["fapi_profile"] == "fapi_client_credentials_grant" }
func (p plan) openID() bool    { return p.variant["openid"] != "plain_oauth" }

// resource is where the plan's clients use their tokens: userinfo, at the listener that asks for
// certificates if tokens are bound to those; our API where there is no OpenID, and in plans of FAPI 1,
// which has a header of its own for resources.
func (p plan) resource() string {
	switch {
	case !p.openID() || p.ciba():
		return resourceURL
	case p.variant["sender_constrain"] == "mtls":
		return mtlsOrigin + "/oauth2/userinfo"
	}
	return issuer + "/oauth2/userinfo"
}

// scope is what the plan's clients ask for.
func (p plan) scope() string {
	switch {
	case p.forItself():
		return resourceScope
	case !p.openID():
		return resourceScope + " offline_access"
	case p.ciba():
		return "openid offline_access " + resourceScope
	}
	return "openid profile email offline_access"
}

// addFAPI registers the two clients of a plan of FAPI, each with a key and a certificate.
func (r *registration) addFAPI(p plan, a *authority) error {
	// The second one's redirect URI has a query, which must be compared as well.
	for _, c := range []struct{ place, mtls, name, query string }{
		{"client", "mtls", "one", ""}, {"client2", "mtls2", "two", "?dummy1=lorem&dummy2=ipsum"},
	} {
		id := p.alias() + "-" + c.name
		private, public, err := newKeys(p.algorithm)
		if err != nil {
			return err
		}
		cert, err := a.issue(id)
		if err != nil {
			return err
		}
		r.suite[c.place] = map[string]any{"client_id": id, "scope": p.scope(), "jwks": private, "dpop_signing_alg": "ES256",
			"hint_type": "login_hint", "hint_value": p.person(), "acr_value": passwordOnly}
		r.suite[c.mtls] = cert.shown(a)
		client := fapiClient(p, id, "Conformance "+c.name, p.endpoint()+"/callback"+c.query, public)
		if p.ciba() {
			client = cibaClient(p, id, "Conformance "+c.name, public)
		}
		r.provider = append(r.provider, client)
	}
	r.suite["resource"] = map[string]any{"resourceUrl": p.resource(),
		"richAuthorizationRequest": []map[string]any{{"type": detailsType, "instructedAmount": map[string]string{"currency": "EUR", "amount": "123.50"}}}}
	return nil
}

func fapiClient(p plan, id, name, redirectURI string, public map[string]any) map[string]any {
	metadata := map[string]any{"profile": p.profile}
	c := map[string]any{
		"id": id, "name": name, "kind": "web", "redirect_uris": []string{redirectURI}, "jwks": public,
		"token_endpoint_auth_method": "private_key_jwt", "scopes": append([]string{resourceScope}, allScopes...), "metadata": metadata,
	}
	if p.forItself() {
		c["kind"], c["scopes"] = "machine", []string{resourceScope}
		delete(c, "redirect_uris")
	}
	if p.variant["authorization_request_type"] == "rar" {
		metadata["authorization_details_types"] = []string{detailsType}
	}
	if p.variant["sender_constrain"] == "mtls" {
		metadata["tls_client_certificate_bound_access_tokens"] = true
	} else {
		metadata["dpop_bound_access_tokens"] = true
	}
	if p.variant["client_auth_type"] == "mtls" {
		byCertificate(c, metadata, id)
	}
	return c
}

// byCertificate registers the certificate that the client of this name gets as what it authenticates with.
func byCertificate(c, metadata map[string]any, id string) {
	c["token_endpoint_auth_method"], metadata["tls_client_auth_subject_dn"] = "tls_client_auth", "CN="+id
}
