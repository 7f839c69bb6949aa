package client

import (
	"context"
	"slices"
	"sync"

	"signet/internal/platform/id"
)

// maxCached bounds the cache; beyond it any client makes room. One takes about 2 kB.
const maxCached = 10_000

// cache holds snapshots of rows that rarely change. Each change anywhere empties it: that is
// rare, and there is nothing to get wrong. gen counts the emptyings, so that a row which was
// read before a change is not kept after it.
type cache struct {
	mu      sync.RWMutex
	gen     uint64
	clients map[id.Client]*Client
	apis    *APIs
	active  *activeSet
}

// activeSet is what all active clients together allow.
type activeSet struct {
	origins map[string]bool
	algs    []string
}

func (c *cache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.clients, c.apis, c.active = map[id.Client]*Client{}, nil, nil
}

func (c *cache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.gen
}

func (c *cache) client(cid id.Client) *Client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.clients[cid]
}

// keep runs put unless something changed since gen.
func (c *cache) keep(gen uint64, put func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen {
		put()
	}
}

func (c *cache) putClient(cl *Client) {
	for k := range c.clients {
		if len(c.clients) < maxCached {
			break
		}
		delete(c.clients, k)
	}
	c.clients[cl.ID] = cl
}

// Get returns the client, active or not, as an immutable snapshot, or errs.NotFound. It costs
// no database work while the client is cached and the change counters were read lately;
// otherwise one statement, so that a store that is down is noticed and not papered over.
func (s *Service) Get(ctx context.Context, cid id.Client) (*Client, error) {
	if s.d.Changes.Fresh() {
		if c := s.cache.client(cid); c != nil && (c.until.IsZero() || s.d.Clock.Now().Before(c.until)) {
			return c, nil
		}
	}
	gen := s.cache.generation()
	if documentID(cid) {
		if s.d.Documents == nil { // switched off, and with it those that were in use
			return nil, notFound(cid)
		}
		return s.document(ctx, cid, gen)
	}
	c, err := s.load(ctx, cid)
	if err != nil {
		return nil, err
	}
	s.cache.keep(gen, func() { s.cache.putClient(c) })
	return c, nil
}

// APIs returns the registry, cached like clients.
func (s *Service) APIs(ctx context.Context) (*APIs, error) {
	if s.d.Changes.Fresh() {
		s.cache.mu.RLock()
		a := s.cache.apis
		s.cache.mu.RUnlock()
		if a != nil {
			return a, nil
		}
	}
	gen := s.cache.generation()
	a, err := s.loadAPIs(ctx)
	if err != nil {
		return nil, err
	}
	s.cache.keep(gen, func() { s.cache.apis = a })
	return a, nil
}

// OriginAllowed reports whether any active client lets pages of the origin call the protocol
// endpoints (CORS). Which client is calling is not known yet at a preflight.
func (s *Service) OriginAllowed(ctx context.Context, origin string) (bool, error) {
	a, err := s.activeSet(ctx)
	if err != nil {
		return false, err
	}
	return a.origins[origin], nil
}

// IDTokenAlgs returns the ID token algorithms that active clients ask for beyond the default,
// sorted. Each needs a signing key (keys.EnsureAlg).
func (s *Service) IDTokenAlgs(ctx context.Context) ([]string, error) {
	a, err := s.activeSet(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(a.algs), nil
}

func (s *Service) activeSet(ctx context.Context) (*activeSet, error) {
	if s.d.Changes.Fresh() {
		s.cache.mu.RLock()
		a := s.cache.active
		s.cache.mu.RUnlock()
		if a != nil {
			return a, nil
		}
	}
	gen := s.cache.generation()
	list, err := s.loadAll(ctx, "", noLimit)
	if err != nil {
		return nil, err
	}
	a := &activeSet{origins: map[string]bool{}}
	for _, c := range list {
		if !c.Active() {
			continue
		}
		for _, o := range c.Metadata.Origins(c.Kind) {
			a.origins[o] = true
		}
		if alg := c.Metadata.IDTokenAlg; alg != "" && !slices.Contains(a.algs, alg) {
			a.algs = append(a.algs, alg)
		}
	}
	slices.Sort(a.algs)
	s.cache.keep(gen, func() { s.cache.active = a })
	return a, nil
}
