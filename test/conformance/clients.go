package main

import (
	"errors"
	"maps"
	"slices"
)

// registration is a plan's clients, as both sides are told of them.
type registration struct {
	provider []map[string]any // for the provider's configuration
	suite    map[string]any   // for the suite's
}

var allScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// register makes the clients of a plan.
func register(p plan, a *authority) (*registration, error) {
	r := &registration{suite: map[string]any{}}
	switch {
	case p.fapi():
		return r, r.addFAPI(p, a)
	case p.dynamic:
		r.suite["client"] = map[string]any{"client_name": "Conformance one"}
		r.suite["client2"] = map[string]any{"client_name": "Conformance two"}
	case p.variant["client_auth_type"] == "mtls":
		return r, errors.Join(r.addByCertificate(p, a, "client", "mtls", "one"), r.addByCertificate(p, a, "client2", "mtls2", "two"))
	default:
		r.add(p, "client", "one", "client_secret_basic")
		r.add(p, "client_secret_post", "post", "client_secret_post")
		r.add(p, "client2", "two", "client_secret_basic")
	}
	return r, nil
}

// add registers a client of the plans of OpenID Connect, most of whose modules know no PKCE.
func (r *registration) add(p plan, place, name, method string) {
	id, secret := p.alias()+"-"+name, secret()
	r.suite[place] = map[string]any{"client_id": id, "client_secret": secret}
	c := map[string]any{
		"id": id, "name": "Conformance " + name, "kind": "web", "secret": secret, "require_pkce": false,
		"redirect_uris":              []string{p.endpoint() + "/callback"},
		"post_logout_redirect_uris":  []string{p.endpoint() + "/post_logout_redirect"},
		"token_endpoint_auth_method": method,
		"grant_types":                grants(p.responseTypes),
		"scopes":                     scopes(p.responseTypes),
	}
	if p.logout != "" {
		c["metadata"] = map[string]any{
			p.logout + "_logout_uri":              p.endpoint() + "/" + p.logout + "_logout",
			p.logout + "_logout_session_required": true,
		}
	}
	if len(p.responseTypes) > 0 {
		c["response_types"] = p.responseTypes
	}
	r.provider = append(r.provider, c)
}

// addByCertificate registers one that authenticates by a certificate in the place of a secret.
func (r *registration) addByCertificate(p plan, a *authority, place, mtls, name string) error {
	r.add(p, place, name, "")
	c, metadata, id := r.provider[len(r.provider)-1], map[string]any{}, p.alias()+"-"+name
	cert, err := a.issue(id)
	if err != nil {
		return err
	}
	delete(c, "secret")
	byCertificate(c, metadata, id)
	c["metadata"] = metadata
	r.suite[place] = map[string]any{"client_id": id}
	r.suite[mtls] = cert.shown(a)
	return nil
}

// grants are the grant types that go with response types (OpenID Connect Registration §2).
func grants(responseTypes []string) []string {
	code := []string{"authorization_code", "refresh_token"}
	switch {
	case len(responseTypes) == 0:
		return code
	case slices.Contains(responseTypes, "code"):
		return append(code, "implicit")
	}
	return []string{"implicit"}
}

// scopes are all that may be asked for; without a code there is no refresh token.
func scopes(responseTypes []string) []string {
	if slices.Contains(grants(responseTypes), "refresh_token") {
		return allScopes
	}
	return slices.DeleteFunc(slices.Clone(allScopes), func(s string) bool { return s == "offline_access" })
}

// configuration is what the suite is given with a plan.
func configuration(p plan, r *registration) map[string]any {
	c := map[string]any{
		"description": "Signet, " + p.key,
		"server": map[string]any{"discoveryUrl": issuer + "/.well-known/openid-configuration",
			"login_hint": user, "ui_locales": "ko en"},
		"browser":  usual(),
		"override": overrides(),
		"options":  map[string]any{"browsercontrol_css_enable": false},
	}
	if !p.openID() {
		c["server"] = map[string]any{"discoveryUrl": issuer + "/.well-known/oauth-authorization-server"}
	}
	if p.fapi() {
		c["browser"] = either() // many of its modules leave open where an error is shown
	}
	if p.ciba() {
		c["automated_ciba_approval_url"] = decideURL + p.person()
	}
	// Without an alias modules could run side by side; registered clients need its fixed addresses.
	if !p.dynamic {
		c["alias"] = p.alias()
	}
	maps.Copy(c, r.suite)
	return c
}
