package oauth

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// accessInfo is an access token that is active now: of either format, checked in full.
type accessInfo struct {
	Client   id.Client
	User     id.User // "" for machine clients
	Subject  string  // sub as the client knows the user
	SID      string  // sid as the client knows the session
	Grant    id.Grant
	Owner    id.Client // of the grant; another than Client for exchanged tokens (RFC 8693)
	Session  id.Session
	Scopes   []string
	Audience []string
	ID       string // jti; "" for opaque tokens
	IssuedAt time.Time
	Expires  time.Time
	AuthTime time.Time
	ACR      string
	AMR      []string
	Confirm  confirmation
	Act      *actor
	Via      []string
	Details  json.RawMessage
	Params   grantParams // of the grant; zero for a JWT of a machine
}

func (a *accessInfo) subject() string {
	if a.User != "" {
		return a.Subject
	}
	return string(a.Client)
}

// inspect checks an access token in one round trip: signature or row, lifetime, revocation of the
// token and of its grant, user and client. It returns nil for anything that is not active; an
// error only when the store could not say.
func (e *Engine) inspect(ctx context.Context, token string) (*accessInfo, error) {
	var a *accessInfo
	var err error
	if strings.HasPrefix(token, string(id.AccessToken)) {
		a, err = e.inspectOpaque(ctx, token)
	} else if len(token) <= maxAccessText {
		a, err = e.inspectJWT(ctx, token)
	}
	if a == nil || err != nil {
		return nil, err
	}
	c, err := e.clients.Get(ctx, a.Client)
	if err == nil {
		// What a JWT says must be what its client knows the user by now, pairwise or not.
		if sub := e.subjectOf(c, a.User); a.Subject == "" {
			a.Subject = sub
		} else if a.Subject != sub {
			return nil, nil
		}
		a.SID = e.sidOf(c, a.Session)
	}
	if errs.Is(err, errs.NotFound) || err == nil && !live(c, a) {
		return nil, nil
	}
	for _, cid := range a.behind() {
		if err != nil {
			break
		}
		if c, err = e.clients.Get(ctx, cid); errs.Is(err, errs.NotFound) || err == nil && !live(c, a) {
			return nil, nil
		}
	}
	return a, err
}

// behind lists the clients with which an exchanged token ends beside its own: the one that the user let
// in, and all that acted on the way (RFC 8693 §4.1). Every other token has none, and costs no look-up.
func (a *accessInfo) behind() (list []id.Client) {
	if a.Owner != "" && a.Owner != a.Client {
		list = append(list, a.Owner)
	}
	for one := a.Act; one != nil; one = one.Act {
		if c := id.Client(one.ClientID); c != "" && c != a.Client && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	for _, c := range a.Via {
		list = append(list, id.Client(c))
	}
	return list
}

// live reports whether a client is active, no other than the one that had its id when the token was
// issued, and demands no more by now than the sign-in behind a user's token had.
func live(c *client.Client, a *accessInfo) bool {
	return c.Active() && !a.IssuedAt.Add(skew).Before(c.CreatedAt) && (a.User == "" || demandMet(c, a.AMR))
}

func (e *Engine) inspectJWT(ctx context.Context, token string) (*accessInfo, error) {
	c, err := e.verifyAccess(token)
	if err != nil {
		return nil, nil
	}
	a := &accessInfo{
		Client: id.Client(c.ClientID), Grant: id.Grant(c.GrantID), Audience: c.Audience,
		Scopes: strings.Fields(c.Scope), ID: c.ID, IssuedAt: time.Unix(c.IssuedAt, 0), Expires: time.Unix(c.Expires, 0), ACR: c.ACR, AMR: c.AMR,
	}
	if c.Confirm != nil {
		a.Confirm = *c.Confirm
	}
	a.Act, a.Via, a.Details = c.Act, c.Via, c.Details
	if c.GrantID == "" {
		var jti string
		err := e.db.Q(ctx).QueryRow(ctx, sqlDenied, c.ID).Scan(&jti)
		if isNoRows(err) {
			return a, nil
		}
		return nil, err
	}
	var owner, user, active, denied, params string
	var revoked, expires int64
	err = e.db.Q(ctx).QueryRow(ctx, sqlGrantState, c.GrantID, c.ID).Scan(&owner, &user, (*string)(&a.Session), &revoked, &expires, &params, &active, &denied)
	switch {
	case isNoRows(err): // swept, or deleted with its user or client
		return nil, nil
	case err != nil:
		return nil, err
	case revoked != 0 || active == "" || denied != "" || c.Subject == "" || !e.clock.Now().Before(store.Time(expires)):
		return nil, nil
	}
	a.Owner = id.Client(owner)
	a.User, a.Subject, a.AuthTime = id.User(user), c.Subject, time.Unix(c.AuthTime, 0)
	a.Params, err = decodeParams(params)
	if owner != c.ClientID { // claims were allowed to the application that asked for them
		a.Params.Claims = nil
	}
	return a, err
}

func (e *Engine) inspectOpaque(ctx context.Context, token string) (*accessInfo, error) {
	hash, ok := id.Hash(id.AccessToken, token)
	if !ok {
		return nil, nil
	}
	a := &accessInfo{}
	var scopes, aud, amr, active, own, params, owner string
	var created, expires, revoked, grantRevoked, grantExpires, auth int64
	err := e.db.Q(ctx).QueryRow(ctx, sqlAccess, hash).Scan((*string)(&a.Client), &scopes, &aud, &created, &expires, &revoked,
		(*string)(&a.Grant), (*string)(&a.User), (*string)(&a.Session), &grantRevoked, &grantExpires, &auth, &a.ACR, &amr, &active, &own, &params, &owner)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := e.clock.Now()
	if revoked != 0 || !now.Before(store.Time(expires)) ||
		a.Grant != "" && (grantRevoked != 0 || active == "" || !now.Before(store.Time(grantExpires))) {
		return nil, nil
	}
	a.IssuedAt, a.Expires, a.AuthTime = store.Time(created), store.Time(expires), store.Time(auth)
	a.Scopes, a.Audience, a.AMR = decodeList(scopes, &err), decodeList(aud, &err), decodeList(amr, &err)
	if err == nil {
		a.Params, err = decodeParams(params)
	}
	if a.Owner = id.Client(owner); a.Owner != a.Client {
		a.Params.Claims = nil
	}
	if err == nil && own != "{}" {
		var p accessParams
		err = json.Unmarshal([]byte(own), &p)
		a.Confirm, a.Act, a.Via, a.Details = p.Confirm, p.Act, p.Via, p.Details
	}
	return a, err
}

// Introspection is an introspection response (RFC 7662 §2.2). An inactive one has nothing else.
type Introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Session   string   `json:"sid,omitempty"`

	Confirm *confirmation   `json:"cnf,omitempty"`                   // RFC 9449 §6.2, RFC 8705 §3.2
	Act     *actor          `json:"act,omitempty"`                   // RFC 8693 §4.1
	Details json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 §9.2
}

// Introspect answers an introspection request (RFC 7662 §2). Callers are confidential clients. A
// caller learns about the tokens that were issued to itself, and about those made out to an API
// (audience) that it is registered with; everything else is inactive to it (fosite trap
// 7). A refresh token is only ever reported to its own client, and only when token_type_hint
// says that this is what was meant: an API must not take one for an access token.
func (e *Engine) Introspect(ctx context.Context, call Call) (*Introspection, error) {
	_, out, err := e.introspect(ctx, call)
	return out, err
}

// introspect says who asks, and what it may know.
func (e *Engine) introspect(ctx context.Context, call Call) (*client.Client, *Introspection, error) {
	h, form := call.Header, call.Form
	if duplicate(form) != "" {
		return nil, nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	caller, err := e.authenticate(ctx, &call)
	if err != nil {
		return nil, nil, err
	}
	if caller.Public() {
		return nil, nil, badClient(h, "public clients may not introspect")
	}
	token := form.Get("token")
	if token == "" {
		return nil, nil, refuse(InvalidRequest, "token is missing.")
	}
	if form.Get("token_type_hint") == client.GrantRefreshToken {
		if out, err := e.introspectRefresh(ctx, caller, token); out.Active || err != nil {
			return caller, out, err
		}
	}
	a, err := e.inspect(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if a == nil || a.Client != caller.ID && !slices.ContainsFunc(a.Audience, caller.AllowsAudience) {
		return caller, &Introspection{}, nil
	}
	out, err := e.tell(caller, a)
	return caller, out, err
}

// tell says what a caller may know of an active token.
func (e *Engine) tell(caller *client.Client, a *accessInfo) (*Introspection, error) {
	out := &Introspection{
		Active: true, Scope: strings.Join(a.Scopes, " "), ClientID: string(a.Client), TokenType: a.Confirm.tokenType(), Expires: a.Expires.Unix(),
		IssuedAt: a.IssuedAt.Unix(), Subject: a.subject(), Audience: a.Audience, Issuer: e.issuer, ID: a.ID,
		Confirm: a.Confirm.claim(), Act: a.Act, Details: a.Details,
	}
	if a.User != "" {
		out.ACR, out.AMR, out.Session = a.ACR, a.AMR, a.SID
		if !a.AuthTime.IsZero() { // known of sign-ins, not of every assertion
			out.AuthTime = a.AuthTime.Unix()
		}
	}
	if a.Client == caller.ID || len(a.Details) == 0 {
		return out, nil
	}
	// RFC 9396 §9.2: an API learns the details that are about it.
	list, err := parseDetails(string(a.Details))
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(slices.Clone(a.Audience), func(aud string) bool { return !caller.AllowsAudience(aud) })
	if list = slices.DeleteFunc(list, func(d detail) bool { return !d.at(mine) }); len(list) == 0 {
		out.Details = nil
		return out, nil
	}
	out.Details, err = json.Marshal(list)
	return out, err
}

func (e *Engine) introspectRefresh(ctx context.Context, caller *client.Client, token string) (*Introspection, error) {
	g, p, err := e.findRefresh(ctx, token)
	if g == nil || err != nil {
		return &Introspection{}, err
	}
	now := e.clock.Now()
	if g.Client != caller.ID || p.successor != "" || !g.stands(caller, now) || !now.Before(p.expires) || !e.strongEnough(caller, g.signIn()) {
		return &Introspection{}, nil
	}
	return &Introspection{
		Active: true, Scope: strings.Join(g.Scopes, " "), ClientID: string(g.Client), Expires: p.expires.Unix(),
		Subject: e.subjectOf(caller, g.User), Issuer: e.issuer,
	}, nil
}

// findRefresh reads a refresh token with its grant; both are nil if there is none.
func (e *Engine) findRefresh(ctx context.Context, token string) (*grantRow, *presented, error) {
	hash, ok := id.Hash(id.RefreshToken, token)
	if !ok {
		return nil, nil, nil
	}
	g, p := &grantRow{}, &presented{}
	var expires, used int64
	var confirm string
	err := g.scan(e.db.Q(ctx).QueryRow(ctx, sqlRefresh, hash), &expires, &p.successor, &p.sealed, &used, &confirm)
	if isNoRows(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p.expires, p.usedAt, p.confirm = store.Time(expires), store.Time(used), parseConfirmation(confirm)
	return g, p, nil
}
