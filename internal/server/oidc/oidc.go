// Package oidc has the protocol endpoints: discovery, JWKS, authorize, token, userinfo,
// introspection, revocation and logout. It parses HTTP, calls internal/oauth and writes the
// answers; it holds no rules and no SQL. internal/app mounts its routes.
package oidc

import (
	"errors"
	"net/http"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
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
	// UILocales are the languages that the pages speak (BCP 47), for discovery.
	UILocales []string
}

// Endpoints is the set of handlers.
type Endpoints struct {
	d Deps
}

// New returns the endpoints.
func New(d Deps) (*Endpoints, error) {
	if d.Engine == nil || d.Keys == nil || d.Clients == nil || d.Pages == nil {
		return nil, errors.New("oidc: missing dependency")
	}
	return &Endpoints{d: d}, nil
}

// Routes returns the route table rows of the endpoints.
func (e *Endpoints) Routes() []server.Route { panic("wip") }

// Fail answers an error of a Protocol route; it is the area's Fail.
func (e *Endpoints) Fail(w http.ResponseWriter, r *http.Request, err error) { panic("wip") }
