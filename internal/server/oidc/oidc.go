// Package oidc has the protocol endpoints: discovery, JWKS, authorize, token, userinfo,
// introspection, revocation and logout. It parses HTTP, calls internal/oauth and writes the
// answers; it holds no rules and no SQL. internal/app mounts its routes.
package oidc

import (
	"errors"
	"net/http"
	"slices"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/registration"
	"signet/internal/server"
)

// Pages renders what people see of the protocol; internal/server/pages is it.
type Pages interface {
	// Authorize takes over a checked authorization request: it issues at once or begins a journey.
	Authorize(w http.ResponseWriter, r *http.Request, req *oauth.Request) error
	// Respond sends an authorization response to the application in its mode.
	Respond(w http.ResponseWriter, r *http.Request, resp *oauth.Response) error
	// Refused shows an error that the application must not be told by redirect.
	Refused(w http.ResponseWriter, r *http.Request, err *oauth.Error) error
	// Logout takes over a checked logout request: it asks, ends the session, goes on.
	Logout(w http.ResponseWriter, r *http.Request, l *oauth.Logout) error
}

// Deps is what the endpoints need.
type Deps struct {
	Engine  *oauth.Engine
	Keys    *keys.Service
	Clients *client.Service
	Pages   Pages
	// Registration lets clients register themselves; nil: none does.
	Registration *registration.Service
	// UILocales are the languages that the pages speak (BCP 47), for discovery.
	UILocales []string
	// CertificateHeader is the header in which a trusted proxy passes on the client's certificate;
	// "" for none.
	CertificateHeader string
}

// Endpoints is the set of handlers.
type Endpoints struct {
	engine       *oauth.Engine
	keys         *keys.Service
	clients      *client.Service
	pages        Pages
	metadata     document
	certificates string // header that a proxy passes them in
	registration *registration.Service
}

// New returns the endpoints, with the discovery document rendered.
func New(d Deps) (*Endpoints, error) {
	if d.Engine == nil || d.Keys == nil || d.Clients == nil || d.Pages == nil {
		return nil, errors.New("oidc: missing dependency")
	}
	e := &Endpoints{engine: d.Engine, keys: d.Keys, clients: d.Clients, pages: d.Pages, certificates: d.CertificateHeader}
	e.registration = d.Registration
	var err error
	if e.metadata, err = render(e.describe(d.UILocales)); err != nil {
		return nil, err
	}
	return e, nil
}

// The paths of the endpoints, below the issuer.
const (
	pathConfiguration = "/.well-known/openid-configuration"       // OIDC Discovery §4
	pathMetadata      = "/.well-known/oauth-authorization-server" // RFC 8414 §3
	pathJWKS          = "/.well-known/jwks.json"
	pathAuthorize     = "/oauth2/authorize"
	pathToken         = "/oauth2/token"
	pathUserinfo      = "/oauth2/userinfo"
	pathIntrospect    = "/oauth2/introspect"
	pathRevoke        = "/oauth2/revoke"
	pathLogout        = "/oauth2/logout"
)

// maxForm limits the body of protocol requests: an assertion, a token and a few words.
const maxForm = 32 << 10

// The kinds of rows.
func browser(method, path string, h server.HandlerFunc) server.Route {
	return server.Route{Method: method, Path: path, Area: server.Browser, MaxBody: maxForm, Handler: h, CrossSite: method == http.MethodPost}
}

func protocol(method, path string, h server.HandlerFunc) server.Route {
	return server.Route{Method: method, Path: path, Area: server.Protocol, MaxBody: maxForm, Handler: h}
}

func documented(path string, h server.HandlerFunc) server.Route {
	return server.Route{Method: http.MethodGet, Path: path, Area: server.Protocol, Document: true, Handler: h}
}

// Routes returns the route table rows of the endpoints.
func (e *Endpoints) Routes() []server.Route {
	return slices.Concat(e.coreRoutes(), e.pushRoutes(), e.grantRoutes(), e.logoutRoutes(), e.registrationRoutes())
}

func (e *Endpoints) coreRoutes() []server.Route {
	return []server.Route{
		documented(pathConfiguration, e.configuration),
		documented(pathMetadata, e.configuration),
		documented(pathJWKS, e.jwks),
		protocol(http.MethodOptions, pathConfiguration, preflightAny),
		protocol(http.MethodOptions, pathMetadata, preflightAny),
		protocol(http.MethodOptions, pathJWKS, preflightAny),

		browser(http.MethodGet, pathAuthorize, e.authorize),
		browser(http.MethodPost, pathAuthorize, e.repost(pathAuthorize)),
		browser(http.MethodGet, pathLogout, e.logout),
		browser(http.MethodPost, pathLogout, e.repost(pathLogout)),

		protocol(http.MethodPost, pathToken, e.answer(e.token)),
		protocol(http.MethodOptions, pathToken, e.preflight("POST")),
		protocol(http.MethodGet, pathUserinfo, e.answer(e.userinfo)),
		protocol(http.MethodPost, pathUserinfo, e.answer(e.userinfo)),
		protocol(http.MethodOptions, pathUserinfo, e.preflight("GET, POST")),
		protocol(http.MethodPost, pathRevoke, e.answer(e.revoke)),
		protocol(http.MethodOptions, pathRevoke, e.preflight("POST")),
		// No CORS: introspection is for confidential clients, which are not in browsers.
		protocol(http.MethodPost, pathIntrospect, answer(e.introspect)),
	}
}
