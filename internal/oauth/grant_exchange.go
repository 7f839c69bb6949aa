package oauth

import (
	"context"
	"errors"
	"slices"

	"github.com/ory/fosite"

	"signet/internal/platform/audit"
	"signet/internal/platform/id"
)

// The token types of RFC 8693 §3 that are taken and given. An ID token says who signed in and opens
// nothing, a refresh token is for its client alone: neither is ever taken for an access token.
const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// maxActors bounds the chain of who acts for whom.
const maxActors = 8

// exchangeGrant trades a user's access token for one that another API takes (RFC 8693). What it gives
// hangs on the grant of the token that was given for it: it opens nothing more, lives no longer, and
// dies with it.
type exchangeGrant struct {
	own
	e *Engine
}

// HandleTokenEndpointRequest judges both tokens, then narrows.
func (h *exchangeGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	if f.client.Public() { // a policy about who may act for whom needs to know who asks
		return refuse(UnauthorizedClient, "Only confidential clients may use this grant.")
	}
	if t := f.form.Get("requested_token_type"); t != "" && t != typeAccessToken {
		return refuse(InvalidRequest, "requested_token_type must be "+typeAccessToken+".")
	}
	subject, err := h.subject(ctx, f)
	if err != nil {
		return err
	}
	f.grant = grantRow{
		ID: subject.Grant, Client: subject.Owner, User: subject.User, Session: subject.Session, AuthTime: subject.AuthTime,
		ACR: subject.ACR, AMR: subject.AMR, ExpiresAt: subject.Expires,
	}
	if err := h.actor(ctx, f, subject); err != nil {
		return err
	}
	return h.narrow(f, subject)
}

// subject reads the token that is exchanged. What is wrong with it is one answer: invalid_request, as
// RFC 8693 §2.2.2 demands.
func (h *exchangeGrant) subject(ctx context.Context, f *flow) (*accessInfo, error) {
	token, kind := f.form.Get("subject_token"), f.form.Get("subject_token_type")
	switch {
	case token == "" || kind == "":
		return nil, refuse(InvalidRequest, "subject_token or subject_token_type is missing.")
	case kind != typeAccessToken:
		return nil, refuse(InvalidRequest, "subject_token_type must be "+typeAccessToken+".")
	}
	a, err := h.e.inspect(ctx, token)
	if err != nil {
		return nil, err
	}
	bad := refuse(InvalidRequest, "The subject_token is not an active access token that the application may exchange.")
	switch {
	case a == nil:
		return nil, bad.because(errors.New("not active"))
	case a.User == "" || a.Grant == "": // nothing would end what is made of it
		return nil, bad.because(errors.New("not of a user"))
	case !demandMet(f.client, a.AMR):
		return nil, bad.because(errors.New("of a sign-in with one factor, and the application demands two"))
	case a.Client == f.client.ID:
		f.held = a.Confirm // its own key or certificate, which it can prove: no exchange takes a binding off
		return a, nil
	case !slices.Contains(f.client.Metadata.ExchangeClients, string(a.Client)):
		return nil, bad.because(errors.New("of a client that is not in token_exchange_clients"))
	case !slices.ContainsFunc(a.Audience, f.client.AllowsAudience):
		// The token was not meant for any API of this application: it should not even have it.
		return nil, bad.because(errors.New("for another audience"))
	}
	return a, nil
}

// actor says who acts (RFC 8693 §4.1): whoever the actor_token is about, else the application itself. Who
// acted before stays on record below. An application that may impersonate adds nobody.
func (h *exchangeGrant) actor(ctx context.Context, f *flow, subject *accessInfo) error {
	token, kind := f.form.Get("actor_token"), f.form.Get("actor_token_type")
	f.act, f.via = subject.Act, subject.passedOn(f.client.ID)
	if len(f.via) > maxActors {
		return refuse(InvalidRequest, "Too many have acted on the subject_token already.")
	}
	act := &actor{Subject: string(f.client.ID), ClientID: string(f.client.ID), Act: subject.Act}
	switch {
	case token == "" && kind != "", token != "" && kind != typeAccessToken:
		return refuse(InvalidRequest, "actor_token_type does not fit actor_token.")
	case token != "":
		a, err := h.e.inspect(ctx, token)
		if err != nil {
			return err
		}
		if a == nil || a.Client != f.client.ID {
			return refuse(InvalidRequest, "The actor_token is not an active access token of the application.")
		}
		switch {
		case a.Confirm.none():
		case f.held.none():
			f.held = a.Confirm
		case f.held != a.Confirm:
			return refuse(InvalidRequest, "subject_token and actor_token are bound to different keys.")
		}
		if a.User != "" {
			act.Subject = h.e.subjectOf(f.client, a.User)
		}
	case f.client.Metadata.Impersonates:
		f.silent = true
		return nil
	}
	depth := 0
	for one := act; one != nil; one = one.Act {
		depth++
	}
	if depth > maxActors {
		return refuse(InvalidRequest, "Too many have acted on the subject_token already.")
	}
	f.act = act
	return nil
}

// passedOn lists who impersonated the user on the way, once the token goes on to the next client: act does
// not name them, and yet what is made of their tokens ends with them.
func (a *accessInfo) passedOn(next id.Client) []string {
	if a.Client == a.Owner || a.Client == next || slices.Contains(a.Via, string(a.Client)) {
		return a.Via
	}
	for one := a.Act; one != nil; one = one.Act {
		if one.ClientID == string(a.Client) {
			return a.Via
		}
	}
	return append(slices.Clone(a.Via), string(a.Client))
}

// narrow settles scope, audience and details: at most what the subject token has, and of that what the
// application may have. Scopes about the person and offline access never pass on.
func (h *exchangeGrant) narrow(f *flow, subject *accessInfo) error {
	scopes := slices.DeleteFunc(f.index.narrow(f.client, subject.Scopes), IsStandard)
	asked, ok := parseScope(f.form.Get("scope"))
	if !ok {
		return refuse(InvalidScope, "scope is malformed or too long.")
	}
	for _, s := range asked {
		if !slices.Contains(scopes, s) {
			return refuse(InvalidScope, "scope exceeds what the subject_token or the application may have.")
		}
	}
	if len(asked) > 0 {
		scopes = asked
	}
	f.scopes = scopes
	targets, ok := parseResources(append(slices.Clone(f.form["resource"]), f.form.Get("audience")))
	if !ok {
		return refuse(InvalidTarget, "resource or audience is not an absolute URI without fragment.")
	}
	may := func(aud string) bool {
		return aud != h.e.issuer && slices.Contains(subject.Audience, aud) && f.index.target(h.e.issuer, f.client, aud)
	}
	for _, t := range targets {
		if !may(t) {
			return refuse(InvalidTarget, "The subject_token is not for one of the resources, or the application may not ask for it.")
		}
	}
	if len(targets) == 0 {
		targets = slices.DeleteFunc(slices.Clone(subject.Audience), func(aud string) bool { return !may(aud) })
	}
	if len(targets) == 0 {
		return refuse(InvalidTarget, "The subject_token is for no API that the application may ask for.")
	}
	f.asked = targets
	return h.e.settleDetails(f, subject.Details, targets)
}

// PopulateTokenEndpointResponse signs; only an opaque token is written down. Impersonation leaves no
// mark on the token, so it leaves one in the audit log.
func (h *exchangeGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	err = h.e.commitExchange(ctx, f, row)
	if err != nil {
		return err
	}
	f.out.IssuedTokenType = typeAccessToken
	f.finish(out)
	return nil
}

func (e *Engine) commitExchange(ctx context.Context, f *flow, row *opaque) error {
	if !f.silent {
		return e.saveAccess(ctx, f, row)
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		if err := e.saveAccess(ctx, f, row); err != nil {
			return err
		}
		return e.audit.Record(ctx, audit.Event{
			Action: "token.impersonated", Result: audit.OK, Actor: string(f.client.ID), Target: string(f.grant.User), Client: f.client.ID,
			Detail: map[string]string{"grant": string(f.grant.ID), "client": string(f.grant.Client)},
		})
	})
}
