package client

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

// API is a registered resource server: its audience, which is the RFC 8707 resource indicator,
// and the scopes it understands. A scope belongs to one API, so that a scope alone says which
// audience a token is for.
type API struct {
	Audience  string            `json:"audience"`
	Name      string            `json:"name"`
	Scopes    map[string]string `json:"scopes"` // name to description, which consent shows
	ManagedBy string            `json:"managed_by"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

// APIs is an immutable snapshot of the registry.
type APIs struct {
	list    []API
	byAud   map[string]int
	byScope map[string]int
}

func newAPIs(list []API) *APIs {
	a := &APIs{list, map[string]int{}, map[string]int{}}
	for i, api := range list {
		a.byAud[api.Audience] = i
		for scope := range api.Scopes {
			a.byScope[scope] = i
		}
	}
	return a
}

// All returns the APIs ordered by audience. Change nothing in them.
func (a *APIs) All() []API { return a.list }

// ByAudience finds an API by its resource indicator, compared exactly.
func (a *APIs) ByAudience(aud string) (API, bool) {
	i, ok := a.byAud[aud]
	if !ok {
		return API{}, false
	}
	return a.list[i], true
}

// OfScope finds the one API that a scope belongs to.
func (a *APIs) OfScope(scope string) (API, bool) {
	i, ok := a.byScope[scope]
	if !ok {
		return API{}, false
	}
	return a.list[i], true
}

const (
	maxAudienceLen = 500
	maxDescription = 200
)

// audienceProblem says what is wrong with a resource indicator, or "". RFC 8707 §2: an absolute
// URI without a fragment. It is compared, never visited, so any scheme will do.
func audienceProblem(aud string) string {
	u, err := url.Parse(aud)
	switch {
	case aud == "":
		return "is empty"
	case len(aud) > maxAudienceLen:
		return "is longer than 500 bytes"
	case err != nil || strings.ContainsFunc(aud, notURI):
		return "is not a URI"
	case u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "":
		return "is not an absolute URI, like https://api.example.com"
	case strings.Contains(aud, "#"):
		return "has a fragment (RFC 8707 §2)"
	case u.User != nil:
		return "has a user name before the host"
	}
	return ""
}

// checkAPI applies every rule to an API about to be written beside the others.
func checkAPI(a API, others *APIs, p *Problems) {
	if text := audienceProblem(a.Audience); text != "" {
		p.add("audience", "%q %s", shown(a.Audience), text)
	}
	checkName(a.Name, p)
	if len(a.Scopes) > maxScopes {
		p.add("scopes", "has %d entries, at most %d are possible", len(a.Scopes), maxScopes)
		return
	}
	for _, scope := range slices.Sorted(maps.Keys(a.Scopes)) {
		if !validScope(scope) {
			p.add("scopes", "%q is not a scope (RFC 6749 §3.3)", shown(scope))
		}
		if slices.Contains(StandardScopes(), scope) {
			p.add("scopes", "%q is a standard OpenID scope", scope)
		}
		if owner, ok := others.OfScope(scope); ok && owner.Audience != a.Audience {
			p.add("scopes", "%q belongs to the API %s already", scope, owner.Audience)
		}
		if d := a.Scopes[scope]; len(d) > maxDescription || strings.ContainsFunc(d, notPrint) {
			p.add("scopes", "the description of %q is longer than %d bytes or has control characters", shown(scope), maxDescription)
		}
	}
}

// CreateAPI registers an API.
func (s *Service) CreateAPI(ctx context.Context, a API) (API, error) {
	a.ManagedBy, a.CreatedAt = ManagedByAdmin, s.d.Clock.Now()
	a.UpdatedAt = a.CreatedAt
	if a.Scopes == nil {
		a.Scopes = map[string]string{}
	}
	err := s.change(ctx, func(ctx context.Context) error {
		others, err := s.loadAPIs(ctx)
		if err != nil {
			return err
		}
		var p Problems
		checkAPI(a, others, &p)
		if err := p.err(); err != nil {
			return err
		}
		if err := s.insertAPI(ctx, a); err != nil {
			return err
		}
		return s.recordAPI(ctx, "api.create", a.Audience)
	})
	return a, err
}

func (s *Service) insertAPI(ctx context.Context, a API) error {
	scopes, err := json.Marshal(a.Scopes)
	if err != nil {
		return err
	}
	_, err = s.d.DB.Q(ctx).Exec(ctx, sqlInsertAPI, a.Audience, a.Name, string(scopes), a.ManagedBy, store.Micros(a.CreatedAt))
	if errors.Is(err, store.ErrUnique) {
		return refuse(errs.Conflict, "there is an API %q already", a.Audience)
	}
	return err
}

func (s *Service) recordAPI(ctx context.Context, action, audience string) error {
	return s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Target: audience})
}

// DeleteAPI removes an API that no client may ask tokens for any more.
func (s *Service) DeleteAPI(ctx context.Context, audience string) error {
	return s.change(ctx, func(ctx context.Context) error {
		apis, err := s.loadAPIs(ctx)
		if err != nil {
			return err
		}
		a, ok := apis.ByAudience(audience)
		if !ok {
			return refuse(errs.NotFound, "there is no API %q", shown(audience))
		}
		if a.ManagedBy == ManagedByFile {
			return refuse(errs.Forbidden, "API %q is declared in the configuration file: change it there and restart", audience)
		}
		clients, err := s.loadAll(ctx, "", noLimit)
		if err != nil {
			return err
		}
		var users []string
		for _, c := range clients {
			if c.AllowsAudience(audience) {
				users = append(users, string(c.ID))
			}
		}
		if len(users) > 0 {
			return refuse(errs.Conflict, "clients may ask tokens for %s: %s. Take it from them first", audience, strings.Join(users, ", "))
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteAPI, audience); err != nil {
			return err
		}
		return s.recordAPI(ctx, "api.delete", audience)
	})
}
