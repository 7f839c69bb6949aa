package oauth

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
)

// Fetcher reads a document at an address that somebody else chose; platform/fetch is it.
type Fetcher interface {
	Get(ctx context.Context, address string, kind fetch.Kind) (fetch.Document, error)
}

const (
	maxRequestURI   = 512 // OIDC Core §6.2, RFC 9101 §5.2
	referenceLife   = 10 * time.Minute
	maxReferences   = 128 // request objects remembered
	hashInFragments = 43  // base64url of SHA-256
)

// reference fetches a request object from where the client put it (OIDC Core §6.2, RFC 9101 §5.2): only from
// an address that it registered, so that nobody makes us ask anybody else (RFC 9101 §10.4).
func (e *Engine) reference(ctx context.Context, c *client.Client, uri string) (string, error) {
	if !e.policy.RequestURIs || e.policy.RequestObjects == objectsOff {
		return "", refuse(RequestURINotSupported, "The parameter request_uri is not supported.")
	}
	address, fragment, _ := strings.Cut(uri, "#")
	if len(uri) > maxRequestURI || !registered(c.Metadata.RequestURIs, address) {
		return "", badRequestURI("not registered by the client")
	}
	now := e.clock.Now()
	if text, ok := e.objects.find(address+"#"+fragment, now); ok {
		return text, nil
	}
	if c.Strange() {
		ctx = fetch.Stranger(ctx)
	}
	doc, err := e.fetch.Get(ctx, address, fetch.JWT)
	if err != nil {
		// The client's server, not ours, does not answer: that is no 503 of ours (RFC 9101 §7).
		return "", badRequestURI("not fetched: " + err.Error())
	}
	if len(doc.Body) > maxObject {
		return "", badRequestURI("too long")
	}
	text := strings.TrimSpace(string(doc.Body))
	// The fragment is the hash of the content, for us to keep it by (OIDC Core §6.2). It adds no
	// protection, which is the signature's, and some clients register a hash before they know the
	// content: what does not match is used, and not kept.
	if len(fragment) == hashInFragments && fragment == id.Digest(string(doc.Body)) {
		e.objects.keep(address+"#"+fragment, text, now)
	}
	return text, nil
}

// registered compares without fragments: a new fragment says that the content is new, not that the
// address is (OIDC Core §6.2).
func registered(uris []string, address string) bool {
	return slices.ContainsFunc(uris, func(u string) bool {
		bare, _, _ := strings.Cut(u, "#")
		return bare == address
	})
}

// references remembers request objects by their address with the hash of their content, which
// therefore cannot change.
type references struct {
	mu   sync.Mutex
	kept map[string]reference
}

type reference struct {
	text string
	at   time.Time
}

func (r *references) find(key string, now time.Time) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.kept[key]
	return k.text, ok && now.Sub(k.at) < referenceLife
}

// keep is bounded: when the table is full, any entry makes room.
func (r *references) keep(key, text string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[string]reference{}
	}
	for k := range r.kept {
		if len(r.kept) < maxReferences {
			break
		}
		delete(r.kept, k)
	}
	r.kept[key] = reference{text, now}
}
