package registration

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/trust"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Mode says who may register.
type Mode string

// The modes.
const (
	Off   Mode = "off"
	Token Mode = "token" // whoever has an initial access token
	Open  Mode = "open"  // anybody, in quarantine
)

// Statements says what becomes of software statements.
type Statements string

// The answers to a software statement.
const (
	Refuse  Statements = "refuse"
	Accept  Statements = "accept"
	Require Statements = "require"
)

// Policy is what the operator decided.
type Policy struct {
	Mode       Mode
	Terms      client.Terms
	PerNetwork int // open registrations an hour
	MaxClients int // in quarantine at once
	Statements Statements
}

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Clients *client.Service
	Limits  *ratelimit.Limiter
	Audit   *audit.Log
	Trust   *trust.Service // signers of software statements; nil for none
	Issuer  string
	// EnsureAlg makes a signing key of an algorithm that nobody asked for before.
	EnsureAlg func(ctx context.Context, alg string) error
	Policy    Policy
}

// Service registers clients. It is safe for concurrent use.
type Service struct{ d Deps }

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Clients == nil || d.Limits == nil || d.Audit == nil || d.Issuer == "" || d.EnsureAlg == nil {
		return nil, errors.New("registration: missing dependency")
	}
	if d.Policy.PerNetwork < 1 || d.Policy.MaxClients < 1 {
		d.Policy.PerNetwork, d.Policy.MaxClients = 20, 1000
	}
	return &Service{d}, nil
}

// Enabled reports whether anybody may register at all. A Service that is nil says no.
func (s *Service) Enabled() bool {
	return s != nil && (s.d.Policy.Mode == Token || s.d.Policy.Mode == Open)
}

// Path is where clients register, below the issuer; each is managed at its id below that.
const Path = "/oauth2/register"

// Answer is a client as it is told to itself (RFC 7591 §3.2.1, RFC 7592 §3).
type Answer struct {
	client.Description
	IssuedAt      int64  `json:"client_id_issued_at"`
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"` // with a secret; 0 is never
	URI           string `json:"registration_client_uri"`
	Token         string `json:"registration_access_token"`
	Statement     string `json:"software_statement,omitempty"`
}

func (s *Service) answer(c client.Client, secret, token seal.Secret, statement string) *Answer {
	a := &Answer{
		Description: c.Describe(), IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(),
		URI: s.d.Issuer + Path + "/" + string(c.ID), Token: token.Reveal(), Statement: statement,
	}
	if a.Secret != "" {
		a.SecretExpires = new(int64)
	}
	return a
}

// Request is a call to the registration endpoints.
type Request struct {
	Token  string // bearer token of the Authorization header, "" for none
	Body   []byte // JSON, within the door's limits
	Source string // address that it comes from
}

// budgets say how many clients one network may register without a token. A site with an IPv6 /48 has
// ten times as much: more would be as many clients as it likes.
func (s *Service) budgets(source string) []ratelimit.Key {
	per := s.d.Policy.PerNetwork
	keys := []ratelimit.Key{{Budget: ratelimit.Budget{Name: "registration-source", Limit: per, Per: time.Hour}, Value: ratelimit.SourceNetwork(source)}}
	if site := ratelimit.SiteNetwork(source); site != "" {
		keys = append(keys, ratelimit.Key{Budget: ratelimit.Budget{Name: "registration-site", Limit: 10 * per, Per: time.Hour}, Value: site})
	}
	return keys
}

// network is who holds the clients in quarantine that come from an address: an IPv6 /48 as a whole, because
// who has one has 65,536 networks of size /64.
func network(source string) string {
	if site := ratelimit.SiteNetwork(source); site != "" {
		return site
	}
	return ratelimit.SourceNetwork(source)
}

// updatesPerHour is how often one client may change what it registered: each time rows are written, the
// caches of all instances are emptied, and somebody may be asked for a document.
const updatesPerHour = 60

// perTokenHour is how many requests to register one initial access token may make.
const perTokenHour = 600

// Register registers a client (RFC 7591 §3).
func (s *Service) Register(ctx context.Context, r Request) (*Answer, error) {
	if r.Token == "" && s.d.Policy.Mode != Open {
		return nil, noToken()
	}
	terms, reg := s.d.Policy.Terms, client.Registered{}
	if r.Token != "" {
		// Read first, spent with the client: a mistake in the metadata costs no use.
		t, err := s.initial(ctx, r.Token)
		if err != nil {
			return nil, err
		}
		// One for any number of uses that got about lets nobody fill the store.
		budget := ratelimit.Budget{Name: "registration-token", Limit: perTokenHour, Per: time.Hour}
		if _, err := s.d.Limits.Reserve(ctx, ratelimit.Key{Budget: budget, Value: t.ID}); err != nil {
			return nil, err
		}
		terms = t.Policy.widen(terms)
		reg.With = func(ctx context.Context) error { return s.spend(ctx, t) }
		return s.register(ctx, r.Body, terms, reg, nil)
	}
	held, err := s.d.Limits.Reserve(ctx, s.budgets(r.Source)...)
	if err != nil {
		return nil, err
	}
	reg.Source, reg.MaxQuarantined = network(r.Source), s.d.Policy.MaxClients
	return s.register(ctx, r.Body, terms, reg, held)
}

// register judges the metadata, asks the sector's document where there is one, and writes. Nothing
// went out for metadata that are refused at once, so that attempt is given back.
func (s *Service) register(ctx context.Context, body []byte, terms client.Terms, reg client.Registered, held *ratelimit.Reservation) (*Answer, error) {
	meta, statement, err := s.read(ctx, body, terms)
	if err != nil {
		if held != nil && !errs.Is(err, errs.Unavailable) {
			err = errors.Join(err, held.Return(ctx))
		}
		return nil, refusal(err)
	}
	if err := s.d.Clients.CheckSector(ctx, meta.Metadata); err != nil {
		return nil, refusal(err)
	}
	if err := s.ensureAlgs(ctx, meta.Metadata); err != nil {
		return nil, err
	}
	reg.Software = statement.claims
	c, secret, token, err := s.d.Clients.Register(ctx, meta, reg)
	if err != nil {
		return nil, refusal(err)
	}
	return s.answer(c, secret, token, statement.text), nil
}

// ensureAlgs makes sure that what the client wants signed can be: its first request may follow at once.
func (s *Service) ensureAlgs(ctx context.Context, m client.Metadata) error {
	for _, alg := range []string{m.IDTokenAlg, m.UserinfoAlg, m.AuthorizationAlg, m.IntrospectionAlg} {
		if alg == "" {
			continue
		}
		if err := s.d.EnsureAlg(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// Read returns what is registered (RFC 7592 §2.1). A secret is not shown again: it is not kept.
func (s *Service) Read(ctx context.Context, cid id.Client, r Request) (*Answer, error) {
	c, err := s.holder(ctx, cid, r.Token)
	if err != nil {
		return nil, err
	}
	return s.answer(*c, "", seal.Secret(r.Token), ""), nil
}

func (s *Service) holder(ctx context.Context, cid id.Client, token string) (*client.Client, error) {
	if token == "" {
		return nil, noToken()
	}
	c, err := s.d.Clients.Holder(ctx, cid, token)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, badToken(err)
	}
	return c, err
}

// Update puts what the request says in the place of everything that is registered; what it leaves out
// is gone (RFC 7592 §2.2). The answer carries another registration access token: the old one is spent.
func (s *Service) Update(ctx context.Context, cid id.Client, r Request) (*Answer, error) {
	old, err := s.holder(ctx, cid, r.Token)
	if err != nil {
		return nil, err
	}
	// Behind the look at the token, so that nobody uses up another client's updates.
	budget := ratelimit.Budget{Name: "registration-update", Limit: updatesPerHour, Per: time.Hour}
	if _, err := s.d.Limits.Reserve(ctx, ratelimit.Key{Budget: budget, Value: string(cid)}); err != nil {
		return nil, err
	}
	// What it has, it may keep: an initial access token, or an operator since, let it.
	terms := s.d.Policy.Terms
	terms.Scopes = union(terms.OpenScopes(), old.Metadata.Scopes)
	terms.Audiences = union(terms.Audiences, old.Metadata.Audiences)
	terms.GrantTypes = old.MayHave(terms)
	terms.DetailTypes = terms.DetailTypes || len(old.Metadata.DetailTypes) > 0
	meta, statement, err := s.read(ctx, r.Body, terms)
	if err != nil {
		return nil, refusal(err)
	}
	switch {
	case meta.ClientID != string(cid): // RFC 7592 §2.2
		return nil, invalid(oauth.InvalidClientMetadata, "client_id: is missing, or is another client's")
	case meta.Managed:
		return nil, invalid(oauth.InvalidClientMetadata, "registration_access_token, registration_client_uri, client_secret_expires_at and client_id_issued_at cannot be set")
	case meta.Secret != "" && !old.VerifySecret(meta.Secret, s.d.Clock.Now()):
		return nil, invalid(oauth.InvalidClientMetadata, "client_secret: is not the one of this client, and cannot be chosen")
	}
	for _, t := range meta.Metadata.DetailTypes {
		if !slices.Contains(old.Metadata.DetailTypes, t) && !s.d.Policy.Terms.DetailTypes {
			return nil, invalid(oauth.InvalidClientMetadata, "authorization_details_types: more than an operator let in")
		}
	}
	if err := s.d.Clients.CheckSector(ctx, meta.Metadata); err != nil {
		return nil, refusal(err)
	}
	if err := s.ensureAlgs(ctx, meta.Metadata); err != nil {
		return nil, err
	}
	c, secret, token, err := s.d.Clients.Reregister(ctx, cid, r.Token, meta, statement.claims)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, badToken(err)
	}
	if err != nil {
		return nil, refusal(err)
	}
	return s.answer(c, secret, token, statement.text), nil
}

// Delete ends the registration, and with it everything granted to the client (RFC 7592 §2.3).
func (s *Service) Delete(ctx context.Context, cid id.Client, r Request) error {
	if r.Token == "" {
		return noToken()
	}
	err := s.d.Clients.Unregister(ctx, cid, r.Token)
	if errs.Is(err, errs.Unauthenticated) {
		return badToken(err)
	}
	return err
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// noToken is the answer to a request without a bearer token (RFC 6750 §3.1: no error code).
func noToken() error {
	return &oauth.Error{Code: oauth.InvalidToken, Description: "A bearer token is needed.", Status: http.StatusUnauthorized, Challenge: "Bearer"}
}

// badToken is the one answer to a token that does not do, whatever is wrong with it (RFC 7592 §3).
func badToken(cause error) error {
	return &oauth.Error{
		Code: oauth.InvalidToken, Description: "The token is unknown, spent or expired, or not for this client.",
		Status: http.StatusUnauthorized, Challenge: "Bearer", Cause: cause,
	}
}

func invalid(code, text string) error {
	return &oauth.Error{Code: code, Description: printable(text), Status: http.StatusBadRequest}
}

// refusal turns problems of the metadata into the answer of RFC 7591 §3.2.2: those of redirect URIs
// have a code of their own, and go first.
func refusal(err error) error {
	problems := client.ProblemsOf(err)
	if len(problems) == 0 {
		return err
	}
	code, texts := oauth.InvalidClientMetadata, []string{}
	for _, p := range problems {
		switch p.Field {
		case "redirect_uris":
			code = oauth.InvalidRedirectURI
		case "name", "scopes": // as an operator knows them
			p.Field = map[string]string{"name": "client_name", "scopes": "scope"}[p.Field]
		}
		texts = append(texts, p.String())
	}
	return invalid(code, strings.Join(texts, "; "))
}

const maxDescription = 1000

// printable is text in the characters of an error_description (RFC 6749 §5.2, RFC 7591 §3.2.2).
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
	if len(text) > maxDescription {
		text = text[:maxDescription] + "..."
	}
	return text
}
