package client

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	josejson "github.com/go-jose/go-jose/v4/json"

	"signet/internal/platform/id"
)

// Terms bound what a client may have that describes itself: one that registers (RFC 7591) and one
// whose client_id is a document.
type Terms struct {
	Scopes      []string // that it may have; nil: openid profile email offline_access
	Audiences   []string // APIs that it may ask tokens for besides those of its scopes
	GrantTypes  []string // nil: those with which people come in
	RequirePKCE bool     // of confidential clients too
	Legacy      bool     // response types other than code
	DetailTypes bool     // it may say which authorization_details it sends
}

// DefaultGrantTypes are those of terms that name none: people come in with them.
func DefaultGrantTypes() []string {
	return []string{GrantAuthorizationCode, GrantRefreshToken, GrantImplicit, GrantDeviceCode}
}

// KnownGrantType reports whether any kind of client may have the grant type.
func KnownGrantType(grant string) bool {
	for _, known := range grantsOf {
		if slices.Contains(known, grant) {
			return true
		}
	}
	return false
}

// OpenScopes are the scopes of the terms.
func (t Terms) OpenScopes() []string {
	if t.Scopes == nil {
		return []string{"openid", "profile", "email", "offline_access"}
	}
	return t.Scopes
}

func (t Terms) grantTypes() []string {
	if t.GrantTypes == nil {
		return DefaultGrantTypes()
	}
	return t.GrantTypes
}

// MayHave returns the grant types that the client may register anew: those of the terms, and those
// that it has.
func (c *Client) MayHave(t Terms) []string {
	return slices.Concat(t.grantTypes(), c.Metadata.GrantTypes)
}

// Registration is client metadata as an application wrote it, judged by Terms.
type Registration struct {
	Name     string
	Kind     Kind
	Metadata Metadata
	// ClientID, Secret and Statement are client_id, client_secret and software_statement where they
	// stand in the text: a document must name itself, an update its client (RFC 7592 §2.2).
	ClientID, Secret, Statement string
	// Managed says that the text has a member that only the server may set (RFC 7592 §2.2).
	Managed bool
}

// written are the members of RFC 7591 §2 and OIDC Registration §2 that are not in Protocol.
type written struct {
	ClientID        string          `json:"client_id"`
	Secret          string          `json:"client_secret"`
	Statement       string          `json:"software_statement"`
	Name            string          `json:"client_name"`
	ApplicationType string          `json:"application_type"`
	RedirectURIs    []string        `json:"redirect_uris"`
	PostLogoutURIs  []string        `json:"post_logout_redirect_uris"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types"`
	AuthMethod      AuthMethod      `json:"token_endpoint_auth_method"`
	Scope           *string         `json:"scope"`
	JWKS            json.RawMessage `json:"jwks"`
	JWKSURI         string          `json:"jwks_uri"`
	IDTokenAlg      string          `json:"id_token_signed_response_alg"`
	ClientURI       string          `json:"client_uri"`
	LogoURI         string          `json:"logo_uri"`
	PolicyURI       string          `json:"policy_uri"`
	TOSURI          string          `json:"tos_uri"`
}

// granted are settings of ours that only an operator decides on. To an application they are members
// that nobody understands, and those are ignored (RFC 7591 §2).
var granted = []string{"token_exchange_clients", "token_exchange_impersonation", "jwt_bearer_issuers"}

// members reads the text into its members. A member that stands twice is refused: two readers could
// take either. One that is null counts as left out (RFC 7592 §2.2).
func members(raw []byte) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := josejson.Unmarshal(raw, &all); err != nil || all == nil {
		var p Problems
		p.add("client_metadata", "is not one JSON object, with each member once")
		return nil, p.err()
	}
	for name, value := range all {
		if string(value) == "null" {
			delete(all, name)
		}
	}
	return all, nil
}

// Override puts the members of a verified software statement before those of the request: "…claims
// conveyed in the software statement MUST take precedence" (RFC 7591 §2.3).
func Override(request, statement []byte) ([]byte, error) {
	all, err := members(request)
	if err != nil {
		return nil, err
	}
	said, err := members(statement)
	if err != nil {
		return nil, err
	}
	for name, value := range said {
		all[name] = value
	}
	return json.Marshal(all)
}

// ReadRegistration reads what an application says of itself. What it leaves out gets the default of
// RFC 7591 §2 and OIDC Registration §2, not that of an operator's registration; what is asked for
// beyond the terms is refused, or left out where the rest still makes sense (grant types, scopes:
// RFC 7591 §3.2.1 lets a server replace them, and the answer says what was registered). document
// says that the text is a client ID metadata document, which cannot share a secret. All problems
// are reported at once, errs.Invalid with Problems.
func ReadRegistration(raw []byte, t Terms, document bool) (Registration, error) {
	all, err := members(raw)
	if err != nil {
		return Registration{}, err
	}
	var p Problems
	var w written
	var proto Protocol
	decode(all, &w, &p)
	for _, name := range granted {
		delete(all, name)
	}
	decode(all, &proto, &p)
	if len(p) > 0 {
		return Registration{}, p.err()
	}
	if len(proto.DetailTypes) > 0 && !t.DetailTypes {
		p.add("authorization_details_types", "are for clients that an operator let in")
	}
	if w.AuthMethod == "" {
		w.AuthMethod = SecretBasic // RFC 7591 §2
		if document {
			w.AuthMethod = None
		}
	}
	w.fill(t)
	out := Registration{ClientID: w.ClientID, Secret: w.Secret, Statement: w.Statement, Managed: managed(all)}
	out.Kind = w.kind(&p)
	out.Metadata = w.metadata(out.Kind, t, proto, &p)
	out.Name = w.name()
	checkName(out.Name, &p)
	if document && out.Metadata.UsesSecret() {
		p.add("token_endpoint_auth_method", "needs a secret, which a document cannot have")
	}
	if err := out.Metadata.Validate(out.Kind); err != nil {
		p = append(p, ProblemsOf(err)...)
	}
	return out, p.err()
}

// decode reads the members that to has fields for. A wrong type is a problem of that member.
func decode(all map[string]json.RawMessage, to any, p *Problems) {
	raw, err := json.Marshal(all)
	if err == nil {
		err = josejson.Unmarshal(raw, to)
	}
	if err == nil {
		return
	}
	for name, value := range all { // which one it was
		one, merr := json.Marshal(map[string]json.RawMessage{name: value})
		if merr == nil && josejson.Unmarshal(one, to) != nil {
			p.add(shown(name), "has a wrong type")
		}
	}
}

// managed finds what a request may not set (RFC 7592 §2.2).
func managed(all map[string]json.RawMessage) bool {
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, found := all[name]; found {
			return true
		}
	}
	return false
}

// fill sets what depends on what else was said.
func (w *written) fill(t Terms) {
	w.Name = strings.TrimSpace(w.Name)
	for i, rt := range w.ResponseTypes {
		w.ResponseTypes[i] = canonicalType(rt)
	}
	if w.GrantTypes == nil {
		w.GrantTypes = []string{GrantAuthorizationCode} // RFC 7591 §2
		if slices.ContainsFunc(w.ResponseTypes, func(rt string) bool { return rt != "code" }) {
			w.GrantTypes = append(w.GrantTypes, GrantImplicit)
		}
	}
	if w.ResponseTypes == nil && slices.Contains(w.GrantTypes, GrantAuthorizationCode) {
		w.ResponseTypes = []string{"code"}
	}
	if !t.Legacy || !slices.ContainsFunc(w.ResponseTypes, func(rt string) bool { return rt != "code" }) {
		w.GrantTypes = without(w.GrantTypes, GrantImplicit)
	}
}

// canonicalType writes the words of a response type in the order in which it is registered; their
// order has no meaning (RFC 6749 §3.1.1).
func canonicalType(rt string) string {
	words := strings.Fields(rt)
	slices.Sort(words)
	for _, known := range ResponseTypes() {
		k := strings.Fields(known)
		slices.Sort(k)
		if slices.Equal(words, k) {
			return known
		}
	}
	return rt
}

func without(list []string, drop ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(drop, s) })
}

// kind derives the sort of application. A public one is native if it says so, or if it is reached in
// a way in which only programs on a device are.
func (w *written) kind(p *Problems) Kind {
	users := slices.ContainsFunc(w.GrantTypes, func(g string) bool {
		return slices.Contains([]string{GrantAuthorizationCode, GrantImplicit, GrantDeviceCode, GrantCIBA}, g)
	})
	local := slices.ContainsFunc(w.RedirectURIs, func(u string) bool { return !strings.HasPrefix(u, "https:") })
	private := slices.ContainsFunc(w.RedirectURIs, func(u string) bool {
		return !strings.HasPrefix(u, "https:") && !strings.HasPrefix(u, "http:")
	})
	switch {
	case !slices.Contains([]string{"", "web", "native"}, w.ApplicationType):
		p.add("application_type", "is %q, must be web or native", shown(w.ApplicationType))
		return Web
	case !users && slices.Contains(w.GrantTypes, GrantClientCredentials):
		return Machine
	case w.ApplicationType == "native":
		return Native
	case w.ApplicationType == "" && (private || w.AuthMethod == None && (local || len(w.RedirectURIs) == 0)):
		return Native
	case w.AuthMethod == None:
		return SPA
	}
	return Web
}

func (w *written) metadata(kind Kind, t Terms, proto Protocol, p *Problems) Metadata {
	m := Defaults(kind)
	m.RedirectURIs, m.PostLogoutRedirectURIs = w.RedirectURIs, w.PostLogoutURIs
	m.ResponseTypes, m.AuthMethod = w.ResponseTypes, w.AuthMethod
	m.GrantTypes = slices.DeleteFunc(slices.Clone(w.GrantTypes), func(g string) bool {
		return !slices.Contains(t.grantTypes(), g) || !slices.Contains(grantsOf[kind], g)
	})
	if len(m.GrantTypes) == 0 {
		p.add("grant_types", "has none that is open to this client")
	}
	if !slices.Contains(m.GrantTypes, GrantRefreshToken) {
		m.RefreshGrace = 0
	}
	for _, rt := range w.ResponseTypes {
		if rt != "code" && !t.Legacy {
			p.add("response_types", "%q is not offered here", shown(rt))
		}
	}
	// OIDC Registration §2: what uses the implicit grant is reached over https, and not on localhost.
	if kind != Native && slices.Contains(m.GrantTypes, GrantImplicit) {
		for _, uri := range m.RedirectURIs {
			if u, err := url.Parse(uri); err == nil && (u.Scheme != "https" || u.Hostname() == "localhost") {
				p.add("redirect_uris", "%q is not https, or is localhost: not for the implicit grant", shown(uri))
			}
		}
	}
	m.Scopes = w.scopes(kind, t, m.GrantTypes, p)
	m.Audiences = slices.Clone(t.Audiences)
	m.RequirePKCE = t.RequirePKCE || w.AuthMethod == None
	m.PerInstance = kind == Native && w.AuthMethod != None
	if kind == Native && w.AuthMethod == None {
		// A program in a browser on this machine looks the same as one beside it (RFC 8252 §7.3), and
		// calls from its page.
		for _, uri := range m.RedirectURIs {
			if o := originOf(uri); o != "" && !slices.Contains(m.AllowedOrigins, o) {
				m.AllowedOrigins = append(m.AllowedOrigins, o)
			}
		}
	}
	m.JWKS, m.JWKSURI = w.JWKS, w.JWKSURI
	m.IDTokenAlg = w.IDTokenAlg
	if m.IDTokenAlg == "" && proto.Profile == "" && kind != Machine {
		m.IDTokenAlg = "RS256" // OIDC Registration §2
	}
	m.ClientURI, m.LogoURI, m.PolicyURI, m.TOSURI = w.ClientURI, w.LogoURI, w.PolicyURI, w.TOSURI
	m.Protocol = proto
	return m
}

// scopes is what was asked for within the terms; all of those if nothing was (RFC 7591 §2).
func (w *written) scopes(kind Kind, t Terms, grants []string, p *Problems) []string {
	open := slices.DeleteFunc(slices.Clone(t.OpenScopes()), func(s string) bool {
		return kind == Machine && slices.Contains(StandardScopes(), s) ||
			s == "offline_access" && !slices.Contains(grants, GrantRefreshToken)
	})
	if w.Scope == nil {
		return open
	}
	asked := strings.Fields(*w.Scope)
	if len(asked) == 0 {
		return open
	}
	out := slices.DeleteFunc(open, func(s string) bool { return !slices.Contains(asked, s) })
	if len(out) == 0 {
		p.add("scope", "has none that is open to this client")
	}
	return out
}

// name is what people see: what the application calls itself, or where it lives.
func (w *written) name() string {
	if w.Name != "" {
		return w.Name
	}
	for _, uri := range append([]string{w.ClientURI}, w.RedirectURIs...) {
		if u, err := url.Parse(uri); err == nil && u.Scheme == "https" && u.Host != "" {
			return u.Host
		}
	}
	return "Unnamed application"
}

// Description is the metadata of a client under the registered names.
type Description struct {
	ClientID        id.Client       `json:"client_id"`
	Name            string          `json:"client_name"`
	ApplicationType string          `json:"application_type"`
	RedirectURIs    []string        `json:"redirect_uris,omitempty"`
	PostLogoutURIs  []string        `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types"`
	AuthMethod      AuthMethod      `json:"token_endpoint_auth_method"`
	Scope           string          `json:"scope,omitempty"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
	IDTokenAlg      string          `json:"id_token_signed_response_alg,omitempty"`
	ClientURI       string          `json:"client_uri,omitempty"`
	LogoURI         string          `json:"logo_uri,omitempty"`
	PolicyURI       string          `json:"policy_uri,omitempty"`
	TOSURI          string          `json:"tos_uri,omitempty"`
	Protocol
}

// Describe says what is registered, as RFC 7591 §3.2.1 wants it told.
func (c *Client) Describe() Description {
	m := c.Metadata
	d := Description{
		ClientID: c.ID, Name: c.Name, ApplicationType: "web", RedirectURIs: m.RedirectURIs, PostLogoutURIs: m.PostLogoutRedirectURIs,
		GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, AuthMethod: m.AuthMethod, Scope: strings.Join(m.Scopes, " "),
		JWKS: m.JWKS, JWKSURI: m.JWKSURI, IDTokenAlg: m.IDTokenAlg, ClientURI: m.ClientURI, LogoURI: m.LogoURI,
		PolicyURI: m.PolicyURI, TOSURI: m.TOSURI, Protocol: m.Protocol,
	}
	if c.Kind == Native {
		d.ApplicationType = "native"
	}
	if d.ResponseTypes == nil {
		d.ResponseTypes = []string{}
	}
	d.ExchangeClients, d.Impersonates, d.TrustedIssuers = nil, false, nil // an operator's, see granted
	return d
}
