package oauth

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
)

const (
	pushedURN     = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2
	purposePushed = onetime.Purpose("pushed-request")
	// pushedLife is how long a browser may take to arrive. FAPI 2.0 Security Profile §5.3.2.2 wants
	// less than 600 s; what is short cannot be replayed for long (RFC 9126 §7.3).
	pushedLife = 90 * time.Second
	// pushedKept is how long a row stays, longer than any sign-in that began in time: whether the
	// request was answered already must be known until the last of them has ended.
	pushedKept = time.Hour
)

// pushBudget bounds what strangers can make us keep: a public client proves nothing, so anybody can
// push for it, and a client that registered itself proves nothing but that. A network has as many
// sign-ins in progress (RFC 6819 §4.4.1.11).
var pushBudget = ratelimit.Budget{Name: "push-source", Limit: 600, Per: 15 * time.Minute}

// Pushed is the answer to a pushed authorization request (RFC 9126 §2.2).
type Pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// pushedRow is what is kept of one: the checked request, never the form with its credentials (fosite
// trap 9).
type pushedRow struct {
	Request *Request  `json:"request"`
	Until   time.Time `json:"until"` // no sign-in begins later
}

// Push takes an authorization request from the application itself (RFC 9126 §2): whoever answers for
// the client is known before a person is involved, and nothing in the browser can change what is
// asked. Every check of the authorization endpoint is made now (§2.1).
func (e *Engine) Push(ctx context.Context, call Call) (*Pushed, error) {
	if duplicate(call.Form) != "" {
		return nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	// A proof without our nonce is told first, before an assertion is used up.
	if _, err := e.readProof(&call); err != nil {
		return nil, AsError(err)
	}
	c, err := e.authenticate(ctx, &call)
	if err != nil {
		return nil, AsError(err)
	}
	if call.Form.Has("request_uri") { // RFC 9126 §2.1
		return nil, refuse(InvalidRequest, "request_uri cannot be pushed.")
	}
	if c.Public() || c.Unvetted() { // anybody can push for it, or could have made one to push for
		if e.limits == nil {
			return nil, refuse(UnauthorizedClient, "Public clients cannot push here.")
		}
		source := ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)
		if _, err := e.limits.Reserve(ctx, ratelimit.Key{Budget: pushBudget, Value: source}); err != nil {
			return nil, AsError(err)
		}
	}
	req, err := e.checkPush(ctx, c, &call)
	if err != nil {
		out := AsError(err)
		out.Redirect = nil // the application is told here and now (§2.3)
		return nil, out
	}
	kept, err := e.things.Put(ctx, onetime.Draft{
		Purpose: purposePushed, Subject: string(c.ID), Binding: string(c.ID), TTL: pushedKept, Token: id.PushedRequest,
		Payload: pushedRow{Request: req, Until: e.clock.Now().Add(pushedLife)},
	})
	if err != nil {
		return nil, AsError(err)
	}
	return &Pushed{RequestURI: pushedURN + kept.Token.Reveal(), ExpiresIn: int64(pushedLife / time.Second)}, nil
}

func (e *Engine) checkPush(ctx context.Context, c *client.Client, call *Call) (*Request, error) {
	form := maps.Clone(call.Form)
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", string(c.ID))
	u := unpacked{form: form}
	if form.Has("request") { // RFC 9126 §3
		var err error
		if u, err = e.object(ctx, c, form.Get("request"), InvalidRequestObject); err != nil {
			return nil, err
		}
	}
	return e.check(ctx, &authorization{e: e, form: u.form, signed: u.signed, push: call})
}

// badRequestURI is the one answer to a request_uri that cannot be used, whoever made it and whatever
// became of it (RFC 9101 §7).
func badRequestURI(why string) *Error {
	return refuse(InvalidRequestURI, "The request_uri is unknown, has expired or was used already.").because(&requestURIFault{why})
}

type requestURIFault struct{ why string }

func (f *requestURIFault) Error() string { return "request_uri: " + f.why }

// pushed finds a pushed request. Looking uses nothing up: until the answer is given, the same address
// can be opened again (RFC 9126 §4). What else was sent is not looked at, so nothing can be added.
func (e *Engine) pushed(ctx context.Context, form url.Values) (unpacked, error) {
	cid, ok := single(form, "client_id")
	if !ok || cid == "" || len(cid) > maxClientID {
		return unpacked{}, refuse(InvalidRequest, "client_id is missing or occurs more than once.")
	}
	token := strings.TrimPrefix(form.Get("request_uri"), pushedURN)
	if _, ok := id.Hash(id.PushedRequest, token); !ok {
		return unpacked{}, badRequestURI("not one of ours")
	}
	t, err := e.things.Peek(ctx, purposePushed, token)
	if errs.Is(err, errs.NotFound) {
		return unpacked{}, badRequestURI(errs.As(err).Key)
	}
	if err != nil {
		return unpacked{}, err
	}
	row, err := onetime.Read[pushedRow](t)
	switch {
	case err != nil:
		return unpacked{}, err
	case t.Binding != cid || row.Request == nil || string(row.Request.ClientID) != cid: // RFC 9126 §2.2: bound to the client
		return unpacked{}, badRequestURI("pushed by another client")
	case !e.clock.Now().Before(row.Until):
		return unpacked{}, badRequestURI("expired")
	}
	// The registration may have changed since.
	c, err := e.requester(ctx, form)
	if err != nil {
		return unpacked{}, err
	}
	if !c.AllowsRedirect(row.Request.RedirectURI) {
		return unpacked{}, badRequestURI("its redirect_uri is not registered any more")
	}
	row.Request.Pushed = t.ID
	return unpacked{ready: row.Request}, nil
}

// once runs what answers a request. A pushed request is answered once: it is spent in the transaction
// of its answer, so that one of any number wins, and a failure leaves it as it was.
func (e *Engine) once(ctx context.Context, r *Request, answer func(context.Context) error) error {
	if r.Pushed == "" {
		return answer(ctx)
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		if err := e.spendPushed(ctx, r); err != nil {
			return err
		}
		return answer(ctx)
	})
}

func (e *Engine) spendPushed(ctx context.Context, r *Request) error {
	if r.Pushed == "" {
		return nil
	}
	_, err := e.things.TakeID(ctx, purposePushed, r.Pushed, string(r.ClientID))
	if errs.Is(err, errs.NotFound) {
		return badRequestURI("answered already")
	}
	return err
}

// checkPushed: where pushing is required, nothing else will do (RFC 9126 §5, §6; FAPI 2.0 Security Profile
// §5.3.2.2).
func checkPushed(_ context.Context, a *authorization) error {
	m := &a.client.Metadata
	if a.push == nil && (a.e.policy.RequirePushed || m.RequirePAR || m.UnderFAPI()) {
		return refuse(InvalidRequest, "This application must push its authorization requests.")
	}
	return nil
}

// requester finds the client that a request names; an error about it is for a page.
func (e *Engine) requester(ctx context.Context, form url.Values) (*client.Client, error) {
	cid, ok := single(form, "client_id")
	if !ok || cid == "" || len(cid) > maxClientID {
		return nil, refuse(InvalidRequest, "client_id is missing or occurs more than once.")
	}
	c, err := e.clients.Get(ctx, id.Client(cid))
	if errs.Is(err, errs.NotFound) || err == nil && !c.Active() {
		// One text for both: whether a client exists is nobody's business.
		out := refuse(InvalidClient, "This application is not registered here, or is switched off.")
		out.Status = http.StatusBadRequest // there is nothing to authenticate with on a page
		return nil, out
	}
	return c, err
}
