package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
)

// How key sets behind a jwks_uri are kept.
const (
	remoteFresh    = 10 * time.Minute // used without asking again
	remoteStale    = time.Hour        // used while asking again, or while the owner is unreachable
	remoteCooldown = 30 * time.Second // between two requests to the same address, whatever the reason
	maxRemote      = 1000             // addresses remembered
)

// remoteKeys caches key sets by address. There is one for strangers and one for all others: whoever
// names many addresses pushes no key set out of an operator's clients, and whoever names the address of
// such a client cannot use up the one request that its next key needs.
type remoteKeys struct {
	mu      sync.Mutex
	entries map[string]*remoteSet
}

type remoteSet struct {
	set       jose.JSONWebKeySet
	fetchedAt time.Time // zero: never
	triedAt   time.Time
	flight    chan struct{} // closed when the request under way ends; nil if there is none
}

// usable reports whether the set may still be relied on.
func (e remoteSet) usable(now time.Time) bool {
	return !e.fetchedAt.IsZero() && now.Sub(e.fetchedAt) < remoteStale
}

// Keys returns the public keys of the client with the key id, or all of them if kid is empty: what
// a signature by the client may be verified with. No match is an empty set, not an error.
//
// A kid that is not in the cached set makes one request to the owner, at most every 30 s, because
// anybody can send any kid. A set older than 10 minutes is refreshed in the background and used
// meanwhile; one older than an hour is not used.
func (s *Service) Keys(ctx context.Context, c *Client, kid string) (jose.JSONWebKeySet, error) {
	return s.keysOf(ctx, c, func(set jose.JSONWebKeySet) jose.JSONWebKeySet { return SigningKeys(set, kid) })
}

// keysOf returns the keys of the client that choose picks.
func (s *Service) keysOf(ctx context.Context, c *Client, choose func(jose.JSONWebKeySet) jose.JSONWebKeySet) (jose.JSONWebKeySet, error) {
	if c.Metadata.JWKSURI == "" {
		return choose(c.keys), nil
	}
	if c.Strange() {
		ctx = fetch.Stranger(ctx)
	}
	return s.remoteKeys(ctx, c.Metadata.JWKSURI, choose)
}

// KeysAt is Keys of somebody who is no client, by the address of their key set.
func (s *Service) KeysAt(ctx context.Context, uri, kid string) (jose.JSONWebKeySet, error) {
	return s.remoteKeys(ctx, uri, func(set jose.JSONWebKeySet) jose.JSONWebKeySet { return SigningKeys(set, kid) })
}

// ParseKeys reads a key set that an operator wrote down: every key of it must be good for something.
func ParseKeys(raw []byte) (jose.JSONWebKeySet, error) { return parseJWKS(raw, true) }

func (s *Service) remoteKeys(ctx context.Context, uri string, choose func(jose.JSONWebKeySet) jose.JSONWebKeySet) (jose.JSONWebKeySet, error) {
	now := s.d.Clock.Now()
	r := s.keySets(ctx)
	e := r.entry(uri)
	known := choose(e.set)
	found := e.usable(now) && len(known.Keys) > 0
	if found && now.Sub(e.fetchedAt) < remoteFresh {
		return known, nil
	}
	flight := s.refresh(ctx, uri, now)
	if found {
		return known, nil
	}
	if flight != nil {
		select {
		case <-flight:
			e = r.entry(uri)
		case <-ctx.Done():
			return jose.JSONWebKeySet{}, errs.New(errs.Unavailable, "", ctx.Err())
		}
	}
	if !e.usable(now) {
		return jose.JSONWebKeySet{}, errs.New(errs.Unavailable, "", errNoKeySet)
	}
	return choose(e.set), nil
}

func (s *Service) keySets(ctx context.Context) *remoteKeys {
	if fetch.IsStranger(ctx) {
		return &s.strange
	}
	return &s.remote
}

var errNoKeySet = errors.New("the client's key set could not be read")

// refresh asks the owner of uri again, unless that was done a moment ago. It returns what to wait
// for, or nil. The request does not end with the caller: others wait for it too.
func (s *Service) refresh(ctx context.Context, uri string, now time.Time) <-chan struct{} {
	r := s.keySets(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.locked(uri)
	if e.flight != nil {
		return e.flight
	}
	if !e.triedAt.IsZero() && now.Sub(e.triedAt) < remoteCooldown {
		return nil
	}
	flight := make(chan struct{})
	e.flight, e.triedAt = flight, now
	go func() {
		set, err := s.read(context.WithoutCancel(ctx), uri) // bounded in time by fetch
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			e.set, e.fetchedAt = set, s.d.Clock.Now()
		}
		e.flight = nil
		close(flight)
	}()
	return flight
}

func (s *Service) read(ctx context.Context, uri string) (jose.JSONWebKeySet, error) {
	body, err := s.d.Fetch.GetJSON(ctx, uri)
	if err != nil {
		return jose.JSONWebKeySet{}, err // logged there
	}
	set, err := parseJWKS(body, false)
	if err != nil {
		s.d.Log.WarnContext(ctx, "the key set of a client is unusable", "error", err.Error())
	}
	return set, err
}

// entry returns a copy of what is known about uri.
func (r *remoteKeys) entry(uri string) remoteSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[uri]; ok {
		return *e
	}
	return remoteSet{}
}

// locked returns the entry of uri, made if there is none; when the table is full, any other makes
// room.
func (r *remoteKeys) locked(uri string) *remoteSet {
	e, ok := r.entries[uri]
	if !ok {
		for k := range r.entries {
			if len(r.entries) < maxRemote {
				break
			}
			delete(r.entries, k)
		}
		e = &remoteSet{}
		r.entries[uri] = e
	}
	return e
}
