package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"signet/internal/oauth/client"
)

// Tokens is a token response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`

	IssuedTokenType string          `json:"issued_token_type,omitempty"`     // RFC 8693 §2.2.1
	Details         json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 §7
}

// actor is the act claim (RFC 8693 §4.1).
type actor struct {
	Subject  string `json:"sub"`
	ClientID string `json:"client_id,omitempty"`
	Act      *actor `json:"act,omitempty"`
}

// GrantTypes lists the grants on offer at the token endpoint. There is no password grant and never
// will be.
func (e *Engine) GrantTypes() []string {
	out := []string{client.GrantAuthorizationCode, client.GrantRefreshToken, client.GrantClientCredentials}
	for _, more := range []string{client.GrantDeviceCode, client.GrantCIBA, client.GrantTokenExchange, client.GrantJWTBearer} {
		if e.grants[more] != nil {
			out = append(out, more)
		}
	}
	return out
}

// offers reports whether a grant is on offer at the token endpoint.
func (e *Engine) offers(grant string) bool { return e.grants[grant] != nil }

// flow is one token request on its way through fosite, which carries it as its session.
type flow struct {
	stub
	grantType string
	form      url.Values
	client    *client.Client
	index     *scopeIndex
	now       time.Time

	grant     grantRow // zero for machine clients
	spends    string   // hash of the code or refresh token that this request uses up
	successor string   // inside the grace window: the token that was issued already
	scopes    []string // of this request, within the grant
	asked     []string // resources asked for in this request
	nonce     bool     // the ID token repeats the nonce
	code      string   // goes along with the ID token (c_hash)

	call    *Call
	held    confirmation    // what the refresh token's holder must prove
	proven  confirmation    // what this request proves about its sender
	confirm confirmation    // what the tokens are bound to
	act     *actor          // who acts for the subject (RFC 8693 §4.1)
	via     []string        // who impersonated the subject on the way, and is not in act
	details json.RawMessage // authorization details of this request (RFC 9396)
	loose   *looseGrant     // to be written with the answer
	silent  bool            // nobody is added to act (RFC 8693 §1.1, impersonation)

	out Tokens
}

// Token answers a token request (RFC 6749 §3.2). An answer means that everything it promises is
// committed.
func (e *Engine) Token(ctx context.Context, call Call) (*Tokens, error) {
	h, form := call.Header, call.Form
	if duplicate(form) != "" {
		return nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	f := &flow{grantType: form.Get("grant_type"), form: form, now: e.clock.Now(), call: &call}
	switch {
	case f.grantType == "":
		return nil, refuse(InvalidRequest, "grant_type is missing.")
	case !e.offers(f.grantType):
		return nil, refuse(UnsupportedGrantType, "The grant type is not supported.")
	}
	var err error
	if f.index, err = e.index(ctx); err != nil {
		return nil, err
	}
	if err := e.prove(ctx, f); err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, flowKey{}, f)
	// fosite wants a request; the body was read and judged at the door, so it gets the result.
	r := &http.Request{Method: http.MethodPost, Header: http.Header{"Authorization": h["Authorization"]}, Form: form, PostForm: form}
	if len(h["Authorization"]) == 0 {
		r.Header = http.Header{}
	}
	ar, err := e.provider.NewAccessRequest(ctx, r, f)
	if err != nil {
		return nil, ownError(err)
	}
	if err := e.bind(ctx, f); err != nil {
		return nil, err
	}
	if _, err := e.provider.NewAccessResponse(ctx, ar); err != nil {
		return nil, ownError(err)
	}
	return &f.out, nil
}

// ownError keeps fosite's errors out of answers: their texts tell too much and some of their codes
// are registered nowhere (fosite trap 15). Everything a client can cause is caught before
// its core could object, so what arrives here is a plain invalid_request at most.
func ownError(err error) error {
	var theirs *fosite.RFC6749Error
	var ours *Error
	if errors.As(err, &ours) || !errors.As(err, &theirs) {
		return err
	}
	if theirs.CodeField < 500 {
		return refuse(InvalidRequest, "The request is malformed.").because(theirs)
	}
	return refuse(ServerError, "An internal error occurred.").because(theirs)
}

// own is the part that all grant handlers share with fosite's handler protocol.
type own struct{}

func (own) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool             { return false }
func (own) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool { return true }

// flowOf returns the flow and checks that its client may use the grant at all (RFC 6749 §5.2).
func flowOf(ar fosite.AccessRequester) (*flow, error) {
	f, ok := ar.GetSession().(*flow)
	if !ok || f.client == nil {
		return nil, refuse(ServerError, "An internal error occurred.")
	}
	if !f.client.AllowsGrant(f.grantType) {
		return nil, refuse(UnauthorizedClient, "The application is not registered for this grant type.")
	}
	return f, nil
}

// finish hands the answer to fosite's responder, which insists on one.
func (f *flow) finish(out fosite.AccessResponder) {
	out.SetAccessToken(f.out.AccessToken)
	out.SetTokenType(f.out.TokenType)
}

// invalidGrant is the one answer for a code or refresh token that is unknown, foreign, used,
// expired or revoked (RFC 6749 §5.2): which of them is for the log.
func invalidGrant(why string) *Error {
	return refuse(InvalidGrant, "The code or token is invalid, expired, used or revoked.").because(errors.New(why))
}

// within narrows scope, resource and authorization details to what this request asks for. Widening is refused; what was
// left out stays in the grant (RFC 6749 §6, RFC 8707 §2.2).
func (f *flow) within(e *Engine, scopes []string) error {
	f.scopes = scopes
	if text := f.form.Get("scope"); text != "" && f.grantType == client.GrantRefreshToken {
		asked, ok := parseScope(text)
		if !ok {
			return refuse(InvalidScope, "scope is malformed or too long.")
		}
		for _, s := range asked {
			if !slices.Contains(scopes, s) {
				return refuse(InvalidScope, "scope exceeds what was granted.")
			}
		}
		f.scopes = asked
	}
	asked, ok := parseResources(f.form["resource"])
	if !ok {
		return refuse(InvalidTarget, "resource is not an absolute URI without fragment.")
	}
	granted, _ := f.index.audience(e.issuer, f.client, scopes, f.grant.Resources, nil)
	for _, r := range asked {
		if !slices.Contains(granted, r) {
			return refuse(InvalidTarget, "resource exceeds what was granted.")
		}
	}
	f.asked = asked
	if len(f.grant.Params.Details) == 0 && f.form.Get("authorization_details") == "" {
		return nil
	}
	aud, _ := f.index.audience(e.issuer, f.client, f.scopes, f.grant.Resources, asked)
	return e.settleDetails(f, f.grant.Params.Details, aud)
}
