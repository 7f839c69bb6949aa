package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"signet/internal/platform/id"
)

type scopeIndex struct{}

func (e *Engine) wire() { e.provider = fosite.NewOAuth2Provider(nil, nil) }

// ParseAuthorize checks an authorization request. The error is always *Error.
func (e *Engine) ParseAuthorize(ctx context.Context, form url.Values) (*Request, error) { panic("wip") }

// Issue answers with a code.
func (e *Engine) Issue(ctx context.Context, r *Request, l Login) (*Response, error) { panic("wip") }

// MissingConsent returns what the user was never asked for.
func (e *Engine) MissingConsent(ctx context.Context, r *Request, user id.User) (scopes, resources []string, err error) {
	panic("wip")
}

// Approve records consent.
func (e *Engine) Approve(ctx context.Context, r *Request, user id.User) error { panic("wip") }

// RevokeSession revokes every grant of a session.
func (e *Engine) RevokeSession(ctx context.Context, s id.Session) error { panic("wip") }

// RevokeClient withdraws the consent and every grant of a user for a client.
func (e *Engine) RevokeClient(ctx context.Context, user id.User, c id.Client) error { panic("wip") }

// Application is a client that may act for a user.
type Application struct {
	Client     id.Client
	Name       string
	Scopes     []string
	GrantedAt  time.Time
	LastUsedAt time.Time
}

// Applications lists what may act for a user.
func (e *Engine) Applications(ctx context.Context, user id.User) ([]Application, error) { panic("wip") }

// Logout is a parsed logout request.
type Logout struct {
	Session     id.Session
	User        id.User
	Client      id.Client
	RedirectURI string
	State       string
	UILocales   []string
	Trusted     bool
}

// ParseLogout checks a logout request.
func (e *Engine) ParseLogout(ctx context.Context, form url.Values) (*Logout, error) { panic("wip") }

// Location is where the browser goes after the logout, "" for our own page.
func (l *Logout) Location() string { panic("wip") }

// DeleteExpired sweeps.
func (e *Engine) DeleteExpired(ctx context.Context, limit int) (int64, error) { panic("wip") }

// Tokens is a token response.
type Tokens struct{}

// Token answers a token request.
func (e *Engine) Token(ctx context.Context, h http.Header, form url.Values) (*Tokens, error) {
	panic("wip")
}
