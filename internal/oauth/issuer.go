package oauth

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/ory/fosite"

	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// issuer is the authorize side of every response type: grant, code, PKCE and OIDC are one row, and
// what goes through the browser hangs on it like everything else.
type issuer struct{ e *Engine }

// HandleAuthorizeEndpointRequest writes the grant with its code: one statement, one commit. Everything
// was made and signed before, because a transaction may be open by now.
func (h *issuer) HandleAuthorizeEndpointRequest(ctx context.Context, ar fosite.AuthorizeRequester, out fosite.AuthorizeResponder) error {
	p, ok := ar.GetSession().(*issuance)
	if !ok {
		return refuse(ServerError, "An internal error occurred.")
	}
	if err := h.e.writeGrant(ctx, p); err != nil {
		return err
	}
	if p.grant.code != "" {
		out.AddParameter("code", p.grant.code)
	}
	if f := p.flow; f != nil && f.out.AccessToken != "" { // RFC 6749 §4.2.2
		out.AddParameter("access_token", f.out.AccessToken)
		out.AddParameter("token_type", f.out.TokenType)
		out.AddParameter("expires_in", strconv.FormatInt(f.out.ExpiresIn, 10))
		out.AddParameter("scope", f.out.Scope)
	}
	if f := p.flow; f != nil && f.out.IDToken != "" {
		out.AddParameter("id_token", f.out.IDToken)
	}
	for _, part := range ar.GetResponseTypes() {
		ar.SetResponseTypeHandled(part)
	}
	return nil
}

// grantDraft is a grant that is about to be written.
type grantDraft struct {
	grantRow
	code     string // "" where none is asked for
	codeHash string
	params   string
}

// draft makes the grant of a request, and its code if it asks for one.
func (e *Engine) draft(p *issuance) (g grantDraft, err error) {
	r, l := p.request, p.login
	g.ID, g.Client, g.User, g.Session = id.Grant(id.New()), p.client.ID, l.User, l.Session
	g.Scopes, g.Resources, g.Nonce, g.RedirectURI = p.scopes, p.resources, r.Nonce, r.RedirectURI
	g.AuthTime, g.ACR, g.AMR, g.CodeChallenge = l.AuthTime, l.ACR, l.AMR, r.CodeChallenge
	g.CreatedAt, g.CodeExpires = p.now, p.now
	g.codeHash = "none:" + string(g.ID) // no code has it as its hash
	if r.has(typeCode) {
		g.code = id.NewToken(id.AuthorizationCode)
		g.codeHash, _ = id.Hash(id.AuthorizationCode, g.code)
		g.CodeExpires = p.now.Add(e.codeTTL(p.client))
	}
	g.ExpiresAt = g.CodeExpires.Add(e.accessTTL(p.client))
	if slices.Contains(p.scopes, ScopeOfflineAccess) {
		// The family's absolute end is set here, once (fosite F12).
		g.ExpiresAt = p.now.Add(or(p.client.Metadata.RefreshAbsoluteTTL, e.ttl.RefreshAbsolute))
	}
	g.Params = grantParams{Claims: r.Claims, Details: r.Details, JKT: r.JKT, ResponseType: r.ResponseType, Remembered: l.Remembered}
	g.params, err = g.Params.encode()
	return g, err
}

// front makes the grant and what goes through the browser beside the code, if anything does (OIDC Core
// §3.2.2.5, §3.3.2.5). Nothing here is bound to a key, for nothing proves one.
func (e *Engine) front(ctx context.Context, p *issuance) (err error) {
	r := p.request
	if p.grant, err = e.draft(p); err != nil || r.ResponseType == "" {
		return err
	}
	p.flow = &flow{
		client: p.client, index: p.index, now: p.now, grant: p.grant.grantRow, scopes: p.scopes, nonce: true, code: p.grant.code,
	}
	if r.has(typeToken) {
		if len(r.Details) > 0 {
			aud, _ := p.index.audience(e.issuer, p.client, p.scopes, p.resources, nil)
			if err := e.settleDetails(p.flow, r.Details, aud); err != nil {
				return err
			}
		}
		if p.row, err = e.mintAccess(p.flow); err != nil {
			return err
		}
	}
	if !r.has(typeIDToken) {
		return nil
	}
	if !slices.Contains(p.scopes, ScopeOpenID) { // the scope was taken from the client meanwhile
		return refuse(InvalidScope, "An ID token needs the scope openid.")
	}
	return e.signID(ctx, p.flow)
}

// writeGrant commits what was made. The statement succeeds only while the user is active, the session
// is live and the consent stands.
func (e *Engine) writeGrant(ctx context.Context, p *issuance) error {
	g := &p.grant
	insert := func(ctx context.Context) error {
		var gid string
		return e.db.Q(ctx).QueryRow(ctx, sqlInsertGrant, string(g.ID), string(g.Client), string(g.User), string(g.Session),
			encodeList(g.Scopes), encodeList(g.Resources), store.Micros(g.AuthTime), g.ACR, encodeList(g.AMR), g.Nonce, g.codeHash, g.CodeChallenge,
			store.Micros(g.CodeExpires), g.RedirectURI, store.Micros(g.CreatedAt), store.Micros(g.ExpiresAt), p.consent, g.params).Scan(&gid)
	}
	var err error
	if p.row == nil {
		err = e.joined(ctx, p.client, p.login, insert) // mostly a single statement, which is its own transaction
	} else {
		err = e.db.InTx(ctx, func(ctx context.Context) error {
			if err := e.joined(ctx, p.client, p.login, insert); err != nil {
				return err
			}
			return e.saveAccess(ctx, p.flow, p.row)
		})
	}
	if isNoRows(err) {
		// The user was disabled, the session ended or the consent withdrawn a moment ago.
		return refuse(LoginRequired, "The sign-in is no longer valid.")
	}
	if errors.Is(err, store.ErrForeignKey) {
		return noClient().because(err) // deleted elsewhere, and this instance has not heard of it yet
	}
	return err
}
