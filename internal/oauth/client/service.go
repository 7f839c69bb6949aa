package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Topic is the change topic of clients and APIs.
const Topic = "client"

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Changes *store.Changes
	Audit   *audit.Log
	Fetch   *fetch.Client
	// Documents lets clients describe themselves at their client_id; nil: none does.
	Documents *Documents
	// UnusedFor is how long a quarantined client stays without anybody coming in through it.
	UnusedFor time.Duration
	// Seal keeps the secrets that client_secret_jwt needs in clear; nil: no client can have them.
	Seal *seal.Sealer
	Log  *slog.Logger // discarded if nil
}

// Service keeps the registered clients and APIs. It is safe for concurrent use.
type Service struct {
	d      Deps
	cache  cache
	remote remoteKeys
	// strange are those of clients that nobody let in.
	strange remoteKeys

	documents documents
	logos     logos
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Changes == nil || d.Audit == nil || d.Fetch == nil {
		return nil, errors.New("client: DB, Clock, Changes, Audit and Fetch are required")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Documents != nil {
		d.Documents = d.Documents.withDefaults()
	}
	s := &Service{d: d}
	s.cache.empty()
	s.remote.entries, s.strange.entries = map[string]*remoteSet{}, map[string]*remoteSet{}
	s.documents.known, s.documents.wrong = map[id.Client]*known{}, map[id.Client]time.Time{}
	s.documents.slots, s.documents.adopted = make(chan struct{}, documentSlots), make(chan struct{}, adoptedSlots)
	s.logos.known, s.logos.making = map[string]keptLogo{}, map[string]chan struct{}{}
	d.Changes.OnChange(Topic, s.cache.empty)
	return s, nil
}

// NewClient is what Create needs. An empty ID is replaced by a generated one.
type NewClient struct {
	ID       id.Client
	Name     string
	Kind     Kind
	Metadata Metadata // start from Defaults(Kind)
}

// Draft is what Update may change.
type Draft struct {
	Name     string
	Metadata Metadata
}

// ListOptions pages through List by id.
type ListOptions struct {
	After id.Client
	Limit int // 0 means all
}

// change runs fn in the transaction of one change to clients or APIs. The counter's row is
// written first: it serializes changes on both engines, so that fn may read and then write.
// Changes are rare and short; issuing tokens never comes through here.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context) error) error {
	err := s.d.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.d.Changes.Bump(ctx, Topic); err != nil {
			return err
		}
		return fn(ctx)
	})
	// Also after an error: its answer may have been lost on the way, not the change.
	s.cache.empty()
	return err
}

// editable loads a client whose metadata the command line may change.
func (s *Service) editable(ctx context.Context, cid id.Client) (*Client, error) {
	c, err := s.switchable(ctx, cid)
	if err == nil && c.ManagedBy == ManagedByDocument {
		return nil, refuse(errs.Forbidden, "client %q is described by the document at its address: it can only be disabled or deleted here", cid)
	}
	return c, err
}

// switchable loads a client that the command line may disable and enable.
func (s *Service) switchable(ctx context.Context, cid id.Client) (*Client, error) {
	c, err := s.load(ctx, cid)
	if err != nil {
		return nil, err
	}
	if c.ManagedBy == ManagedByFile {
		return nil, refuse(errs.Forbidden, "client %q is declared in the configuration file: change it there and restart", cid)
	}
	return c, nil
}

func (s *Service) record(ctx context.Context, action string, c *Client, detail map[string]string) error {
	return s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Target: string(c.ID), Client: c.ID, Detail: detail})
}

// Create registers a client. The secret is returned here and never again; it is empty for
// clients that authenticate without one. errs.Invalid carries Problems, all of them.
func (s *Service) Create(ctx context.Context, n NewClient) (Client, seal.Secret, error) {
	return s.add(ctx, n, ManagedByAdmin, "client.create", func(context.Context, *Client) error { return nil })
}

// add is Create for whoever manages the client; more takes part in the transaction.
func (s *Service) add(ctx context.Context, n NewClient, manager, action string, more func(context.Context, *Client) error) (Client, seal.Secret, error) {
	now := s.d.Clock.Now()
	if n.ID == "" {
		n.ID = id.Client(id.New())
	}
	c := &Client{ID: n.ID, Name: n.Name, Kind: n.Kind, Status: Active, ManagedBy: manager, CreatedAt: now, UpdatedAt: now}
	secret := ""
	if n.Metadata.UsesSecret() {
		secret = id.NewToken(id.ClientSecret)
	}
	err := s.change(ctx, func(ctx context.Context) error {
		c.Metadata = n.Metadata
		if err := s.check(ctx, c); err != nil {
			return err
		}
		if err := s.insert(ctx, c); err != nil {
			return err
		}
		c.secrets = nil
		if secret != "" {
			h, err := s.keepSecret(ctx, c, secret, now)
			if err != nil {
				return err
			}
			c.secrets = []secretHash{h}
		}
		if err := more(ctx, c); err != nil {
			return err
		}
		return s.record(ctx, action, c, map[string]string{"kind": string(c.Kind), "name": c.Name})
	})
	if err != nil {
		return Client{}, "", err
	}
	return *c, seal.Secret(secret), nil
}

// UsesSecret reports whether the client authenticates with a secret that was made here or is
// configured.
func (m Metadata) UsesSecret() bool {
	return m.AuthMethod == SecretBasic || m.AuthMethod == SecretPost || m.AuthMethod == SecretJWT
}

// check applies every rule to a client about to be written, those that need the API registry
// included. It adds the APIs of the client's scopes to its audiences: whoever may ask for a
// scope may ask for a token that carries it.
func (s *Service) check(ctx context.Context, c *Client) error {
	apis, err := s.loadAPIs(ctx)
	if err != nil {
		return err
	}
	return checkClient(c, apis)
}

func checkClient(c *Client, apis *APIs) error {
	var p Problems
	if c.ManagedBy != ManagedByDocument {
		checkID(c.ID, &p)
	}
	checkName(c.Name, &p)
	c.Metadata.Audiences = slices.Clone(c.Metadata.Audiences)
	for _, scope := range c.Metadata.Scopes {
		api, ok := apis.OfScope(scope)
		switch {
		case ok && !slices.Contains(c.Metadata.Audiences, api.Audience):
			c.Metadata.Audiences = append(c.Metadata.Audiences, api.Audience)
		case !ok && validScope(scope) && !slices.Contains(StandardScopes(), scope):
			p.add("scopes", "%q belongs to no registered API: register that first", scope)
		}
	}
	for _, aud := range c.Metadata.Audiences {
		if _, ok := apis.ByAudience(aud); !ok && audienceProblem(aud) == "" {
			p.add("audiences", "%q is not a registered API: register it first", shown(aud))
		}
	}
	if err := c.Metadata.Validate(c.Kind); err != nil {
		p = append(p, ProblemsOf(err)...)
	}
	return p.err()
}

// Update changes a client by edit, which may be called more than once. A client that stops
// using a secret loses its secrets; one that starts gets its first by RotateSecret.
func (s *Service) Update(ctx context.Context, cid id.Client, edit func(*Draft) error) (Client, error) {
	var out *Client
	err := s.change(ctx, func(ctx context.Context) error {
		c, err := s.editable(ctx, cid)
		if err != nil {
			return err
		}
		d := Draft{c.Name, c.Metadata.clone()}
		if err := edit(&d); err != nil {
			return err
		}
		if c.ManagedBy == ManagedByItself {
			if err := noteOperator(&c.Metadata, &d.Metadata); err != nil {
				return err
			}
		}
		c.Name, c.Metadata = d.Name, d.Metadata
		if err := s.check(ctx, c); err != nil {
			return err
		}
		c.UpdatedAt = s.d.Clock.Now()
		if err := s.write(ctx, c); err != nil {
			return err
		}
		if err := s.fitSecrets(ctx, c); err != nil {
			return err
		}
		out = c
		return s.record(ctx, "client.update", c, nil)
	})
	if err != nil {
		return Client{}, err
	}
	return *out, nil
}

func (m Metadata) clone() Metadata {
	for _, list := range []*[]string{&m.RedirectURIs, &m.PostLogoutRedirectURIs, &m.GrantTypes, &m.ResponseTypes,
		&m.Scopes, &m.Audiences, &m.AllowedOrigins, &m.OperatorMembers} {
		*list = slices.Clone(*list)
	}
	m.JWKS = slices.Clone(m.JWKS)
	m.Protocol = m.Protocol.clone()
	return m
}

// MaxOverlap is the longest time for which a rotated secret may live on.
const MaxOverlap = 30 * 24 * time.Hour

// RotateSecret gives the client a new secret, returned here and never again. The old one stays
// valid for overlap, so that the application can change over; with zero it ends at once, and so
// does one that an earlier rotation left alive. While two are live, only a rotation with zero is
// possible: whichever of them is in use would otherwise be cut off unasked.
func (s *Service) RotateSecret(ctx context.Context, cid id.Client, overlap time.Duration) (seal.Secret, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", refuse(errs.Invalid, "the overlap is %s, must be from 0s to %s", overlap, MaxOverlap)
	}
	now := s.d.Clock.Now()
	secret := id.NewToken(id.ClientSecret)
	err := s.change(ctx, func(ctx context.Context) error {
		c, err := s.editable(ctx, cid)
		if err != nil {
			return err
		}
		if !c.Metadata.UsesSecret() {
			return refuse(errs.Conflict, "client %q authenticates with %s and has no secret", cid, c.Metadata.AuthMethod)
		}
		if live := c.Secrets(now); overlap > 0 && len(live) >= maxSecrets {
			return refuse(errs.Conflict, "client %q has two live secrets; the older one ends %s. Rotate again after that, or with overlap 0 to end both now",
				cid, live[0].ExpiresAt.Format(time.RFC3339))
		}
		if err := s.retireSecrets(ctx, cid, now, overlap); err != nil {
			return err
		}
		if _, err := s.keepSecret(ctx, c, secret, now); err != nil {
			return err
		}
		return s.record(ctx, "client.rotate_secret", c, map[string]string{"overlap": overlap.String()})
	})
	if err != nil {
		return "", err
	}
	return seal.Secret(secret), nil
}

func (s *Service) retireSecrets(ctx context.Context, cid id.Client, now time.Time, overlap time.Duration) error {
	q := s.d.DB.Q(ctx)
	if overlap == 0 {
		_, err := q.Exec(ctx, sqlDeleteSecrets, cid)
		return err
	}
	if _, err := q.Exec(ctx, sqlDeleteExpired, cid, store.Micros(now)); err != nil {
		return err
	}
	_, err := q.Exec(ctx, sqlExpireSecrets, cid, store.Micros(now.Add(overlap)))
	return err
}

// Disable makes the client unusable until Enable.
func (s *Service) Disable(ctx context.Context, cid id.Client) error {
	return s.setStatus(ctx, cid, Disabled, "client.disable")
}

// Enable reverses Disable.
func (s *Service) Enable(ctx context.Context, cid id.Client) error {
	return s.setStatus(ctx, cid, Active, "client.enable")
}

func (s *Service) setStatus(ctx context.Context, cid id.Client, status Status, action string) error {
	return s.change(ctx, func(ctx context.Context) error {
		c, err := s.switchable(ctx, cid)
		if err != nil || c.Status == status {
			return err
		}
		c.Status, c.UpdatedAt = status, s.d.Clock.Now()
		if err := s.write(ctx, c); err != nil {
			return err
		}
		return s.record(ctx, action, c, nil)
	})
}

// Delete removes the client with everything that its users granted it. Of the configuration's
// clients only those can be deleted that have left the file or are disabled in it.
func (s *Service) Delete(ctx context.Context, cid id.Client) error {
	return s.change(ctx, func(ctx context.Context) error {
		c, err := s.load(ctx, cid)
		if err != nil {
			return err
		}
		if c.ManagedBy == ManagedByFile && c.Active() {
			return refuse(errs.Forbidden, "client %q is declared in the configuration file: remove it there and restart first", cid)
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteClient, cid); err != nil {
			return err
		}
		return s.record(ctx, "client.delete", c, map[string]string{"name": c.Name})
	})
}

// List returns the clients ordered by id.
func (s *Service) List(ctx context.Context, o ListOptions) ([]Client, error) {
	limit := int64(noLimit)
	if o.Limit > 0 {
		limit = int64(o.Limit)
	}
	list, err := s.loadAll(ctx, o.After, limit)
	if err != nil {
		return nil, errs.Wrap("list clients", err)
	}
	out := make([]Client, len(list))
	for i, c := range list {
		out[i] = *c
	}
	return out, nil
}

// String names the client for logs.
func (c *Client) String() string { return fmt.Sprintf("client %s (%s)", c.ID, c.Name) }
