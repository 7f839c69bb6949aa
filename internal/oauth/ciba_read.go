package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

const (
	maxMessage      = 64               // characters of a binding message: it is compared by eye
	maxNotification = 1024             // bytes of a client_notification_token (CIBA §7.1)
	minCIBALife     = 10 * time.Second // of a request: less is over before anybody has read it
)

// cibaAsk is a backchannel authentication request that was read; what is exported is kept in its row.
type cibaAsk struct {
	remoteAsk
	Message   string   `json:"binding_message,omitempty"`
	ACRValues []string `json:"acr_values,omitempty"`

	user         id.User
	hint         hint
	lifetime     time.Duration
	notification string  // the client_notification_token
	object       *object // where it was signed
}

// readCIBA reads a request in the order in which its parts are judged (CIBA §7.2).
func (e *Engine) readCIBA(ctx context.Context, c *client.Client, form url.Values) (*cibaAsk, error) {
	o, err := e.backchannelObject(ctx, c, form)
	if err != nil {
		return nil, err
	}
	ask := &cibaAsk{object: o}
	if o != nil { // nothing outside of the object counts (CIBA §7.1.1)
		if form, err = o.members.form(); err != nil {
			return nil, badSigned(err)
		}
	}
	if ask.hint, err = readHint(form); err != nil {
		return nil, err
	}
	if ask.remoteAsk, err = e.readAsk(ctx, c, form); err != nil {
		return nil, err
	}
	if !slices.Contains(ask.Scopes, ScopeOpenID) { // CIBA §7.1
		return nil, refuse(InvalidScope, "scope must have openid.")
	}
	if ask.Message, err = readMessage(form.Get("binding_message")); err != nil {
		return nil, err
	}
	if err := recognizable(c, ask); err != nil {
		return nil, err
	}
	if ask.lifetime, err = e.readExpiry(form); err != nil {
		return nil, err
	}
	if ask.notification, err = readNotification(c, form.Get("client_notification_token")); err != nil {
		return nil, err
	}
	ask.ACRValues = words(form.Get("acr_values"))
	return ask, nil
}

// readMessage takes what can be shown and compared: no invisible characters, some of which Unicode counts
// among the letters, and none that turn the direction of writing (CIBA §7.1, §13).
func readMessage(text string) (string, error) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxMessage || strings.ContainsFunc(text, unseen) || text != strings.TrimSpace(text) {
		return "", refuse(InvalidBindingMessage, "binding_message must be printable, without spaces at its ends, and no longer than "+strconv.Itoa(maxMessage)+" characters.")
	}
	return text, nil
}

func unseen(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800' // the empty pattern of Braille
}

// recognizable demands of clients under FAPI something by which the person tells this request from another's
// (FAPI-CIBA §5.2.2): a message, or what is to be authorized in detail.
func recognizable(c *client.Client, ask *cibaAsk) error {
	if c.Metadata.UnderFAPI() && ask.Message == "" && len(ask.Details) == 0 {
		return refuse(InvalidRequest, "This application must send a binding_message or authorization_details.")
	}
	return nil
}

// readExpiry holds a requested lifetime within the bounds of the deployment (CIBA §7.1).
func (e *Engine) readExpiry(form url.Values) (time.Duration, error) {
	text := form.Get("requested_expiry")
	if text == "" {
		return e.ciba.terms.Lifetime, nil
	}
	seconds, ok := parseSeconds(text)
	if !ok || seconds == 0 {
		return 0, refuse(InvalidRequest, "requested_expiry is not a positive number of seconds.")
	}
	return min(max(time.Duration(seconds)*time.Second, minCIBALife), e.ciba.terms.MaxLifetime), nil
}

// readNotification reads the token with which a client in ping mode knows us again: of the form of a bearer
// token, because it travels as one (CIBA §7.1, RFC 6750 §2.1).
func readNotification(c *client.Client, token string) (string, error) {
	if !c.Metadata.Pinged() {
		return "", nil
	}
	if !bearerToken(token) || len(token) > maxNotification {
		return "", refuse(InvalidRequest, "client_notification_token is missing, too long or not of the form of a bearer token.")
	}
	return token, nil
}

// bearerToken is the b64token of RFC 6750 §2.1.
func bearerToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return s != ""
}

// badSigned is the one answer to a signed request that cannot be relied on (CIBA §13 has no other code).
func badSigned(err error) *Error {
	return refuse(InvalidRequest, "The signed authentication request is not valid.").because(err)
}

// backchannelObject reads a signed authentication request (CIBA §7.1.1); nil without one, where none is demanded:
// by the client's registration, or its profile (FAPI-CIBA §5.2.2).
func (e *Engine) backchannelObject(ctx context.Context, c *client.Client, form url.Values) (*object, error) {
	text := form.Get("request")
	if text == "" {
		if c.Metadata.CIBARequestAlg != "" || mustSign(c) || c.Metadata.UnderFAPI() {
			return nil, refuse(InvalidRequest, "This application must sign its authentication requests.")
		}
		return nil, nil
	}
	o, err := readObject(text)
	if err == nil && o.alg == "none" {
		err = errors.New("not signed")
	}
	if err != nil {
		return nil, badSigned(err)
	}
	if err := e.verifyObject(ctx, c, o, c.Metadata.CIBARequestAlg); err != nil {
		if errs.Is(err, errs.Unavailable) {
			return nil, err
		}
		return nil, badSigned(err)
	}
	if err := o.checkBackchannel(e.issuer, c, e.clock.Now()); err != nil {
		return nil, badSigned(err)
	}
	return o, nil
}

// checkBackchannel: every claim is required (CIBA §7.1.1), and the life is short for every client, because
// the jti is remembered for as long.
func (o *object) checkBackchannel(issuer string, c *client.Client, now time.Time) error {
	switch t := &o.claims; {
	case t.Issuer == nil:
		return errors.New("without iss")
	case t.IssuedAt == nil:
		return errors.New("without iat")
	case t.ID == nil || *t.ID == "" || len(*t.ID) > maxJTI:
		return errors.New("without jti, or with a very long one")
	}
	return o.check(issuer, c, true, now)
}

// spendObject admits each signed request once, in the transaction of what it asks for. The marks are among
// those of client assertions, and differ from all of them.
func (e *Engine) spendObject(ctx context.Context, c *client.Client, ask *cibaAsk) error {
	if ask.object == nil {
		return nil
	}
	t := &ask.object.claims
	var spent string
	err := e.db.Q(ctx).QueryRow(ctx, sqlSpendAssertion, string(c.ID), id.Digest("ciba\x00"+*t.ID),
		store.Micros(t.Expires.time().Add(objectSkew))).Scan(&spent)
	if isNoRows(err) {
		return badSigned(errors.New("used before"))
	}
	return err
}

// hint is whom a request is about: exactly one of the two.
type hint struct{ login, token string }

// readHint: one hint and no more (CIBA §7.1). Tokens of others about people are not offered.
func readHint(form url.Values) (hint, error) {
	h := hint{login: form.Get("login_hint"), token: form.Get("id_token_hint")}
	other := form.Get("login_hint_token")
	given := 0
	for _, one := range []string{h.login, h.token, other} {
		if one != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return hint{}, refuse(InvalidRequest, "Exactly one of login_hint and id_token_hint is needed.")
	case other != "":
		return hint{}, refuse(InvalidRequest, "login_hint_token is not supported: send login_hint or id_token_hint.")
	case len(h.login) > maxHint:
		return hint{}, refuse(InvalidRequest, "login_hint is too long.")
	}
	return h, nil
}

// hintedUser finds who is meant (CIBA §7.2). A miss is counted before it is looked at: the answer says
// whether there is such an account.
func (e *Engine) hintedUser(ctx context.Context, c *client.Client, h hint) (id.User, error) {
	if h.token != "" {
		return e.tokenUser(ctx, c, h.token)
	}
	try, err := e.limits.Reserve(ctx, ratelimit.Key{Budget: e.budgetUnknown(), Value: string(c.ID)})
	if err != nil {
		return "", err
	}
	user, err := e.ciba.directory.Find(ctx, h.login)
	if err == nil {
		if user, err = e.activeUser(ctx, user); err == nil {
			return user, try.Succeed(ctx)
		}
	}
	if !errs.Is(err, errs.NotFound) {
		return "", err
	}
	return "", e.unknown(ctx, c)
}

// tokenUser finds the person of an ID token that the client got here; it may have expired.
func (e *Engine) tokenUser(ctx context.Context, c *client.Client, token string) (id.User, error) {
	claims, err := e.verifyHint(token)
	if err == nil && !claims.issuedTo(c.ID) {
		err = errors.New("the hint was issued to another client")
	}
	if err != nil {
		return "", refuse(InvalidRequest, "id_token_hint is not an ID token of this server for this application.").because(err)
	}
	user, err := e.activeUser(ctx, e.userOfToken(c, claims))
	if errs.Is(err, errs.NotFound) {
		return "", e.unknown(ctx, c)
	}
	return user, err
}

func (e *Engine) activeUser(ctx context.Context, user id.User) (id.User, error) {
	if user == "" {
		return "", errs.New(errs.NotFound, "", nil)
	}
	s, err := e.subjects.Subject(ctx, user)
	if err == nil && !s.Active {
		err = errs.New(errs.NotFound, "", nil)
	}
	return user, err
}

// unknown says that nobody is meant, and records that an application looked for somebody who is not here.
func (e *Engine) unknown(ctx context.Context, c *client.Client) error {
	err := e.db.InTx(ctx, func(ctx context.Context) error {
		return e.audit.Record(ctx, audit.Event{
			Action: "ciba.asked", Result: audit.Refused, Actor: string(c.ID), Client: c.ID, Detail: map[string]string{"reason": UnknownUserID},
		})
	})
	if err != nil {
		return err
	}
	return refuse(UnknownUserID, "Nobody here goes by this hint.")
}
