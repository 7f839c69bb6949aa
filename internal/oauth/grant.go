package oauth

import (
	"context"
	"encoding/json"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// grantRow is one row of oauth_grant with what is known of its user and consent now.
type grantRow struct {
	ID            id.Grant
	Client        id.Client
	User          id.User
	Session       id.Session
	Scopes        []string
	Resources     []string
	AuthTime      time.Time
	ACR           string
	AMR           []string
	Nonce         string
	CodeChallenge string
	CodeExpires   time.Time
	RedirectURI   string
	CreatedAt     time.Time
	ExpiresAt     time.Time
	Revoked       bool
	UserActive    bool
	Consented     bool
	Params        grantParams
}

// grantParams is what only few grants have. It must stay readable for the rows that are there.
type grantParams struct {
	Claims       *ClaimsRequest  `json:"claims,omitempty"`
	Details      json.RawMessage `json:"details,omitempty"`       // RFC 9396, as granted
	JKT          string          `json:"jkt,omitempty"`           // the code works with this key only
	ResponseType string          `json:"response_type,omitempty"` // where it was not code
	Remembered   bool            `json:"remembered,omitempty"`    // see Login
}

func (p *grantParams) encode() (string, error) {
	b, err := json.Marshal(p)
	return string(b), err
}

// accessParams is what an opaque access token carries beside its grant.
type accessParams struct {
	Confirm confirmation    `json:"cnf,omitzero"`
	Act     *actor          `json:"act,omitempty"`
	Via     []string        `json:"via,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
}

func decodeParams(text string) (p grantParams, err error) {
	if text != "" && text != "{}" {
		err = json.Unmarshal([]byte(text), &p)
	}
	return p, err
}

// scan reads grantColumns, then more.
func (g *grantRow) scan(r store.Row, more ...any) error {
	var scopes, resources, amr, active, params string
	var auth, code, created, expires, revoked, consent int64
	err := r.Scan(append([]any{
		(*string)(&g.ID), (*string)(&g.Client), (*string)(&g.User), (*string)(&g.Session), &scopes, &resources,
		&auth, &g.ACR, &amr, &g.Nonce, &g.CodeChallenge, &code, &g.RedirectURI, &created, &expires, &revoked, &params, &active, &consent,
	}, more...)...)
	if err != nil {
		return err
	}
	g.AuthTime, g.CodeExpires, g.CreatedAt, g.ExpiresAt = store.Time(auth), store.Time(code), store.Time(created), store.Time(expires)
	g.Revoked, g.UserActive, g.Consented = revoked != 0, active != "", consent != 0
	if g.Params, err = decodeParams(params); err != nil {
		return err
	}
	g.Scopes, g.Resources, g.AMR = decodeList(scopes, &err), decodeList(resources, &err), decodeList(amr, &err)
	return err
}

// decodeList reads a JSON list of strings, the form in which rows keep lists.
func decodeList(text string, err *error) (list []string) {
	if *err == nil && text != "[]" {
		*err = json.Unmarshal([]byte(text), &list)
	}
	return list
}

func encodeList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // a list of strings always encodes
	return string(b)
}

// stands reports whether anything may still be issued under the grant to the client: the last
// word on user, consent, revocation and lifetime, for every grant type.
func (g *grantRow) stands(c *client.Client, now time.Time) bool {
	return !g.Revoked && g.UserActive && now.Before(g.ExpiresAt) && (g.Consented || c.Metadata.FirstParty)
}

// revokeGrant ends a grant and everything under it, with the reason, in a transaction of its own:
// the error that follows must not undo it (fosite trap 4).
func (e *Engine) revokeGrant(ctx context.Context, g *grantRow, reason string) error {
	return e.db.InTx(ctx, func(ctx context.Context) error {
		var gid string
		err := e.db.Q(ctx).QueryRow(ctx, sqlRevokeGrant, string(g.ID), store.Micros(e.clock.Now())).Scan(&gid)
		if isNoRows(err) {
			return nil // somebody else did, and recorded it
		}
		if err != nil {
			return err
		}
		return e.audit.Record(ctx, audit.Event{
			Action: "grant.revoked", Result: audit.OK, Actor: string(g.Client), Target: string(g.User), Client: g.Client,
			Detail: map[string]string{"grant": string(g.ID), "reason": reason},
		})
	})
}
