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
	mu  sync.Mutex
	doc *document[T] // what is known about the address asked for last
}

type document[T any] struct {
	address string
	value   T
	got     time.Time     // zero: never
	tried   time.Time     // zero: never
	flight  chan struct{} // closed when the request under way ends; nil if there is none
}

func (d *document[T]) usable(now time.Time) bool { return !d.got.IsZero() && now.Sub(d.got) < stale }

// load returns the document at address. One older than an hour is read again in the background and
// used meanwhile; one older than a day is not used. With again, it is read anew before it is
// used, unless it was asked for a moment ago: then the caller gets what there is.
func (c *cached[T]) load(ctx context.Context, now time.Time, address string, again bool, read func(context.Context, string) (T, error)) (T, error) {
	c.mu.Lock()
	if c.doc == nil || c.doc.address != address { // the provider moved it: what is known is of another
		c.doc = &document[T]{address: address}
	}
	d := c.doc
	old := again || now.Sub(d.got) >= fresh || !d.usable(now)
	if old && d.flight == nil && (d.tried.IsZero() || now.Sub(d.tried) >= cooldown) {
		d.flight, d.tried = make(chan struct{}), now
		go c.refresh(d, now, read)
	}
	flight, wait := d.flight, again || !d.usable(now)
	c.mu.Unlock()
	if flight != nil && wait {
		select {
		case <-flight:
		case <-ctx.Done():
			return *new(T), errs.New(errs.Unavailable, KeyUnreachable, ctx.Err())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !d.usable(now) {
		return *new(T), errs.New(errs.Unavailable, KeyUnreachable, errors.New("a document of the provider could not be read"))
	}
	return d.value, nil
}

// refresh does not end with the caller who caused it: others wait for it too. The request is
// bounded in time by fetch.
func (c *cached[T]) refresh(d *document[T], now time.Time, read func(context.Context, string) (T, error)) {
	v, err := read(context.Background(), d.address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		d.value, d.got = v, now
	}
	close(d.flight)
	d.flight = nil
}
