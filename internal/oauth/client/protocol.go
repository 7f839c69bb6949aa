package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Protocol is the part of the metadata that follows the registries word by word: names, types and
// meanings are those of OIDC Registration §2, RFC 7591 §2 and the documents that the comments
// name. It is written the same in the store, in the configuration (clients[].metadata), on the
// command line (--metadata) and in registration requests. Empty means the default that each document
// gives.
type Protocol struct {
	Profile string `json:"profile,omitempty" doc:"fapi2 or fapi2_message_signing: everything that the FAPI 2.0 profile demands, at once."`

	Contacts         []string `json:"contacts,omitempty" doc:"Addresses of the people responsible."`
	SoftwareID       string   `json:"software_id,omitempty" doc:"Which software it is, the same for all its installations (RFC 7591)."`
	SoftwareVersion  string   `json:"software_version,omitempty" doc:"Which version of it."`
	InitiateLoginURI string   `json:"initiate_login_uri,omitempty" doc:"Where a sign-in can be started from elsewhere (OIDC Core, third-party initiated login)."`

	SubjectType         string   `json:"subject_type,omitempty" doc:"public, or pairwise: every sector sees another sub."`
	SectorIdentifierURI string   `json:"sector_identifier_uri,omitempty" doc:"Document that lists the redirect URIs of all clients of one sector."`
	DefaultMaxAge       *int64   `json:"default_max_age,omitempty" doc:"max_age of requests that name none, in seconds."`
	RequireAuthTime     bool     `json:"require_auth_time,omitempty" doc:"ID tokens always carry auth_time (they do anyway)."`
	DefaultACRValues    []string `json:"default_acr_values,omitempty" doc:"acr_values of requests that name none."`

	IDTokenEncAlg  string `json:"id_token_encrypted_response_alg,omitempty" doc:"Encrypt ID tokens: RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW."`
	IDTokenEncEnc  string `json:"id_token_encrypted_response_enc,omitempty" doc:"A128CBC-HS256 (default), A256CBC-HS512, A128GCM or A256GCM."`
	UserinfoAlg    string `json:"userinfo_signed_response_alg,omitempty" doc:"Answer userinfo with a JWT, signed so."`
	UserinfoEncAlg string `json:"userinfo_encrypted_response_alg,omitempty" doc:"Encrypt userinfo answers."`
	UserinfoEncEnc string `json:"userinfo_encrypted_response_enc,omitempty" doc:"As for ID tokens."`

	IntrospectionAlg    string `json:"introspection_signed_response_alg,omitempty" doc:"Algorithm of JWT introspection answers (RFC 9701)."`
	IntrospectionEncAlg string `json:"introspection_encrypted_response_alg,omitempty" doc:"Encrypt them."`
	IntrospectionEncEnc string `json:"introspection_encrypted_response_enc,omitempty" doc:"As for ID tokens."`

	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty" doc:"The one algorithm of its request objects (RFC 9101); empty: any that is supported and fits its keys."`
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty" doc:"Refuse requests without a signed request object."`
	RequestURIs          []string `json:"request_uris,omitempty" doc:"Addresses that request objects may be fetched from."`
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty" doc:"Refuse requests that were not pushed (RFC 9126)."`

	AuthorizationAlg    string `json:"authorization_signed_response_alg,omitempty" doc:"Algorithm of JWT authorization responses (JARM)."`
	AuthorizationEncAlg string `json:"authorization_encrypted_response_alg,omitempty" doc:"Encrypt them."`
	AuthorizationEncEnc string `json:"authorization_encrypted_response_enc,omitempty" doc:"As for ID tokens."`

	AuthSigningAlg   string `json:"token_endpoint_auth_signing_alg,omitempty" doc:"The one algorithm of its assertions; empty: any that is supported and fits its keys."`
	TLSSubjectDN     string `json:"tls_client_auth_subject_dn,omitempty" doc:"Subject of its certificate (RFC 8705), in the notation of RFC 4514."`
	TLSSANDNS        string `json:"tls_client_auth_san_dns,omitempty" doc:"Or a DNS name in it."`
	TLSSANURI        string `json:"tls_client_auth_san_uri,omitempty" doc:"Or a URI in it."`
	TLSSANIP         string `json:"tls_client_auth_san_ip,omitempty" doc:"Or an IP address in it."`
	TLSSANEmail      string `json:"tls_client_auth_san_email,omitempty" doc:"Or a mail address in it."`
	CertificateBound bool   `json:"tls_client_certificate_bound_access_tokens,omitempty" doc:"Access tokens work only together with its certificate (RFC 8705)."`
	DPoPBound        bool   `json:"dpop_bound_access_tokens,omitempty" doc:"Refuse token requests without a DPoP proof (RFC 9449)."`

	FrontchannelLogoutURI     string `json:"frontchannel_logout_uri,omitempty" doc:"Loaded in a hidden frame when its user signs out."`
	FrontchannelLogoutSession bool   `json:"frontchannel_logout_session_required,omitempty" doc:"With iss and sid in the query."`
	BackchannelLogoutURI      string `json:"backchannel_logout_uri,omitempty" doc:"Told by the server, with retries for days, when its user signs out."`
	BackchannelLogoutSession  bool   `json:"backchannel_logout_session_required,omitempty" doc:"With sid in the logout token (it always is)."`

	CIBADelivery     string `json:"backchannel_token_delivery_mode,omitempty" doc:"How it hears of the person's decision (CIBA): poll (default), or ping. There is no push."`
	CIBANotification string `json:"backchannel_client_notification_endpoint,omitempty" doc:"Where it is told of the decision in ping mode."`
	CIBARequestAlg   string `json:"backchannel_authentication_request_signing_alg,omitempty" doc:"The one algorithm of its signed authentication requests; with it, unsigned ones are refused."`
	CIBAUserCode     bool   `json:"backchannel_user_code_parameter,omitempty" doc:"Must be false: user codes are not offered."`

	DetailTypes     []string `json:"authorization_details_types,omitempty" doc:"Types of authorization_details it may send (RFC 9396)."`
	ExchangeClients []string `json:"token_exchange_clients,omitempty" doc:"Clients whose tokens it may exchange (RFC 8693), besides its own."`
	Impersonates    bool     `json:"token_exchange_impersonation,omitempty" doc:"Exchanged tokens may leave out who acts (no act claim)."`
	TrustedIssuers  []string `json:"jwt_bearer_issuers,omitempty" doc:"Names of issuers (jwt_issuers) whose assertions it may present (RFC 7523)."`
}

// clone copies the lists, so that a draft shares nothing with a snapshot.
func (p Protocol) clone() Protocol {
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		if list, ok := v.Field(i).Interface().([]string); ok {
			v.Field(i).Set(reflect.ValueOf(slices.Clone(list)))
		}
	}
	if p.DefaultMaxAge != nil {
		age := *p.DefaultMaxAge
		p.DefaultMaxAge = &age
	}
	return p
}

// Setting is one member of Protocol, for reference pages and error texts.
type Setting struct{ Name, Type, Doc string }

// Settings lists the members of Protocol in their order.
func Settings() []Setting {
	var out []Setting
	for f := range fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind := "text"
		switch {
		case f.Type.Kind() == reflect.Bool:
			kind = "true or false"
		case f.Type.Kind() == reflect.Slice:
			kind = "list"
		case f.Type.Kind() == reflect.Pointer:
			kind = "number"
		}
		out = append(out, Setting{name, kind, f.Tag.Get("doc")})
	}
	return out
}

func fields() func(func(reflect.StructField) bool) {
	t := reflect.TypeFor[Protocol]()
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// Merge takes over the members of a JSON object, strictly: an unknown name or a wrong type is an
// error that names it. What the object does not name stays.
func (p *Protocol) Merge(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return errors.New("is not a map of settings")
	}
	known := Settings()
	for name := range members {
		if !slices.ContainsFunc(known, func(s Setting) bool { return s.Name == name }) {
			return fmt.Errorf("has no setting %q: docs/clients.md lists them", shown(name))
		}
	}
	next := p.clone()
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&next); err != nil {
		return typeError(err)
	}
	i := 0
	for f := range fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if string(members[name]) == "null" { // back to the default; the decoder leaves it alone
			reflect.ValueOf(&next).Elem().Field(i).SetZero()
		}
		i++
	}
	*p = next
	return nil
}

// Set takes over one member as it is written on a command line: lists with commas between.
func (p *Protocol) Set(name, value string) error {
	i := slices.IndexFunc(Settings(), func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no setting %q: docs/clients.md lists them", shown(name))
	}
	var raw any = value
	switch Settings()[i].Type {
	case "list":
		list := []string{}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		raw = list
	case "true or false", "number":
		if raw = json.RawMessage(value); value == "" {
			raw = nil
		}
	}
	object, err := json.Marshal(map[string]any{name: raw})
	if err != nil {
		return fmt.Errorf("%s must be %s", name, Settings()[i].Type)
	}
	return p.Merge(object)
}

func typeError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("has a %s at %s, where that is not possible", wrong.Value, wrong.Field)
	}
	return err
}
