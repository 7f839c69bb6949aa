package federation

import (
	"context"
	"errors"
	"sync"
	"time"

	"signet/internal/platform/errs"
)

// How documents of a provider (its metadata, its keys) are kept.
const (
	fresh    = time.Hour        // used without asking again
	stale    = 24 * time.Hour   // used while asking again, or while the provider is unreachable
	cooldown = 30 * time.Second // between two requests for the same document, whatever the reason
)

// cached is one document of a provider. The zero value is empty.
type cached[T any] struct {
	mu     sync.Mutex
	value  T
	of     string    // the address it was read from
	got    time.Time // zero: never
	tried  time.Time
	flight chan struct{} // closed when the request under way ends; nil if there is none
}

// load returns the document at address. One older than an hour is read again in the background and
// used meanwhile; one older than a day is not used. With again, it is read anew before it is
// used, unless it was asked for a moment ago: then the caller gets what there is.
func (c *cached[T]) load(ctx context.Context, now time.Time, address string, again bool, read func(context.Context, string) (T, error)) (T, error) {
	c.mu.Lock()
	if c.of != address { // the provider moved it: nothing known about the other one counts
		*c = cached[T]{of: address}
	}
	usable := func() bool { return !c.got.IsZero() && now.Sub(c.got) < stale }
	if usable() && !again && now.Sub(c.got) < fresh {
		defer c.mu.Unlock()
		return c.value, nil
	}
	if c.flight == nil && (c.tried.IsZero() || now.Sub(c.tried) >= cooldown) {
		c.flight, c.tried = make(chan struct{}), now
		go c.refresh(address, now, read)
	}
	flight := c.flight
	if flight != nil && (again || !usable()) {
		c.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			var none T
			return none, errs.New(errs.Unavailable, KeyUnreachable, ctx.Err())
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.of != address || !usable() {
		var none T
		return none, errs.New(errs.Unavailable, KeyUnreachable, errors.New("a document of the provider could not be read"))
	}
	return c.value, nil
}

// refresh does not end with the caller who caused it: others wait for it too. The request is
// bounded in time by fetch.
func (c *cached[T]) refresh(address string, now time.Time, read func(context.Context, string) (T, error)) {
	v, err := read(context.Background(), address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != address {
		return
	}
	if err == nil {
		c.value, c.got = v, now
	}
	close(c.flight)
	c.flight = nil
}
