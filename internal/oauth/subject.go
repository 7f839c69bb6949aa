package oauth

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// subjectOf is the sub under which a client knows a user, wherever it meets one: ID token, userinfo,
// introspection, access token, logout token. For a pairwise client it is the same for all clients of
// its sector and says nothing to any other (OIDC Core §8.1): a keyed hash, which nobody without the
// master key can compute or turn back. It is stored nowhere, so that it cannot leak or get lost.
func (e *Engine) subjectOf(c *client.Client, user id.User) string {
	return e.pseudonym(sectorOf(c), user)
}

// sectorOf is the sector of a pairwise client, "" for one with public subjects.
func sectorOf(c *client.Client) string {
	if c.Metadata.SubjectType != "pairwise" {
		return ""
	}
	host := c.Metadata.Sector()
	switch {
	case slices.Contains(loopbackHosts, host): // which programs use it together says nothing about whose they are
		host = ""
	case unproven(c, host):
		host = ""
	}
	// A client without a host is a sector of its own; no host may be called so.
	return cmp.Or(host, "client:"+string(c.ID))
}

// unproven reports whether a client that no operator looked at only says that it lives at the host: what
// arrives at its redirect URI is its proof, and devices (RFC 8628) and who asks elsewhere (CIBA) have none.
// A document proves the host that it stands at.
func unproven(c *client.Client, host string) bool {
	if !c.AllowsGrant(client.GrantDeviceCode) && !c.AllowsGrant(client.GrantCIBA) {
		return false
	}
	if c.ManagedBy != client.ManagedByDocument {
		return c.Metadata.Quarantined
	}
	u, err := url.Parse(string(c.ID))
	return err != nil || !strings.EqualFold(u.Hostname(), host)
}

// pseudonym is the sub of a user in a sector; everybody's public sub is the user's id.
func (e *Engine) pseudonym(sector string, user id.User) string {
	if user == "" || sector == "" {
		return string(user)
	}
	mac := hmac.New(sha256.New, e.pairwise)
	mac.Write([]byte(sector))
	mac.Write([]byte{0}) // in no host, in no id
	mac.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Hinted reports whether the user is the one whom the hint of a request names (OIDC Core §3.1.2.1). A
// pairwise sub cannot be turned back into a user, so this is the only question that can be asked of one.
func (e *Engine) Hinted(r *Request, user id.User) bool {
	sub := e.pseudonym(r.HintSector, user)
	return user != "" && subtle.ConstantTimeCompare([]byte(r.HintSubject), []byte(sub)) == 1
}

// accountMark goes into the ID tokens of a pairwise client that may ask people (CIBA): sealed for this
// client alone, it is how its id_token_hint leads back to an account. Nobody but us can read it, and it
// differs from token to token. Public subjects need none.
func (e *Engine) accountMark(c *client.Client, user id.User) string {
	if sectorOf(c) == "" || !c.AllowsGrant(client.GrantCIBA) {
		return ""
	}
	return encode64(e.seal.Seal("id_token", "account", string(c.ID), []byte(user)))
}

// userOfToken is whom a verified ID token of the client is about; "" where that cannot be told any more.
func (e *Engine) userOfToken(c *client.Client, claims *idClaims) id.User {
	sector := sectorOf(c)
	if sector == "" {
		return id.User(claims.Subject)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(claims.Account)
	if err != nil {
		return ""
	}
	user, err := e.seal.Open("id_token", "account", string(c.ID), sealed)
	if err != nil || subtle.ConstantTimeCompare([]byte(e.pseudonym(sector, id.User(user))), []byte(claims.Subject)) != 1 {
		return ""
	}
	return id.User(user)
}
