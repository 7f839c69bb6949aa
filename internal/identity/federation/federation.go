// Package federation lets people sign in with an account that they have elsewhere: at any OpenID
// provider, found by discovery, or at GitHub. It sends the browser there, checks what comes back,
// and keeps which identity there belongs to which account here: the table upstream_identity.
//
// An identity is (provider in the configuration, issuer, subject) and nothing else: an address
// that a provider tells never finds an account by itself. The package does not sign anybody in
// (signin does), makes no accounts (account does) and renders nothing; pages calls it and
// decides with signin what an unknown identity may do.
package federation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Kind is how a provider is spoken to.
type Kind string

// The kinds.
const (
	OIDC   Kind = "oidc"
	GitHub Kind = "github"
)

// GitHubIssuer is the base URL of a GitHub provider that names none. Another one is that of a
// GitHub Enterprise server, whose API is below it.
const GitHubIssuer = "https://github.com"

// Provider is somebody whose word we take, as the operator configured it.
type Provider struct {
	Name  string // in paths and in the store; changing it orphans every link
	Label string // as people know it
	Kind  Kind
	// Issuer is the issuer identifier, byte for byte as the provider spells it.
	Issuer       string
	ClientID     string
	ClientSecret seal.Secret
	Scopes       []string // nil for the usual ones of the kind
	Domains      []string // of addresses whose owners sign in here and nowhere else
	// Claims names the claims that hold what an account is made of, where they are not the standard
	// ones (see standardClaims). It applies to OpenID providers only.
	Claims map[string]string
	// TrustEmail makes its email_verified count, TrustMFA its word on a second factor, and Create
	// makes an account for a person whom it is the first to bring.
	TrustEmail, TrustMFA, Create bool
}

// Identity is a person as a provider describes them.
type Identity struct {
	Provider string `json:"provider"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`

	Email string `json:"email,omitempty"`
	// Verified says that the provider vouches for Email and that its word counts.
	Verified   bool   `json:"verified,omitempty"`
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Username   string `json:"username,omitempty"`
	Picture    string `json:"picture,omitempty"`
}

// Label is what tells the person's identities at one provider apart.
func (i Identity) Label() string {
	for _, s := range []string{i.Email, i.Username, i.Name} {
		if s != "" {
			return s
		}
	}
	return i.Subject
}

// Budgets bound what a visitor can make us do. Zero ones get their default.
type Budgets struct {
	// Start bounds the sign-ins that one network begins: 600 per 15 minutes. Each is a row.
	Start ratelimit.Budget
}

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	OneTime *onetime.Service
	Limits  *ratelimit.Limiter
	Fetch   *fetch.Client
	Audit   *audit.Log
	Log     *slog.Logger
	// Issuer is our own public origin: where providers send people back to.
	Issuer    string
	Providers []Provider
	Budgets   Budgets
	// OtherWays reports whether somebody could sign in without any identity elsewhere; nil means
	// that they always could.
	OtherWays func(ctx context.Context, user id.User) (bool, error)
	// Linked tells somebody that an identity was linked to their account, in the transaction of that;
	// nil tells nobody.
	Linked func(ctx context.Context, user id.User, label string) error
}

// Service speaks to the providers. It is safe for concurrent use.
type Service struct {
	d         Deps
	providers []*provider
}

// provider is a Provider with what was learned from it.
type provider struct {
	Provider
	discovery cached[metadata]
	keys      cached[keySet]
}

// New returns a Service. It asks nobody anything: a provider that is down does not keep us from
// starting.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.OneTime == nil || d.Limits == nil || d.Fetch == nil || d.Audit == nil || d.Issuer == "" {
		return nil, errors.New("federation: DB, Clock, OneTime, Limits, Fetch, Audit and Issuer are required")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Budgets.Start.Limit == 0 {
		d.Budgets.Start = ratelimit.Budget{Name: "upstream-source", Limit: 600, Per: 15 * time.Minute}
	}
	s := &Service{d: d}
	domains := map[string]string{}
	for _, p := range d.Providers {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("federation: provider %q: %w", p.Name, err)
		}
		if s.find(p.Name) != nil {
			return nil, fmt.Errorf("federation: there are two providers named %q", p.Name)
		}
		for _, domain := range p.Domains {
			if other, taken := domains[strings.ToLower(domain)]; taken {
				return nil, fmt.Errorf("federation: providers %q and %q both have the domain %s", other, p.Name, domain)
			}
			domains[strings.ToLower(domain)] = p.Name
		}
		s.providers = append(s.providers, &provider{Provider: p.withDefaults()})
	}
	return s, nil
}

func (p Provider) check() error {
	if p.Kind == GitHub && p.Issuer == "" {
		p.Issuer = GitHubIssuer
	}
	u, err := url.Parse(p.Issuer)
	switch {
	case p.Kind != OIDC && p.Kind != GitHub:
		return errors.New("unknown kind")
	case p.Name == "" || url.PathEscape(p.Name) != p.Name || strings.ContainsAny(p.Name, "./"):
		return errors.New("the name must do as a part of a path")
	case p.ClientID == "":
		return errors.New("no client id")
	case p.Kind == GitHub && p.ClientSecret == "":
		return errors.New("no client secret")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the issuer must be a URL without query and fragment") // OIDC Core §1.2
	case slices.ContainsFunc(slices.Collect(maps.Keys(p.Claims)), func(k string) bool { return standardClaims[k] == "" }):
		return errors.New("a claim is mapped to something that accounts do not have")
	case p.Kind == OIDC && len(p.Scopes) > 0 && !slices.Contains(p.Scopes, "openid"):
		return errors.New("the scopes must have openid") // OIDC Core §3.1.2.1
	}
	return nil
}

func (p Provider) withDefaults() Provider {
	if p.Label == "" {
		p.Label = p.Name
	}
	if p.Kind == GitHub && p.Issuer == "" {
		p.Issuer = GitHubIssuer
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"openid", "email", "profile"}
		if p.Kind == GitHub {
			p.Scopes = []string{"read:user", "user:email"}
		}
	}
	claims := maps.Clone(standardClaims)
	maps.Copy(claims, p.Claims)
	p.Claims = claims
	return p
}

// standardClaims are what an account is made of, and the claims of OIDC Core §5.1 that hold it.
var standardClaims = map[string]string{
	"email": "email", "email_verified": "email_verified", "name": "name", "given_name": "given_name", "family_name": "family_name",
	"username": "preferred_username", "picture": "picture",
}

// Providers lists the providers in the order of the configuration.
func (s *Service) Providers() []Provider {
	out := make([]Provider, len(s.providers))
	for i, p := range s.providers {
		out[i] = p.Provider
	}
	return out
}

// Provider returns the provider of that name; ok is false if there is none (any more).
func (s *Service) Provider(name string) (p Provider, ok bool) {
	if found := s.find(name); found != nil {
		return found.Provider, true
	}
	return Provider{}, false
}

func (s *Service) find(name string) *provider {
	for _, p := range s.providers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// ForDomain returns the provider where people with an address of this domain sign in. The domain
// is in the form in which account.Email has it: ASCII, lower case.
func (s *Service) ForDomain(domain string) (p Provider, ok bool) {
	for _, p := range s.providers {
		for _, d := range p.Domains {
			if domain != "" && strings.EqualFold(d, domain) {
				return p.Provider, true
			}
		}
	}
	return Provider{}, false
}

// CallbackPath is where a provider sends people back to. Each has its own, so that an answer of
// one is never taken for that of another (RFC 9700 §4.4.2.2).
func CallbackPath(provider string) string { return "/upstream/" + provider + "/callback" }

func (s *Service) callbackURL(p *provider) string {
	return strings.TrimSuffix(s.d.Issuer, "/") + CallbackPath(p.Name)
}
