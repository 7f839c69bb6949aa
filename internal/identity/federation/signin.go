package federation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
)

// The message keys of sign-ins that come to nothing.
const (
	KeyUnreachable = "upstream.unreachable" // the provider does not answer, or not as it should
	KeyDenied      = "upstream.denied"      // the person or the provider said no
	KeyRefused     = "upstream.refused"     // what came back does not hold
	KeyNotFresh    = "upstream.not_fresh"   // the provider did not make them prove it again
	KeyStale       = "error.upstream_stale" // no sign-in of this browser waits for this answer
)

// purposeState is a sign-in that waits for the provider's answer.
const purposeState onetime.Purpose = "upstream_state"

// stateLife is how long a person may take at the provider.
const stateLife = 30 * time.Minute

// Start is a person about to go to a provider.
type Start struct {
	Provider string
	Browser  string // the value of the browser's own cookie, which the answer must come with
	// Journey is the sign-in that waits, or User and Session who links an identity to their account.
	Journey id.Journey
	User    id.User
	Session id.Session
	// Fresh demands of the provider to make them prove it again, whoever is signed in there; Again
	// asks for it and takes what comes.
	Fresh, Again bool
	// Hint is the name that was typed here; Locale the language of our page.
	Hint, Locale string
}

// Answer is what a provider said, checked. Of a Start whose state came back it has Journey, User
// and Session even when there is an error besides.
type Answer struct {
	Identity Identity
	Journey  id.Journey
	User     id.User
	Session  id.Session
	// At is when the person proved to the provider who they are, as far as it tells, else now.
	At time.Time
	// MFA says that the provider vouches for a second factor and that its word counts.
	MFA bool
}

// pending is the payload of a state: what the answer is checked against. It is kept sealed.
type pending struct {
	Issuer   string     `json:"issuer"`
	Nonce    string     `json:"nonce"`
	Verifier string     `json:"verifier"`
	Fresh    bool       `json:"fresh,omitempty"`
	Since    time.Time  `json:"since"` // when the browser left
	Journey  id.Journey `json:"journey,omitempty"`
	User     id.User    `json:"user,omitempty"`
	Session  id.Session `json:"session,omitempty"`
}

// Start returns where to send the browser. The state that goes along is good for one answer, of
// this provider, in this browser.
func (s *Service) Start(ctx context.Context, in Start) (location string, err error) {
	p := s.find(in.Provider)
	if p == nil {
		return "", errs.New(errs.NotFound, "", errors.New("no such provider"))
	}
	browser, ok := id.Hash(id.BrowserCookie, in.Browser)
	if !ok {
		return "", errs.New(errs.NotFound, KeyStale, errors.New("no browser cookie"))
	}
	// Each try is a request to the provider, perhaps, and a row; it is counted before either.
	source := ratelimit.Key{Budget: s.d.Budgets.Start, Value: ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)}
	if _, err := s.d.Limits.Reserve(ctx, source); err != nil {
		return "", err
	}
	m, err := s.metadata(ctx, p)
	if err != nil {
		return "", err
	}
	// RFC 7636 §4.1 and OIDC Core §3.1.2.1: 256 bits each.
	wait := pending{
		Issuer: p.Issuer, Nonce: random(), Verifier: random(), Fresh: in.Fresh, Since: s.d.Clock.Now(),
		Journey: in.Journey, User: in.User, Session: in.Session,
	}
	subject := string(in.Journey)
	if subject == "" {
		subject = string(in.Session)
	}
	state, err := s.d.OneTime.Put(ctx, onetime.Draft{
		Purpose: purposeState, Subject: subject, Binding: binding(browser, p), Payload: wait, TTL: stateLife, Token: id.UpstreamState,
	})
	if err != nil {
		return "", errs.Wrap("start upstream sign-in", err)
	}
	return s.authorizeURL(p, m, in, wait, state.Token.Reveal())
}

// binding ties a state to the browser and to the provider.
func binding(browserHash string, p *provider) string {
	return id.Digest(browserHash + "\x00" + p.Name + "\x00" + p.Issuer + "\x00" + p.ClientID)
}

func (s *Service) authorizeURL(p *provider, m metadata, in Start, wait pending, state string) (string, error) {
	u, err := url.Parse(m.AuthorizationEndpoint)
	if err != nil {
		return "", errs.New(errs.Unavailable, KeyUnreachable, err)
	}
	challenge := sha256.Sum256([]byte(wait.Verifier))
	q := u.Query() // an endpoint may have a query of its own (RFC 6749 §3.1)
	q.Set("response_type", "code")
	q.Set("client_id", p.ClientID)
	q.Set("redirect_uri", s.callbackURL(p))
	q.Set("scope", strings.Join(p.Scopes, " "))
	q.Set("state", state)
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	q.Set("code_challenge_method", "S256") // RFC 9700 §2.1.1
	if p.Kind == GitHub {
		if in.Hint != "" {
			q.Set("login", in.Hint)
		}
	} else {
		q.Set("nonce", wait.Nonce)
		if in.Fresh || in.Again {
			q.Set("max_age", "0") // OIDC Core §3.1.2.1; the answer then has to have auth_time
		}
		if in.Hint != "" {
			q.Set("login_hint", in.Hint)
		}
		if in.Locale != "" {
			q.Set("ui_locales", in.Locale)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Callback checks the answer of a provider: query is that of the request to its CallbackPath,
// browser the value of the browser's own cookie. The state is used up first, whatever the rest of
// the answer is like.
//
// An answer that comes again is errs.Conflict, with the Journey, so that a reload leads on to where
// the sign-in stands now.
func (s *Service) Callback(ctx context.Context, providerName, browser string, query url.Values) (Answer, error) {
	p := s.find(providerName)
	if p == nil {
		return Answer{}, errs.New(errs.NotFound, "", errors.New("no such provider"))
	}
	wait, err := s.takeState(ctx, p, browser, query["state"])
	out := Answer{Journey: wait.Journey, User: wait.User, Session: wait.Session}
	if err != nil {
		return out, err
	}
	code, err := s.checkResponse(ctx, p, wait, query)
	if err == nil {
		err = s.redeem(ctx, p, wait, code, &out)
	}
	if err != nil {
		s.refused(ctx, p, out, err)
	}
	return out, err
}

func (s *Service) takeState(ctx context.Context, p *provider, browser string, states []string) (pending, error) {
	stale := func(cause string) error { return errs.New(errs.NotFound, KeyStale, errors.New(cause)) }
	hash, ok := id.Hash(id.BrowserCookie, browser)
	if !ok {
		return pending{}, stale("no browser cookie")
	}
	if len(states) != 1 {
		return pending{}, stale("not exactly one state")
	}
	if _, ok := id.Hash(id.UpstreamState, states[0]); !ok {
		return pending{}, stale("not a state of ours")
	}
	mine := binding(hash, p)
	t, err := s.d.OneTime.Take(ctx, purposeState, states[0], mine)
	if errs.Is(err, errs.NotFound) {
		used, again := s.d.OneTime.Peek(ctx, purposeState, states[0])
		if errs.Is(again, errs.NotFound) && errs.As(again).Key == onetime.KeyUsed && used.Binding == mine {
			wait, err := onetime.Read[pending](used)
			if err != nil {
				return pending{}, err
			}
			return pending{Journey: wait.Journey, User: wait.User, Session: wait.Session},
				errs.New(errs.Conflict, KeyStale, errors.New("the answer came before"))
		}
		return pending{}, stale(err.Error())
	}
	if err != nil {
		return pending{}, errs.Wrap("upstream callback", err)
	}
	return onetime.Read[pending](t)
}

// checkResponse checks the authorization response (RFC 6749 §4.1.2) and returns the code.
func (s *Service) checkResponse(ctx context.Context, p *provider, wait pending, query url.Values) (string, error) {
	for _, name := range []string{"code", "error", "iss", "error_description"} {
		if len(query[name]) > 1 {
			return "", refuse("the answer has two of " + name) // RFC 6749 §3.1
		}
	}
	if wait.Issuer != p.Issuer {
		return "", refuse("the provider was reconfigured meanwhile")
	}
	m, err := s.metadata(ctx, p)
	if err != nil {
		return "", err
	}
	// RFC 9207 §2.4: the issuer that is named must be the one that was asked, and one that says it
	// always names it must have done so; for errors too.
	iss, named := query["iss"]
	if p.Kind == OIDC && (named && iss[0] != m.Issuer || !named && m.IssInResponse) {
		return "", refuse("the answer is not by the issuer that was asked")
	}
	code, failed := query.Get("code"), query.Get("error")
	switch {
	case code != "" && failed != "":
		return "", refuse("the answer has both a code and an error")
	case failed != "":
		return "", errs.New(errs.Forbidden, KeyDenied, errors.New("the provider answered "+bounded(failed, 64)))
	case code == "" || len(code) > maxCode:
		return "", refuse("the answer has no usable code")
	}
	return code, nil
}

// maxCode bounds an authorization code, in bytes.
const maxCode = 4096

// redeem exchanges the code and fills out.
func (s *Service) redeem(ctx context.Context, p *provider, wait pending, code string, out *Answer) error {
	if p.Kind == GitHub {
		return s.redeemGitHub(ctx, p, wait, code, out)
	}
	return s.redeemOIDC(ctx, p, wait, code, out)
}

// refused records an answer that was not taken. The act is over, so a fault of the record itself
// changes nothing; it is logged.
func (s *Service) refused(ctx context.Context, p *provider, a Answer, cause error) {
	e := errs.As(cause)
	s.d.Log.WarnContext(ctx, "upstream sign-in failed", "provider", p.Name, "error", cause.Error())
	err := s.d.DB.InTx(ctx, func(ctx context.Context) error {
		return s.d.Audit.Record(ctx, audit.Event{
			Action: "upstream.sign_in", Result: audit.Refused, Target: string(a.User),
			Detail: map[string]string{"provider": p.Name, "reason": e.Key},
		})
	})
	if err != nil {
		s.d.Log.WarnContext(ctx, "upstream sign-in: the refusal could not be recorded", "error", err.Error())
	}
}

// refuse is an answer that does not hold. People get one text for all of them.
func refuse(why string) error { return errs.New(errs.Unauthenticated, KeyRefused, errors.New(why)) }

func notFresh() error {
	return errs.New(errs.Unauthenticated, KeyNotFresh, errors.New("the provider does not say that the person has just signed in there"))
}

// random is 256 bits as text.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bounded makes text of others fit for a log line.
func bounded(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, s)
	return s[:min(len(s), limit)]
}
