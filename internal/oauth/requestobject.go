package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

const (
	maxObject = 16 << 10 // bytes of a request object
	// objectSkew is how far the client's clock may be off: 8 s are common, a minute is not.
	objectSkew = 30 * time.Second
	// objectWindow bounds the age and the life of request objects where check is strict.
	objectWindow = time.Hour
)

// badObject is the one answer to a request object that cannot be relied on (RFC 9101 §6.2, §7).
func badObject(err error) *Error {
	return refuse(InvalidRequestObject, "The request object is not valid.").because(err)
}

// object reads a request object of the client and returns its parameters. unsigned is the code for one
// without signature where none is accepted.
func (e *Engine) object(ctx context.Context, c *client.Client, text, unsigned string) (unpacked, error) {
	if e.policy.RequestObjects == objectsOff {
		return unpacked{}, refuse(RequestNotSupported, "Request objects are not supported.")
	}
	o, err := readObject(text)
	if err != nil {
		return unpacked{}, badObject(err)
	}
	if o.alg == "none" {
		if !e.acceptsUnsigned(c) {
			if mustSign(c) || c.Metadata.UnderFAPI() {
				unsigned = InvalidRequestObject
			}
			return unpacked{}, refuse(unsigned, "The request object must be signed.")
		}
	} else if err := e.verifyObject(ctx, c, o, c.Metadata.RequestObjectAlg); err != nil {
		if errs.Is(err, errs.Unavailable) {
			return unpacked{}, err
		}
		return unpacked{}, badObject(err)
	}
	if err := o.check(e.issuer, c, c.Metadata.UnderFAPI(), e.clock.Now()); err != nil {
		return unpacked{}, badObject(err)
	}
	form, err := o.members.form()
	if err != nil {
		return unpacked{}, badObject(err)
	}
	form.Set("client_id", string(c.ID))
	return unpacked{form: form, signed: o.alg != "none"}, nil
}

// acceptsUnsigned: only where the deployment says so, and the client is not bound to sign (RFC 9101
// §10.5; OIDC Core §6.1).
func (e *Engine) acceptsUnsigned(c *client.Client) bool {
	return e.policy.RequestObjects == objectsUnsigned && !mustSign(c) && !c.Metadata.UnderFAPI() &&
		(c.Metadata.RequestObjectAlg == "" || c.Metadata.RequestObjectAlg == "none")
}

// object is a request object that was read and not yet believed.
type object struct {
	text     string
	alg, kid string
	claims   objectClaims
	members  members
}

// objectClaims are the claims that are about the object itself (RFC 9101 §4, §10.8).
type objectClaims struct {
	Issuer    *string  `json:"iss"`
	Subject   *string  `json:"sub"`
	Audience  audience `json:"aud"`
	ClientID  *string  `json:"client_id"`
	Expires   *numeric `json:"exp"`
	NotBefore *numeric `json:"nbf"`
	IssuedAt  *numeric `json:"iat"`
	ID        *string  `json:"jti"`
}

// The types that a request object may have: its own (RFC 9101 §10.8), the general one, or none (OIDC
// Core §6 names none). Any other says that the JWT was made for something else.
var objectTypes = []string{"oauth-authz-req+jwt", "jwt"}

// readObject reads a compact JWS, or an unsecured JWT, without trusting it. Encrypted ones are not
// offered: with five parts they end here.
func readObject(text string) (*object, error) {
	if len(text) > maxObject || strings.Count(text, ".") != 2 {
		return nil, errors.New("not a compact JWS of sensible size")
	}
	parts := strings.Split(text, ".")
	head, err := decodeMembers(parts[0])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	o := &object{text: text}
	for _, name := range []string{"jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "enc"} {
		if _, found := head[name]; found { // keys come from the registration only (RFC 8725 §3.10)
			return nil, errors.New("header carries " + name)
		}
	}
	typ := ""
	for name, at := range map[string]*string{"alg": &o.alg, "kid": &o.kid, "typ": &typ} {
		if raw, found := head[name]; found && json.Unmarshal(raw, at) != nil {
			return nil, errors.New("header has no text as " + name)
		}
	}
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/") // RFC 7515 §4.1.9
	switch {
	case o.alg == "" || len(o.kid) > maxHint:
		return nil, errors.New("header without alg, or with a very long kid")
	case typ != "" && !slices.Contains(objectTypes, typ):
		return nil, errors.New("another kind of JWT") // RFC 8725 §3.11
	case o.alg == "none" && parts[2] != "": // RFC 7519 §6.1
		return nil, errors.New("unsecured, yet with a signature")
	}
	if o.members, err = decodeMembers(parts[1]); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if err := josejson.Unmarshal(raw, &o.claims); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return o, nil
}

// decodeMembers reads one part: base64url of a JSON object, in which no name occurs twice (RFC 7519 §4).
func decodeMembers(part string) (members, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	var m members
	if err := josejson.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errors.New("not a JSON object with distinct names")
	}
	return m, nil
}

// verifyObject checks the signature with the client's own keys, in the one algorithm that it
// registered ("" for none) or else one that is allowed to it.
func (e *Engine) verifyObject(ctx context.Context, c *client.Client, o *object, registered string) error {
	allowed := client.SignatureAlgs()
	if c.Metadata.UnderFAPI() {
		allowed = client.FAPIAlgs()
	}
	if registered != "" && registered != o.alg || !slices.Contains(allowed, o.alg) {
		return fmt.Errorf("algorithm %.20q is not for this client", o.alg)
	}
	jws, err := jose.ParseSignedCompact(o.text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(o.alg)})
	if err != nil {
		return err
	}
	set, err := e.clients.Keys(ctx, c, o.kid)
	if err != nil {
		return err
	}
	_, err = client.Verify(jws, set)
	return err
}

// check judges what the object says of itself (RFC 9101 §4, §10.8). strict demands an audience, and a life
// that is said and short (FAPI 2.0 Message Signing §5.3.1).
func (o *object) check(issuer string, c *client.Client, strict bool, now time.Time) error {
	t := &o.claims
	is := func(s *string) bool { return s == nil || id.Client(*s) == c.ID }
	switch {
	case !is(t.Issuer) || !is(t.ClientID): // RFC 9101 §6.3: both names of the client are the same
		return errors.New("of another client")
	case t.Subject != nil && id.Client(*t.Subject) == c.ID:
		return errors.New("an assertion of the client, by its sub")
	case (strict || t.Audience != nil) && !slices.Contains(t.Audience, issuer):
		return errors.New("for another server")
	case t.Expires != nil && !now.Before(t.Expires.time().Add(objectSkew)):
		return errors.New("expired")
	case t.NotBefore != nil && t.NotBefore.time().After(now.Add(objectSkew)),
		t.IssuedAt != nil && t.IssuedAt.time().After(now.Add(objectSkew)):
		return errors.New("from the future")
	case !strict:
		return nil
	case t.Expires == nil || t.NotBefore == nil:
		return errors.New("without exp or nbf")
	case t.NotBefore.time().Before(now.Add(-objectWindow)):
		return errors.New("nbf is more than an hour ago")
	case t.Expires.time().After(t.NotBefore.time().Add(objectWindow)):
		return errors.New("exp is more than an hour after nbf")
	}
	return nil
}
