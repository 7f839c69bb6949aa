package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"signet/internal/oauth/client"
)

// authorization is a request in the middle of its checks.
type authorization struct {
	e      *Engine
	form   url.Values
	client *client.Client
	index  *scopeIndex
	req    Request
	target *Target // nil until the redirect URI is known to be the client's
	signed bool    // all parameters come from a signed request object
	push   *Call   // the request is being pushed (RFC 9126); nil at the authorization endpoint
}

// checks run in this order. Until checkRedirect has passed, an error is shown on our own page;
// from then on the application is told (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
var checks = []func(context.Context, *authorization) error{
	checkClient,
	checkRedirect,
	checkDuplicates,
	checkResponseMode,
	checkState,
	checkUnsupported,
	checkPushed,
	checkSigned,
	checkResponseType,
	checkPKCE,
	checkScope,
	checkResource,
	checkNonce,
	checkPrompt,
	checkMaxAge,
	checkPreferences,
	checkDefaults,
	checkHint,
	checkClaims,
	checkDetails,
	checkBinding,
	checkProfile,
}

// ParseAuthorize checks an authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2.1) and
// parses it once; no later step sees the raw form. The error is always an *Error, whose Redirect
// says whether the application may be told. Unknown parameters are ignored.
func (e *Engine) ParseAuthorize(ctx context.Context, form url.Values) (*Request, error) {
	u, err := e.unpack(ctx, form)
	if err != nil {
		return nil, e.outside(ctx, form, AsError(err))
	}
	if u.ready != nil {
		return u.ready, nil
	}
	return e.check(ctx, &authorization{e: e, form: u.form, signed: u.signed})
}

// check runs the list of checks over the parameters.
func (e *Engine) check(ctx context.Context, a *authorization) (*Request, error) {
	var err error
	if a.index, err = e.index(ctx); err != nil {
		return nil, AsError(err)
	}
	for _, check := range checks {
		if err := check(ctx, a); err != nil {
			out := AsError(err)
			// The code for a fault that is not the client's goes by redirect too, except that
			// a page can be reloaded: it serves the person better.
			if out.Code != TemporarilyUnavailable && out.Code != ServerError {
				out.Redirect = a.target
			}
			return nil, out
		}
	}
	return &a.req, nil
}

// get returns a parameter that checkDuplicates has seen to be single.
func (a *authorization) get(name string) string { return a.form.Get(name) }

func checkClient(ctx context.Context, a *authorization) (err error) {
	if a.client, err = a.e.requester(ctx, a.form); err == nil {
		a.req.ClientID = a.client.ID
	}
	return err
}

// checkRedirect compares with the registration byte by byte, and demands the parameter even from
// clients that registered one URI only (OIDC Core §3.1.2.1).
func checkRedirect(_ context.Context, a *authorization) error {
	uri, ok := single(a.form, "redirect_uri")
	if !ok || uri == "" || len(uri) > maxURI || !a.client.AllowsRedirect(uri) {
		return refuse(InvalidRequest, "The redirect_uri is not one that this application registered.")
	}
	a.req.RedirectURI = uri
	a.target = &Target{Client: a.client.ID, RedirectURI: uri}
	// State and mode are set as soon as possible, so that every error from here on has them.
	if s, ok := single(a.form, "state"); ok && len(s) <= maxState {
		a.target.State = s
	}
	rt, _ := single(a.form, "response_type")
	a.target.Mode = defaultMode(rt)
	if m, ok := single(a.form, "response_mode"); ok {
		if m, ok = modeOf(m, rt); ok {
			a.target.Mode = m
		}
	}
	return nil
}

func checkDuplicates(_ context.Context, a *authorization) error {
	if duplicate(a.form) != "" {
		return refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	return nil
}

// checkResponseMode: how the answer travels is part of the request, and never guessed.
func checkResponseMode(_ context.Context, a *authorization) error {
	if _, ok := modeOf(a.get("response_mode"), a.get("response_type")); !ok {
		return refuse(InvalidRequest, "The response_mode is not supported.")
	}
	a.req.ResponseMode = a.target.Mode
	return nil
}

// checkState keeps state as it came: it is optional and opaque (RFC 6749 §4.1.1).
func checkState(_ context.Context, a *authorization) error {
	if len(a.get("state")) > maxState {
		return refuse(InvalidRequest, "state is too long.")
	}
	a.req.State = a.get("state")
	return nil
}

// checkUnsupported refuses metadata in a request (OIDC Core §7.2.1); ignoring it would answer a request
// that was not made.
func checkUnsupported(_ context.Context, a *authorization) error {
	if a.form.Has("registration") {
		return refuse(RegistrationUnsupported, "The parameter registration is not supported.")
	}
	return nil
}

// checkPKCE demands an S256 challenge (RFC 7636 §4.3, RFC 9700 §2.1.1). A confidential client may
// be registered to leave it out; what it sends is never weakened.
func checkPKCE(_ context.Context, a *authorization) error {
	value, method := a.get("code_challenge"), a.get("code_challenge_method")
	if !a.req.has(typeCode) && !a.form.Has("code_challenge") && method == "" {
		return nil // there is no code to protect
	}
	if value == "" && method == "" && !a.form.Has("code_challenge") && !a.client.Metadata.RequirePKCE && !a.client.Public() {
		return nil
	}
	switch {
	case value == "":
		return refuse(InvalidRequest, "code_challenge is missing: PKCE with S256 is required.")
	case method != "S256": // also when missing, which would mean plain (RFC 7636 §4.3)
		return refuse(InvalidRequest, "code_challenge_method must be S256.")
	case !challenge(value):
		return refuse(InvalidRequest, "code_challenge is not a base64url SHA-256.")
	}
	a.req.CodeChallenge = value
	return nil
}

// checkScope refuses what the client did not register (RFC 6749 §3.3). offline_access is the
// exception: where it cannot be granted it is ignored (OIDC Core §11).
func checkScope(_ context.Context, a *authorization) error {
	scopes, ok := parseScope(a.get("scope"))
	if !ok {
		return refuse(InvalidScope, "scope is malformed or too long.")
	}
	scopes = slices.DeleteFunc(scopes, func(s string) bool {
		return s == ScopeOfflineAccess && (!mayStayOffline(a.client) || !a.req.has(typeCode))
	})
	if len(scopes) == 0 {
		return refuse(InvalidScope, "scope is missing.")
	}
	for _, s := range scopes {
		if !a.index.allowed(a.client, s) {
			return refuse(InvalidScope, "The application may not ask for one of the scopes.")
		}
	}
	a.req.Scopes = scopes
	return nil
}

// checkResource allows the APIs that the client registered for (RFC 8707 §2).
func checkResource(_ context.Context, a *authorization) error {
	resources, ok := parseResources(a.form["resource"])
	if !ok {
		return refuse(InvalidTarget, "resource is not an absolute URI without fragment.")
	}
	for _, r := range resources {
		if !a.index.target(a.e.issuer, a.client, r) {
			return refuse(InvalidTarget, "The application may not ask for one of the resources.")
		}
	}
	a.req.Resources = resources
	return nil
}

func checkPrompt(_ context.Context, a *authorization) error {
	values, ok := parsePrompt(a.get("prompt"))
	if !ok {
		return refuse(InvalidRequest, "prompt has an unknown value, or none together with another.")
	}
	a.req.Prompt = values
	return nil
}

func checkMaxAge(_ context.Context, a *authorization) error {
	if !a.form.Has("max_age") {
		return nil
	}
	seconds, ok := parseSeconds(a.get("max_age"))
	if !ok {
		return refuse(InvalidRequest, "max_age is not a number of seconds.")
	}
	a.req.MaxAge = &seconds
	return nil
}

// checkPreferences reads what may steer the pages and never fails a request (OIDC Core §3.1.2.1).
func checkPreferences(_ context.Context, a *authorization) error {
	if h := a.get("login_hint"); len(h) <= maxHint {
		a.req.LoginHint = h
	}
	a.req.UILocales = words(a.get("ui_locales"))
	a.req.ACRValues = words(a.get("acr_values"))
	a.req.RequireMFA = a.client.Metadata.RequireMFA
	if d := a.get("display"); slices.Contains([]string{"page", "popup", "touch", "wap"}, d) {
		a.req.Display = d
	}
	return nil
}

// checkHint verifies id_token_hint: ours, and issued to this client; it may have expired
// (OIDC Core §3.1.2.1). A hint that does not verify is an error, never trusted or ignored.
func checkHint(_ context.Context, a *authorization) error {
	hint := a.get("id_token_hint")
	if hint == "" {
		return nil
	}
	claims, err := a.e.verifyHint(hint)
	if err == nil && !claims.issuedTo(a.client.ID) {
		err = errors.New("the hint was issued to another client")
	}
	if err != nil {
		return refuse(InvalidRequest, "id_token_hint is not an ID token of this server for this application.").because(err)
	}
	a.req.HintSubject, a.req.HintSector = claims.Subject, sectorOf(a.client)
	return nil
}
