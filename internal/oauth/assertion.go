package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

const (
	maxAssertionLife = 5 * time.Minute
	skew             = time.Minute // accepted difference of clocks
	// Assertions may be from the future by half of that: clocks of servers are that good, and FAPI
	// 2.0 Security Profile §5.3.2.1 no. 13 wants 10 s accepted and 60 s refused.
	skewAhead = 30 * time.Second
	maxJTI    = 256
)

// AssertionAlgs are the asymmetric algorithms in which clients sign (RFC 8725 §3.1).
var AssertionAlgs = algorithms(client.SignatureAlgs())

// authAlgs are those of all client assertions. Which half a client may use follows from its method,
// before any key is looked at: no public key ever serves as a secret (RFC 8725 §2.1).
var authAlgs = append(algorithms(client.SignatureAlgs()), algorithms(client.SecretAlgs())...)

func algorithms(names []string) []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(names))
	for i, n := range names {
		out[i] = jose.SignatureAlgorithm(n)
	}
	return out
}

// assertionClaims is RFC 7523 §3. Audience is one string on purpose: an assertion that is also
// meant for somebody else could be replayed here by them (RFC 10070, CVE-2025-27370).
type assertionClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *numeric `json:"exp"`
	IssuedAt  *numeric `json:"iat"`
	NotBefore *numeric `json:"nbf"`
}

// numeric is a NumericDate (RFC 7519 §2): a JSON number of seconds, within reason.
type numeric int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *numeric) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f < 0 || f > 1<<40 {
		return errors.New("not a sensible time")
	}
	*n = numeric(f)
	return nil
}

func (n *numeric) time() time.Time { return time.Unix(int64(*n), 0) }

// authenticateAssertion is private_key_jwt and client_secret_jwt (OIDC Core §9, RFC 7523 §3). The
// signature is verified before anything is written, and the jti is spent last, by a unique insert.
func (e *Engine) authenticateAssertion(ctx context.Context, h http.Header, cr credentials) (*client.Client, error) {
	jws, claims, kid, err := parseAssertion(cr.assertion)
	if err != nil {
		return nil, badClient(h, err.Error())
	}
	if cr.client != "" && cr.client != claims.Subject { // RFC 7521 §4.2
		return nil, badClient(h, "client_id differs from the assertion's subject")
	}
	c, err := e.clients.Get(ctx, id.Client(claims.Subject))
	if errs.Is(err, errs.NotFound) {
		return nil, badClient(h, "unknown client")
	}
	if err != nil {
		return nil, err
	}
	if !c.Active() {
		return nil, badClient(h, "disabled")
	}
	if why := wrongAlgorithm(c, jws.Signatures[0].Protected.Algorithm); why != "" {
		return nil, badClient(h, why)
	}
	if err := claims.check(e.audiences(c), e.clock.Now()); err != nil {
		return nil, badClient(h, err.Error())
	}
	if err := e.verifyAssertion(ctx, c, jws, kid); err != nil {
		if errs.Is(err, errs.Unavailable) {
			return nil, err
		}
		return nil, badClient(h, err.Error())
	}
	if err := e.boundMarks(ctx, c, ""); err != nil {
		return nil, err
	}
	var spent string
	err = e.db.Q(ctx).QueryRow(ctx, sqlSpendAssertion, string(c.ID), id.Digest(claims.ID),
		store.Micros(claims.Expires.time().Add(skew))).Scan(&spent)
	if isNoRows(err) {
		return nil, badClient(h, "assertion was used before")
	}
	return c, err
}

// wrongAlgorithm holds an assertion's algorithm against the registration: the method, the one
// algorithm if it names one, and the profile (FAPI 2.0 Security Profile §5.4.1).
func wrongAlgorithm(c *client.Client, alg string) string {
	m := c.Metadata
	allowed := client.SignatureAlgs()
	switch {
	case m.AuthMethod == client.SecretJWT:
		allowed = client.SecretAlgs()
	case m.AuthMethod != client.PrivateKeyJWT:
		return "not the registered method"
	case m.UnderFAPI():
		allowed = client.FAPIAlgs()
	}
	if !slices.Contains(allowed, alg) || m.AuthSigningAlg != "" && m.AuthSigningAlg != alg {
		return "not an algorithm that the client may use"
	}
	return ""
}

// audiences are the values of aud that an assertion may have: the issuer. Where the deployment
// admits clients older than RFC 10070, the token endpoint too, by either of its addresses, and from
// those that ask people elsewhere the endpoint where they do (CIBA §7.1); never from clients under
// FAPI (FAPI 2.0 Security Profile §5.3.2.1 no. 8).
func (e *Engine) audiences(c *client.Client) []string {
	out := []string{e.issuer}
	if !e.policy.TokenAudience || c.Metadata.UnderFAPI() {
		return out
	}
	paths := []string{pathToken}
	if c.AllowsGrant(client.GrantCIBA) {
		paths = append(paths, pathBackchannel)
	}
	for _, path := range paths {
		out = append(out, e.issuer+path)
		if e.policy.MTLS != "" {
			out = append(out, e.policy.MTLS+path)
		}
	}
	return out
}

// Where internal/server/oidc mounts the endpoints.
const (
	pathToken       = "/oauth2/token"
	pathBackchannel = "/oauth2/bc-authorize"
)

// parseAssertion reads an assertion without trusting it.
func parseAssertion(text string) (jws *jose.JSONWebSignature, claims *assertionClaims, kid string, err error) {
	if len(text) > maxTokenText || strings.Count(text, ".") != 2 {
		return nil, nil, "", errors.New("not a compact JWS of sensible size")
	}
	if jws, err = jose.ParseSignedCompact(text, authAlgs); err != nil {
		return nil, nil, "", fmt.Errorf("malformed assertion: %w", err)
	}
	head := jws.Signatures[0].Protected
	if err := client.CheckHeader(head); err != nil {
		return nil, nil, "", fmt.Errorf("assertion: %w", err)
	}
	if typ, ok := head.ExtraHeaders[jose.HeaderType].(string); ok &&
		!strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "client-authentication+jwt") {
		return nil, nil, "", errors.New("assertion has another token's type")
	}
	claims = new(assertionClaims)
	// This decoder refuses duplicate members (RFC 7519 §4).
	if err := josejson.Unmarshal(jws.UnsafePayloadWithoutVerification(), claims); err != nil {
		return nil, nil, "", fmt.Errorf("malformed assertion: %w", err)
	}
	if claims.Subject == "" || len(claims.Subject) > maxClientID {
		return nil, nil, "", errors.New("assertion without subject")
	}
	return jws, claims, head.KeyID, nil
}

// check is RFC 7523 §3 in its order.
func (c *assertionClaims) check(audiences []string, now time.Time) error {
	switch {
	case c.Issuer != c.Subject:
		return errors.New("assertion issuer is not its subject")
	case !slices.Contains(audiences, c.Audience):
		return errors.New("assertion audience is not this issuer")
	case c.Expires == nil || !now.Before(c.Expires.time().Add(skew)):
		return errors.New("assertion has no expiry or has expired")
	case c.Expires.time().After(now.Add(maxAssertionLife)):
		return errors.New("assertion lives too long")
	case c.IssuedAt != nil && c.IssuedAt.time().After(now.Add(skewAhead)),
		c.NotBefore != nil && c.NotBefore.time().After(now.Add(skewAhead)):
		return errors.New("assertion is from the future")
	case c.ID == "" || len(c.ID) > maxJTI:
		return errors.New("assertion has no jti, or a very long one")
	}
	return nil
}

func (e *Engine) verifyAssertion(ctx context.Context, c *client.Client, jws *jose.JSONWebSignature, kid string) error {
	if len(kid) > maxHint {
		return errors.New("key id too long")
	}
	if c.Metadata.AuthMethod == client.SecretJWT {
		return e.verifyMAC(c, jws)
	}
	set, err := e.clients.Keys(ctx, c, kid)
	if err != nil {
		return err
	}
	_, err = client.Verify(jws, set)
	return err
}

// verifyMAC is client_secret_jwt. A secret that is shorter than the hash is no key for it (RFC 7518
// §3.2).
func (e *Engine) verifyMAC(c *client.Client, jws *jose.JSONWebSignature) error {
	secrets, err := e.clients.MACKeys(c, e.clock.Now())
	if err != nil {
		return err
	}
	least := 32
	if jws.Signatures[0].Protected.Algorithm == string(jose.HS384) {
		least = 48
	}
	for _, key := range secrets {
		if len(key) < least {
			continue
		}
		if _, err := jws.Verify(key); err == nil {
			return nil
		}
	}
	return errors.New("no secret of the client verifies the assertion")
}
