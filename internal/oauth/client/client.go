package client

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/id"
)

// Kind says what sort of application a client is. It is fixed at creation and decides which
// metadata is possible.
type Kind string

// The kinds.
const (
	Web     Kind = "web"     // runs on a server, can keep a secret
	SPA     Kind = "spa"     // runs in the browser, public
	Native  Kind = "native"  // runs on a device, public
	Machine Kind = "machine" // acts for itself, without a user
)

// Kinds lists all kinds, in the order in which help texts name them.
func Kinds() []Kind { return []Kind{Web, SPA, Native, Machine} }

// Status says whether a client may be used.
type Status string

// The states of a client.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// AuthMethod is how a client proves itself at the token endpoint (RFC 7591 §2).
type AuthMethod string

// The methods.
const (
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
	SecretJWT     AuthMethod = "client_secret_jwt"           // OIDC Core §9
	TLS           AuthMethod = "tls_client_auth"             // RFC 8705 §2.1
	SelfSignedTLS AuthMethod = "self_signed_tls_client_auth" // RFC 8705 §2.2
	None          AuthMethod = "none"
)

// Owners of a row.
const (
	ManagedByAdmin    = "admin"
	ManagedByFile     = "file"
	ManagedByItself   = "registration" // RFC 7591: whoever holds its registration access token
	ManagedByDocument = "document"     // a client ID metadata document, which is its client_id
)

// Access token formats.
const (
	FormatJWT    = "jwt"    // RFC 9068, no database row
	FormatOpaque = "opaque" // a row, revocable at once everywhere
)

// Grant types (RFC 6749, as registered by RFC 7591 §2).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantImplicit          = "implicit"                                        // OIDC Core §3.2, only with legacy response types
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	GrantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523
	GrantCIBA              = "urn:openid:params:grant-type:ciba"               // OpenID Connect CIBA §4
)

// Metadata is what an operator decides about a client. Lifetimes of zero mean the server's
// default; RefreshGrace is the exception: its zero means no grace.
type Metadata struct {
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	GrantTypes             []string
	ResponseTypes          []string
	AuthMethod             AuthMethod
	Scopes                 []string
	Audiences              []string // APIs it may ask tokens for (RFC 8707)
	JWKS                   json.RawMessage
	JWKSURI                string
	FirstParty             bool // ours: no consent asked
	RequirePKCE            bool
	RequireMFA             bool // nobody gets in with less than two factors
	AccessTokenFormat      string
	IDTokenAlg             string // "" is ES256
	AccessTokenTTL         time.Duration
	RefreshIdleTTL         time.Duration
	RefreshAbsoluteTTL     time.Duration
	RefreshGrace           time.Duration // 0 to 60 s in which a refresh token may be used again
	AllowedOrigins         []string      // CORS; for an SPA, none means those of its redirect URIs
	ClientURI              string
	LogoURI                string
	PolicyURI              string
	TOSURI                 string
	// Quarantined marks a client that registered itself with nobody's leave: it is shown as
	// unverified and goes again if nobody uses it.
	Quarantined bool
	// PerInstance marks a client that registered itself from one installation: what it proves itself
	// with is in that installation alone, so a native client may have it (RFC 8252 §8.5).
	PerInstance bool
	// OperatorMembers names what an operator set of a client that registered itself, see operator.go;
	// nil where that was not noted yet.
	OperatorMembers []string

	Protocol
}

// Client is a registered application. A *Client from Service is an immutable snapshot: read
// it from any goroutine, change nothing in it.
type Client struct {
	ID        id.Client
	Name      string
	Kind      Kind
	Status    Status
	ManagedBy string
	Metadata  Metadata
	CreatedAt time.Time
	UpdatedAt time.Time

	secrets []secretHash
	keys    jose.JSONWebKeySet // parsed Metadata.JWKS
	until   time.Time          // of a document: when it is to be read again
	stored  bool               // a document that has a row
}

// Active reports whether the client may be used at all.
func (c *Client) Active() bool { return c.Status == Active }

// Public reports whether the client cannot keep a secret (RFC 6749 §2.1).
func (c *Client) Public() bool { return c.Metadata.AuthMethod == None }

// Unvetted reports whether no operator made the client, or let it in: it registered itself, or is a document.
func (c *Client) Unvetted() bool {
	return c.Metadata.Quarantined || c.ManagedBy == ManagedByDocument
}

// Strange reports whether nobody let the client in so far: no operator looked at it, or nobody ever came
// in through its document.
func (c *Client) Strange() bool {
	return c.Metadata.Quarantined || c.ManagedBy == ManagedByDocument && !c.stored
}

// AllowsGrant reports whether the client registered the grant type.
func (c *Client) AllowsGrant(grant string) bool { return slices.Contains(c.Metadata.GrantTypes, grant) }

// AllowsScope reports whether the client may ask for the scope, compared exactly.
func (c *Client) AllowsScope(scope string) bool { return slices.Contains(c.Metadata.Scopes, scope) }

// AllowsAudience reports whether the client may ask tokens for the API (RFC 8707 §2).
func (c *Client) AllowsAudience(aud string) bool { return slices.Contains(c.Metadata.Audiences, aud) }

// TrustsIssuer reports whether the client may present assertions of the issuer (RFC 7523).
func (c *Client) TrustsIssuer(name string) bool {
	return slices.Contains(c.Metadata.TrustedIssuers, name)
}

// AllowsRedirect reports whether uri is a redirect URI of the client, see matchURI.
func (c *Client) AllowsRedirect(uri string) bool {
	return matchAny(c.Metadata.RedirectURIs, uri, c.Kind == Native)
}

// Frame is the address that signs a browser out of the application from a frame, "" where there is none.
// A row from before such addresses were refused may have one that no page can be limited to (frameable):
// it is not usable.
func (c *Client) Frame() (uri string, usable bool) {
	uri = c.Metadata.FrontchannelLogoutURI
	return uri, uri != "" && frameable(uri)
}

// AllowsPostLogout reports whether uri may follow a logout (OIDC RP-Initiated Logout §3).
func (c *Client) AllowsPostLogout(uri string) bool {
	return matchAny(c.Metadata.PostLogoutRedirectURIs, uri, c.Kind == Native)
}
