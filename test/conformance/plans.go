package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// group are plans that run against one configuration of the provider.
type group struct {
	name  string
	about string
	// settings are keys of the provider's configuration beside those of every run.
	settings map[string]any
	rotates  bool // a plan rotates the provider's keys
	plans    []plan
}

// plan is one of the suite's plans with the choices that it leaves open.
type plan struct {
	key     string // short name, also of its results and in the names of its clients
	name    string // the suite's
	variant choices

	dynamic       bool     // its clients register themselves
	logout        string   // channel by which its clients hear of the end of a session
	responseTypes []string // that its clients register, where that is not code alone
	profile       string   // under which its clients stand
	algorithm     string   // of its clients' keys
}

// choices are values of a plan's variants by their names.
type choices map[string]string

// alias is the place in the suite's addresses that this plan's clients return to.
func (p plan) alias() string    { return "signet-" + p.key }
func (p plan) endpoint() string { return suiteURL + "/test/a/" + p.alias() }

var (
	static     = choices{"server_metadata": "discovery", "client_registration": "static_client"}
	logoutCode = choices{"response_type": "code", "client_registration": "static_client"}
	hybrid     = []string{"code", "code id_token", "code token", "code id_token token"}
	implicit   = []string{"id_token", "id_token token"}

	openRegistration = map[string]any{
		"registration": map[string]any{"mode": "open", "require_pkce": false, "per_network": 1000, "scopes": allScopes},
		// The discovery document of an OP of this profile names implicit response types.
		"oauth": map[string]any{"legacy_response_types": true, "request_objects": "unsigned", "request_uris": true, "token_endpoint_audience": true},
	}
	certificates = map[string]any{"listen": mtlsListen, "url": mtlsOrigin, "ca_file": "../ca.pem"}
)

var groups = []group{
	{
		name: "default", about: "the configuration as it comes, applications registered by the operator",
		plans: []plan{
			{key: "config", name: "oidcc-config-certification-test-plan"},
			{key: "basic", name: "oidcc-basic-certification-test-plan", variant: static},
			{key: "formpost-basic", name: "oidcc-formpost-basic-certification-test-plan", variant: static},
			{key: "rp-initiated", name: "oidcc-rp-initiated-logout-certification-test-plan", variant: logoutCode},
			{key: "backchannel", name: "oidcc-backchannel-rp-initiated-logout-certification-test-plan", variant: logoutCode, logout: "backchannel"},
			{key: "frontchannel", name: "oidcc-frontchannel-rp-initiated-logout-certification-test-plan", variant: logoutCode, logout: "frontchannel"},
			{key: "session", name: "oidcc-session-management-certification-test-plan", variant: logoutCode},
			fapi2("dpop", "private_key_jwt", "dpop", "ES256"),
			fapi2("dpop-oauth", "private_key_jwt", "dpop", "PS256").with(choices{"openid": "plain_oauth"}),
			fapi2("dpop-machine", "private_key_jwt", "dpop", "PS256").machine(),
			fapi2("signing", "private_key_jwt", "dpop", "PS256").signed("jarm"),
		},
	},
	{
		name: "certificates", about: "with a listener that asks clients for certificates",
		settings: map[string]any{"mtls": certificates},
		plans: []plan{
			fapi2("mtls", "mtls", "mtls", "ES256"),
			fapi2("jwt-mtls", "private_key_jwt", "mtls", "EdDSA"),
			fapi2("mtls-dpop", "mtls", "dpop", "ES256"),
			fapi2("mtls-oauth", "mtls", "mtls", "ES256").with(choices{"openid": "plain_oauth"}),
			fapi2("mtls-machine", "mtls", "mtls", "ES256").machine(),
			fapi2("signing-jwt-mtls", "private_key_jwt", "mtls", "PS256").signed("jarm"),
			fapi2("signing-mtls-dpop", "mtls", "dpop", "PS256").signed("plain_response"),
			fapi2("signing-mtls-oauth", "mtls", "mtls", "PS256").signed("jarm").with(choices{"openid": "plain_oauth"}),
		},
	},
	{
		name: "details", about: "with a type of authorization details",
		settings: map[string]any{"oauth": map[string]any{"authorization_details_types": map[string]string{detailsType: "Start a payment"}}},
		plans: []plan{
			fapi2("rar", "private_key_jwt", "dpop", "PS256").with(choices{"authorization_request_type": "rar"}),
			fapi2("signing-rar", "private_key_jwt", "dpop", "PS256").signed("jarm").with(choices{"authorization_request_type": "rar"}),
		},
	},
	{
		name: "CIBA", about: "with applications that ask somebody elsewhere, often and without much time, certificates, and client assertions made out to endpoints",
		settings: map[string]any{
			"mtls":  certificates,
			"ciba":  map[string]any{"lifetime": "1m", "prompts": 1000},
			"oauth": map[string]any{"token_endpoint_audience": true},
		},
		plans: []plan{ciba("poll", "private_key_jwt"), ciba("poll", "mtls"), ciba("ping", "private_key_jwt"), ciba("ping", "mtls")},
	},
	{
		name: "legacy", about: "with the response types of the implicit and the hybrid flow, and unsigned request objects",
		settings: map[string]any{"oauth": map[string]any{"legacy_response_types": true, "request_objects": "unsigned"}},
		plans: []plan{
			{key: "implicit", name: "oidcc-implicit-certification-test-plan", variant: static, responseTypes: implicit},
			{key: "hybrid", name: "oidcc-hybrid-certification-test-plan", variant: static, responseTypes: hybrid},
			{key: "formpost-implicit", name: "oidcc-formpost-implicit-certification-test-plan", variant: static, responseTypes: implicit},
			{key: "formpost-hybrid", name: "oidcc-formpost-hybrid-certification-test-plan", variant: static, responseTypes: hybrid},
		},
	},
	{
		name: "dynamic", about: "with registration open to applications, without PKCE if they are confidential, implicit response types, every kind of request object, and client assertions made out to the token endpoint",
		settings: openRegistration, rotates: true,
		plans: []plan{
			{key: "dynamic-basic", name: "oidcc-basic-certification-test-plan", dynamic: true,
				variant: choices{"server_metadata": "discovery", "client_registration": "dynamic_client"}},
			{key: "dynamic-op", name: "oidcc-dynamic-certification-test-plan", dynamic: true, variant: choices{"response_type": "code"}},
			{key: "dynamic-op-implicit", name: "oidcc-dynamic-certification-test-plan", dynamic: true, variant: choices{"response_type": "id_token"}},
			{key: "dynamic-op-hybrid", name: "oidcc-dynamic-certification-test-plan", dynamic: true, variant: choices{"response_type": "code id_token"}},
			{key: "3rdparty-init", name: "oidcc-3rdparty-init-login-certification-test-plan", dynamic: true, variant: choices{"response_type": "code"}},
		},
	}, {
		name: "authentication", about: "the same, and with a listener that asks clients for certificates",
		settings: with(openRegistration, "mtls", certificates), rotates: true,
		plans: []plan{
			authenticated("private_key_jwt"), authenticated("client_secret_jwt"),
			authenticated("mtls").registered(), // the suite registers its own with a method of no standard
		},
	},
}

// authenticated is the plan of all modules about OpenID Connect, for a way in which clients, which here
// register themselves, authenticate.
func authenticated(method string) plan {
	return plan{key: "auth-" + method, name: "oidcc-test-plan", dynamic: true, variant: choices{
		"client_auth_type": method, "response_type": "code", "response_mode": "default", "client_registration": "dynamic_client"}}
}

// registered is the plan with clients that the operator registered.
func (p plan) registered() plan {
	p.dynamic = false
	return p.with(choices{"client_registration": "static_client"})
}

// with is settings with one more section.
func with(settings map[string]any, name string, section any) map[string]any {
	out := maps.Clone(settings)
	out[name] = section
	return out
}

// shown is a variant as the suite writes it.
func shown(v choices) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v)) {
		fmt.Fprintf(&b, "[%s=%s]", name, v[name])
	}
	return b.String()
}

func listPlans(w io.Writer) {
	for _, g := range groups {
		fmt.Fprintf(w, "%s: %s\n", g.name, g.about)
		for _, p := range g.plans {
			fmt.Fprintf(w, "  %-20s %s%s\n", p.key, p.name, shown(p.variant))
		}
	}
}

// choose finds the plans that the user named, by their group.
func choose(names string) (map[string][]plan, error) {
	chosen := map[string][]plan{}
	wanted := strings.Split(names, ",")
	found := map[string]bool{}
	for _, g := range groups {
		for _, p := range g.plans {
			for _, name := range []string{g.name, p.key, "all"} {
				found[name] = true
			}
			if slices.Contains(wanted, g.name) || slices.Contains(wanted, p.key) || slices.Contains(wanted, "all") {
				chosen[g.name] = append(chosen[g.name], p)
			}
		}
	}
	for _, name := range wanted {
		if !found[name] {
			return nil, fmt.Errorf("no group and no plan is called %q; see --list", name)
		}
	}
	return chosen, nil
}
