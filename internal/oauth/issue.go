package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

func isNoRows(err error) bool { return errors.Is(err, store.ErrNoRows) }

// Issue answers an authorization request with a code, or what else its response type names. It is
// the only way to one. It reads the client and its registration anew, and its single write succeeds
// only while the user is active, the session is live and the consent stands: a journey may be days
// older than its last click. An error that the application may hear carries its Redirect.
func (e *Engine) Issue(ctx context.Context, r *Request, l Login) (*Response, error) {
	p, err := e.prepare(ctx, r, l)
	if err != nil {
		return nil, r.refusal(err)
	}
	redirect, err := url.Parse(r.RedirectURI)
	if err != nil {
		return nil, refuse(InvalidRequest, "The redirect_uri is malformed.").because(err)
	}
	ar := fosite.NewAuthorizeRequest()
	rt := cmp.Or(r.ResponseType, typeCode)
	ar.ResponseTypes = strings.Fields(rt)
	ar.RedirectURI, ar.State = redirect, r.State
	ar.ResponseMode, ar.DefaultResponseMode = fosite.ResponseModeType(r.ResponseMode), fosite.ResponseModeType(defaultMode(rt))
	ar.Client = clientView{p.client}
	ar.RequestedScope, ar.GrantedScope = r.Scopes, p.scopes
	ar.RequestedAudience, ar.GrantedAudience = r.Resources, p.resources
	ar.RequestedAt = p.now
	var answer fosite.AuthorizeResponder
	err = e.once(ctx, r, func(ctx context.Context) (err error) {
		// Before the grant: else a sweep of unused clients could take it along.
		if err = e.clients.Used(ctx, p.client); err != nil {
			return err
		}
		answer, err = e.provider.NewAuthorizeResponse(ctx, ar, p)
		return err
	})
	if err != nil {
		return nil, r.refusal(err)
	}
	// RFC 9207 §2 and RFC 6749 §4.1.2: iss always, state if it was sent. fosite's own writer
	// would add an empty state.
	params := answer.GetParameters()
	e.addSessionState(params, r, l.Session)
	return e.respond(r.target(), params), nil
}

// refusal says that the application may hear of an error, unless it is a fault of ours or the
// application itself is gone.
func (r *Request) refusal(err error) *Error {
	out := AsError(err)
	if out.Code != TemporarilyUnavailable && out.Code != ServerError && out.Code != InvalidClient {
		out.Redirect = r.target()
	}
	return out
}

// issuance is what a code is going to stand for.
type issuance struct {
	stub
	client    *client.Client
	index     *scopeIndex
	request   *Request
	login     Login
	scopes    []string
	resources []string
	consent   int64 // version of the consent that covers it; 0 = none needed
	now       time.Time

	grant grantDraft
	flow  *flow   // what goes through the browser beside the code; nil where that is nothing
	row   *opaque // of the access token that does
}

// prepare reads everything that may have changed since the request was parsed.
func (e *Engine) prepare(ctx context.Context, r *Request, l Login) (*issuance, error) {
	c, err := e.clients.Get(ctx, r.ClientID)
	if errs.Is(err, errs.NotFound) || err == nil && (!c.Active() || !c.AllowsRedirect(r.RedirectURI)) {
		return nil, noClient()
	}
	if err != nil {
		return nil, err
	}
	if err := e.mayAnswer(c, r); err != nil {
		return nil, err
	}
	if r.ACREssential && !slices.Contains(r.ACRValues, l.ACR) || !e.strongEnough(c, l) { // OIDC Core §5.5.1.1
		return nil, unmet()
	}
	x, err := e.index(ctx)
	if err != nil {
		return nil, err
	}
	p := &issuance{client: c, index: x, request: r, login: l, now: e.clock.Now(), scopes: x.narrow(c, r.Scopes)}
	if len(p.scopes) == 0 {
		return nil, refuse(InvalidScope, "None of the scopes is open to this application any more.")
	}
	for _, res := range r.Resources {
		if !x.target(e.issuer, c, res) {
			return nil, refuse(InvalidTarget, "One of the resources is not open to this application any more.")
		}
	}
	p.resources = r.Resources
	if p.consent, err = e.consentVersion(ctx, c, r, l.User); err != nil {
		return nil, err
	}
	return p, e.front(ctx, p)
}

// noClient is the answer where an application is gone that was there when the request was checked.
// It is for a page: nobody is left to be told.
func noClient() *Error {
	out := refuse(InvalidClient, "This application is not registered here any more, or is switched off.")
	out.Status = http.StatusBadRequest
	return out
}

func (e *Engine) accessTTL(c *client.Client) time.Duration {
	return or(c.Metadata.AccessTokenTTL, e.ttl.Access)
}

func or(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

// stub makes a type a fosite.Session. fosite's core only carries the session from request to
// handler; what its stock handlers would store in it lives in our rows.
type stub struct{}

func (stub) SetExpiresAt(fosite.TokenType, time.Time) {}
func (stub) GetExpiresAt(fosite.TokenType) time.Time  { return time.Time{} }
func (stub) GetUsername() string                      { return "" }
func (stub) GetSubject() string                       { return "" }
func (s stub) Clone() fosite.Session                  { return s }
