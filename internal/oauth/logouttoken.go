package oauth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/logout"
	"signet/internal/platform/id"
)

// eventLogout is the one member of the events claim (OIDC Back-Channel Logout §2.4).
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// logoutLife is how long a logout token is good for. It is made for one attempt, so it need only
// outlast the clocks' differences (§2.4 recommends two minutes at most).
const logoutLife = 2 * time.Minute

// logoutClaims is a logout token (§2.4). There is no nonce, so that it cannot pass for an ID token.
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience audience            `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Session  string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

const typLogout = "logout+jwt" // §2.4

// logoutToken makes the token of one attempt, signed, and encrypted where the application's ID tokens
// are, as they are (§2.4).
func (e *Engine) logoutToken(ctx context.Context, c *client.Client, n logout.Notice, jti string) (string, error) {
	now := e.clock.Now()
	body, err := json.Marshal(&logoutClaims{
		Issuer: e.issuer, Subject: n.Subject, Audience: audience{string(c.ID)}, IssuedAt: now.Unix(), Expires: now.Add(logoutLife).Unix(),
		ID: jti, Session: e.sidOf(c, n.Session), Events: map[string]struct{}{eventLogout: {}},
	})
	if err != nil {
		return "", err
	}
	token, err := e.sign(ctx, cmp.Or(c.Metadata.IDTokenAlg, keys.ES256), typLogout, body)
	if err != nil {
		return "", err
	}
	return e.protect(ctx, c, c.Metadata.IDTokenEncAlg, c.Metadata.IDTokenEncEnc, token)
}

// sidOf is the sid under which a client knows a session, in ID tokens, logout tokens and frames. Two
// sectors must not recognize each other's visitors by it where they cannot by sub (OIDC Core §8.1).
func (e *Engine) sidOf(c *client.Client, s id.Session) string {
	sector := sectorOf(c)
	if s == "" || sector == "" {
		return string(s)
	}
	mac := hmac.New(sha256.New, e.pairwise)
	mac.Write([]byte("sid\x00" + sector + "\x00" + string(s))) // no sector begins so: see pseudonym
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
