package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/ory/fosite"

	"signet/internal/oauth/trust"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// Resolver finds the account that a statement of a trusted issuer is about; errs.NotFound if there is none.
type Resolver interface {
	Resolve(ctx context.Context, issuer trust.Issuer, subject string) (id.User, error)
}

// maxGrantLife bounds how far ahead an assertion may expire: that long its mark is kept. Issuers of
// machines, such as build systems, give theirs up to an hour.
const maxGrantLife = time.Hour

// bearerGrant gives an application a token for whom a trusted issuer says it acts for (RFC 7523 §2.1). The
// user is not there: no ID token, no refresh token, no scope about the person, and an application that is
// not ours needs the consent that the person gave it before.
type bearerGrant struct {
	own
	e *Engine
}

// HandleTokenEndpointRequest judges the assertion (RFC 7523 §3). Each failure is the same invalid_grant.
func (h *bearerGrant) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	if f.client.Public() {
		return refuse(UnauthorizedClient, "Only confidential clients may use this grant.")
	}
	if f.client.Metadata.RequireMFA {
		return refuse(UnauthorizedClient, "The application demands two factors, which an assertion does not prove.")
	}
	if f.form.Get("assertion") == "" {
		return refuse(InvalidRequest, "assertion is missing.")
	}
	if err := forAPIs(h.e.issuer, f); err != nil {
		return err
	}
	if len(f.scopes)+len(f.asked) == 0 {
		return refuse(InvalidScope, "scope is missing, and the application has none of an API.")
	}
	issuer, claims, err := h.e.readGrant(ctx, f)
	if err != nil {
		return err
	}
	user, err := h.e.resolver.Resolve(ctx, issuer, claims.Subject)
	if errs.Is(err, errs.NotFound) {
		return invalidGrant("the assertion is about nobody here")
	}
	if err != nil {
		return err
	}
	consent, err := h.e.consentVersion(ctx, f.client, &Request{ClientID: f.client.ID, Scopes: f.scopes, Resources: f.asked}, user)
	var refused *Error
	if errors.As(err, &refused) && refused.Code == ConsentRequired {
		return invalidGrant("the user has not consented")
	}
	if err != nil {
		return err
	}
	f.loose = &looseGrant{
		id: id.Grant(id.New()), client: f.client.ID, login: Login{User: user, AuthTime: claims.authTime(f.now)},
		code:   "jwt:" + id.Digest(issuer.Issuer+"\x00"+claims.ID),
		scopes: f.scopes, resources: f.asked, codeEnd: claims.Expires.time().Add(skew), registered: f.client, now: f.now, consent: consent,
	}
	f.grant = grantRow{
		ID: f.loose.id, Client: f.client.ID, User: user, AuthTime: f.loose.login.AuthTime, Resources: f.asked,
		ExpiresAt: f.loose.codeEnd.Add(h.e.accessTTL(f.client)),
	}
	if err := h.e.askDetails(f); err != nil {
		return err
	}
	if len(f.details) > 0 && !f.client.Metadata.FirstParty {
		// A consent that was given before never covers details, and nobody is there to be asked (RFC 9396 §12).
		return refuse(InvalidDetails, "The application needs the user's consent to authorization_details, which an assertion cannot give.")
	}
	return nil
}

// grantClaims are the claims of an assertion that is exchanged for a token.
type grantClaims struct {
	assertionClaims
	AuthTime *numeric `json:"auth_time"`
	Events   any      `json:"events"`
}

// authTime is when the person proved to be there, the epoch if the assertion does not say: then the token
// says nothing either.
func (c *grantClaims) authTime(now time.Time) time.Time {
	if c.AuthTime == nil || c.AuthTime.time().After(now) {
		return time.Unix(0, 0)
	}
	return c.AuthTime.time()
}

// readGrant verifies an assertion and checks it (RFC 7523 §3).
func (e *Engine) readGrant(ctx context.Context, f *flow) (trust.Issuer, *grantClaims, error) {
	may := func(i trust.Issuer) bool { return i.Subject != trust.None && f.client.TrustsIssuer(i.Name) }
	issuer, payload, err := e.trust.Verify(ctx, f.form.Get("assertion"), may, "", "JWT", "authorization-grant+jwt")
	if errs.Is(err, errs.Unavailable) {
		return issuer, nil, err
	}
	c := new(grantClaims)
	if err == nil {
		err = josejson.Unmarshal(payload, c)
	}
	if err == nil {
		err = c.check(e.issuer, f.now)
	}
	if err != nil {
		return issuer, nil, invalidGrant(fmt.Sprintf("assertion: %v", err))
	}
	return issuer, c, nil
}

// check is RFC 7523 §3. As for client assertions, this server must be the only audience.
func (c *grantClaims) check(issuer string, now time.Time) error {
	switch {
	case c.Subject == "" || len(c.Subject) > maxHint || strings.ContainsRune(c.Subject, 0): // no row can have NUL
		return errors.New("no subject, or one that cannot be")
	case c.Audience != issuer:
		return errors.New("the audience is not this issuer")
	case c.Expires == nil || !now.Before(c.Expires.time().Add(skew)):
		return errors.New("no expiry, or expired")
	case c.Expires.time().After(now.Add(maxGrantLife)):
		return errors.New("lives too long")
	case c.IssuedAt != nil && c.IssuedAt.time().After(now.Add(skew)), c.NotBefore != nil && c.NotBefore.time().After(now.Add(skew)):
		return errors.New("from the future")
	case c.ID == "" || len(c.ID) > maxJTI:
		return errors.New("no jti, or a very long one")
	case c.Events != nil: // a logout token or another security event (RFC 8417 §2.2)
		return errors.New("a security event")
	}
	return nil
}

// PopulateTokenEndpointResponse signs, then writes the grant. Its code hash stands for the assertion and is
// unique: of any number of uses at once, one makes a grant.
func (h *bearerGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	err = h.e.db.InTx(ctx, func(ctx context.Context) error {
		err := h.e.insertLoose(ctx, f.loose, sqlInsertAsserted, "")
		if isNoRows(err) {
			return invalidGrant("used before, user inactive or consent withdrawn")
		}
		if err != nil {
			return err
		}
		if err := h.e.saveAccess(ctx, f, row); err != nil {
			return err
		}
		return h.e.audit.Record(ctx, audit.Event{
			Action: "grant.asserted", Result: audit.OK, Actor: string(f.client.ID), Target: string(f.grant.User), Client: f.client.ID,
			Detail: map[string]string{"grant": string(f.grant.ID)},
		})
	})
	if err != nil {
		return err
	}
	f.finish(out)
	return nil
}
