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

// HandleAuthorizeEndpointRequest signs, then writes the grant with its code: one statement, one
// commit.
func (h *issuer) HandleAuthorizeEndpointRequest(ctx context.Context, ar fosite.AuthorizeRequester, out fosite.AuthorizeResponder) error {
	p, ok := ar.GetSession().(*issuance)
	if !ok {
		return refuse(ServerError, "An internal error occurred.")
	}
	g, code, err := h.e.draft(p)
	if err != nil {
		return err
	}
	var row *opaque
	f := &flow{client: p.client, index: p.index, now: p.now, grant: g.grantRow, scopes: p.scopes, nonce: true, code: code, details: p.request.Details}
	if p.request.ResponseType != "" {
		if row, err = h.e.front(ctx, f, p.request); err != nil {
			return err
		}
	}
	if err := h.e.writeGrant(ctx, p, g, f, row); err != nil {
		return err
	}
	if code != "" {
		out.AddParameter("code", code)
	}
	if f.out.AccessToken != "" { // RFC 6749 §4.2.2
		out.AddParameter("access_token", f.out.AccessToken)
		out.AddParameter("token_type", f.out.TokenType)
		out.AddParameter("expires_in", strconv.FormatInt(f.out.ExpiresIn, 10))
		out.AddParameter("scope", f.out.Scope)
	}
	if f.out.IDToken != "" {
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
	codeHash string
	params   string
}

// draft makes the grant of a request, and its code if it asks for one.
func (e *Engine) draft(p *issuance) (g grantDraft, code string, err error) {
	r, l := p.request, p.login
	g.ID, g.Client, g.User, g.Session = id.Grant(id.New()), p.client.ID, l.User, l.Session
	g.Scopes, g.Resources, g.Nonce, g.RedirectURI = p.scopes, p.resources, r.Nonce, r.RedirectURI
	g.AuthTime, g.ACR, g.AMR, g.CodeChallenge = l.AuthTime, l.ACR, l.AMR, r.CodeChallenge
	g.CreatedAt, g.CodeExpires = p.now, p.now
	g.codeHash = "none:" + string(g.ID) // no code has it as its hash
	if r.has(typeCode) {
		code = id.NewToken(id.AuthorizationCode)
		g.codeHash, _ = id.Hash(id.AuthorizationCode, code)
		g.CodeExpires = p.now.Add(e.ttl.Code)
	}
	g.ExpiresAt = g.CodeExpires.Add(e.accessTTL(p.client))
	if slices.Contains(p.scopes, ScopeOfflineAccess) {
		// The family's absolute end is set here, once (fosite F12).
		g.ExpiresAt = p.now.Add(or(p.client.Metadata.RefreshAbsoluteTTL, e.ttl.RefreshAbsolute))
	}
	g.Params = grantParams{Claims: r.Claims, Details: r.Details, JKT: r.JKT, ResponseType: r.ResponseType}
	g.params, err = g.Params.encode()
	return g, code, err
}

// front makes what goes through the browser beside the code, if anything does (OIDC Core §3.2.2.5,
// §3.3.2.5). Nothing here is bound to a key, for nothing proves one.
func (e *Engine) front(ctx context.Context, f *flow, r *Request) (row *opaque, err error) {
	if r.has(typeToken) {
		if row, err = e.mintAccess(f); err != nil {
			return nil, err
		}
	}
	if r.has(typeIDToken) {
		if !slices.Contains(f.scopes, ScopeOpenID) { // the scope was taken from the client meanwhile
			return nil, refuse(InvalidScope, "An ID token needs the scope openid.")
		}
		return row, e.signID(ctx, f)
	}
	return row, nil
}

// writeGrant commits what was made. The statement succeeds only while the user is active, the session
// is live and the consent stands.
func (e *Engine) writeGrant(ctx context.Context, p *issuance, g grantDraft, f *flow, row *opaque) error {
	insert := func(ctx context.Context) error {
		var gid string
		return e.db.Q(ctx).QueryRow(ctx, sqlInsertGrant, string(g.ID), string(g.Client), string(g.User), string(g.Session),
			encodeList(g.Scopes), encodeList(g.Resources), store.Micros(g.AuthTime), g.ACR, encodeList(g.AMR), g.Nonce, g.codeHash, g.CodeChallenge,
			store.Micros(g.CodeExpires), g.RedirectURI, store.Micros(g.CreatedAt), store.Micros(g.ExpiresAt), p.consent, g.params).Scan(&gid)
	}
	var err error
	if row == nil {
		err = insert(ctx) // a single statement is its own transaction
	} else {
		err = e.db.InTx(ctx, func(ctx context.Context) error {
			if err := insert(ctx); err != nil {
				return err
			}
			return e.saveAccess(ctx, f, row)
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
