package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// opaque is the row of an opaque access token, written with whatever else the flow commits.
type opaque struct {
	hash     string
	scopes   []string
	audience []string
	expires  time.Time
}

// mint makes the tokens of a flow, before any transaction: signing must not hold locks. The row
// it returns (for clients with opaque tokens) is still to be written.
func (e *Engine) mint(ctx context.Context, f *flow) (*opaque, error) {
	row, err := e.mintAccess(f)
	if err == nil && f.grant.ID != "" && slices.Contains(f.scopes, ScopeOpenID) {
		err = e.signID(ctx, f)
	}
	return row, err
}

// mintAccess makes the access token.
func (e *Engine) mintAccess(f *flow) (*opaque, error) {
	aud, scopes := f.index.audience(e.issuer, f.client, f.scopes, f.grant.Resources, f.asked)
	if len(aud) == 0 {
		return nil, refuse(InvalidTarget, "None of the resources is open to the application any more.")
	}
	expires := f.now.Add(e.accessTTL(f.client))
	if f.grant.ID != "" && f.grant.ExpiresAt.Before(expires) {
		expires = f.grant.ExpiresAt // nothing outlives its grant
	}
	f.out = Tokens{TokenType: f.confirm.tokenType(), Details: f.details, ExpiresIn: int64(expires.Sub(f.now) / time.Second), Scope: strings.Join(scopes, " "), RefreshToken: f.out.RefreshToken}
	if f.client.Metadata.AccessTokenFormat != client.FormatOpaque {
		return nil, e.signAccess(f, aud, expires)
	}
	f.out.AccessToken = id.NewToken(id.AccessToken)
	hash, _ := id.Hash(id.AccessToken, f.out.AccessToken)
	return &opaque{hash: hash, scopes: scopes, audience: aud, expires: expires}, nil
}

// signAccess makes a JWT access token (RFC 9068 §2.2). Claims are built afresh for every token:
// iat and jti are never inherited (docs/fosite.md).
func (e *Engine) signAccess(f *flow, aud []string, expires time.Time) error {
	c := accessClaims{
		Issuer: e.issuer, Subject: string(f.client.ID), Audience: aud, ClientID: string(f.client.ID), Scope: f.out.Scope,
		IssuedAt: f.now.Unix(), Expires: expires.Unix(), ID: id.New(),
	}
	if g := &f.grant; g.ID != "" {
		c.Subject, c.GrantID, c.Session = e.subjectOf(f.client, g.User), string(g.ID), e.sidOf(f.client, g.Session)
		c.AuthTime, c.ACR, c.AMR = g.AuthTime.Unix(), g.ACR, g.AMR
	}
	c.Confirm, c.Act, c.Via, c.Details = f.confirm.claim(), f.act, f.via, f.details
	body, err := json.Marshal(&c)
	if err != nil {
		return err
	}
	f.out.AccessToken, err = e.keys.Sign(keys.ES256, typAccess, body)
	if err == nil && len(f.out.AccessToken) > maxAccessText {
		// Nobody could ask about it or revoke it.
		return refuse(InvalidDetails, "The access token would be too long: ask for less.")
	}
	return err
}

// signID makes an ID token (OIDC Core §2, §3.1.3.6; after a refresh §12.2: a new iat, everything
// about the authentication as it was, and no nonce). It hashes the access token and the code that go
// along with it, so they are made first.
func (e *Engine) signID(ctx context.Context, f *flow) error {
	m := &f.client.Metadata
	alg := cmp.Or(m.IDTokenAlg, keys.ES256)
	g := &f.grant
	c := idClaims{
		Issuer: e.issuer, Subject: e.subjectOf(f.client, g.User), Audience: audience{string(f.client.ID)},
		IssuedAt: f.now.Unix(), Expires: f.now.Add(e.ttl.ID).Unix(), AuthTime: g.AuthTime.Unix(),
		ACR: g.ACR, AMR: g.AMR, Session: e.sidOf(f.client, g.Session),
	}
	if f.out.AccessToken != "" {
		c.AtHash = leftHash(alg, f.out.AccessToken)
	}
	if f.code != "" {
		c.CHash = leftHash(alg, f.code)
	}
	if f.nonce {
		c.Nonce = g.Nonce
	}
	c.Account = e.accountMark(f.client, g.User)
	more, err := e.idTokenClaims(ctx, f)
	if err != nil {
		return err
	}
	body, err := json.Marshal(&c)
	if err != nil {
		return err
	}
	if body, err = withClaims(body, more); err != nil {
		return err
	}
	token, err := e.sign(ctx, alg, typID, body)
	if err != nil {
		return err
	}
	f.out.IDToken, err = e.protect(ctx, f.client, m.IDTokenEncAlg, m.IDTokenEncEnc, token)
	return err
}

// sign signs with the active key of an algorithm that a client registered, and makes the first one
// where nobody used the algorithm so far.
func (e *Engine) sign(ctx context.Context, alg, typ string, body []byte) (string, error) {
	token, err := e.keys.Sign(alg, typ, body)
	if errors.Is(err, keys.ErrNoKey) {
		if err = e.keys.EnsureAlg(ctx, alg); err == nil {
			token, err = e.keys.Sign(alg, typ, body)
		}
	}
	return token, err
}

// saveAccess writes the row of an opaque access token, if there is one.
func (e *Engine) saveAccess(ctx context.Context, f *flow, row *opaque) error {
	if row == nil {
		return nil
	}
	var gid any
	if f.grant.ID != "" {
		gid = string(f.grant.ID)
	}
	params := "{}"
	if p := (accessParams{f.confirm, f.act, f.via, f.details}); !p.Confirm.none() || p.Act != nil || p.Via != nil || p.Details != nil {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		params = string(text)
	}
	_, err := e.db.Q(ctx).Exec(ctx, sqlInsertAccess, row.hash, gid, string(f.client.ID), encodeList(row.scopes), encodeList(row.audience),
		store.Micros(f.now), store.Micros(row.expires), params)
	if errors.Is(err, store.ErrForeignKey) {
		return invalidGrant("deleted meanwhile")
	}
	return err
}

// step is the row that spends a code or refresh token.
type step struct {
	hash    string
	confirm confirmation // what the holder of the token must prove, for public clients
	sealed  string
	expires time.Time
}

// sealToken seals a refresh token for its row.
func (e *Engine) sealToken(hash, token string) string {
	return string(encode64(e.seal.Seal("refresh_token", "sealed", hash, []byte(token))))
}

// nextRefresh makes the flow's next refresh token. Its end moves with use, but never beyond the
// grant's (fosite F12).
func (e *Engine) nextRefresh(f *flow) step {
	token := id.NewToken(id.RefreshToken)
	hash, _ := id.Hash(id.RefreshToken, token)
	s := step{hash: hash, confirm: heldBy(f), expires: f.now.Add(or(f.client.Metadata.RefreshIdleTTL, e.ttl.RefreshIdle))}
	if f.grant.ExpiresAt.Before(s.expires) {
		s.expires = f.grant.ExpiresAt
	}
	if f.client.Metadata.RefreshGrace > 0 {
		s.sealed = e.sealToken(hash, token)
	}
	f.out.RefreshToken = token
	return s
}

// spend commits a flow: one insert uses up the code or token and is the next one, together with
// the row of an opaque access token. won is false if somebody else spent it first, or the grant was
// revoked a moment ago.
func (e *Engine) spend(ctx context.Context, f *flow, s step, row *opaque) (won bool, err error) {
	insert := func(ctx context.Context) error {
		var hash string
		return e.db.Q(ctx).QueryRow(ctx, sqlInsertStep, s.hash, f.spends, string(f.grant.ID), s.sealed,
			store.Micros(f.now), store.Micros(s.expires), s.confirm.String()).Scan(&hash)
	}
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
	// On Postgres a grant that is deleted at the same time shows as a missing reference.
	if isNoRows(err) || errors.Is(err, store.ErrForeignKey) {
		return false, nil
	}
	return err == nil, err
}
