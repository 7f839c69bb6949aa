package client

import (
	"context"
	"sync"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/picture"
	"signet/internal/platform/store"
)

// Logos are copied, encoded anew and served by us: a page on which people sign in loads nothing from
// anybody else, and nobody learns from his logo who signs in where (RFC 7591 §5).
const (
	logoSide  = 128  // pixels, for dense screens
	logoMost  = 2048 // per side, of the original
	logoFresh = 24 * time.Hour
	maxLogos  = 200 // in memory; any other makes room
	logoTouch = 24 * time.Hour
	maxMaking = 4 // copies made at once
)

// Logo is a PNG of ours.
type Logo struct {
	PNG  []byte
	ETag string
}

type logos struct {
	mu     sync.Mutex
	known  map[string]keptLogo
	making map[string]chan struct{} // closed when the copy is made or cannot be
}

// keptLogo has no PNG where none could be made.
type keptLogo struct {
	Logo
	until time.Time
}

func noLogo(cause error) error { return errs.New(errs.NotFound, "", cause) }

// Logo returns the copy of the client's logo, made if there is none, or errs.NotFound. A copy that is
// older than a day is made anew; while its owner cannot be reached the old one serves. A document has
// one once somebody consented to it: before, anybody could make us decode what he likes.
func (s *Service) Logo(ctx context.Context, c *Client) (Logo, error) {
	uri := c.Metadata.LogoURI
	if uri == "" || c.ManagedBy == ManagedByDocument && !c.stored {
		return Logo{}, noLogo(nil)
	}
	for {
		if l, ok := s.logos.get(uri, s.d.Clock.Now()); ok {
			if l.PNG == nil {
				return l, noLogo(nil)
			}
			return l, nil
		}
		made, mine := s.logos.begin(uri)
		switch {
		case mine:
			defer s.logos.end(uri)
			return s.makeLogo(ctx, uri)
		case made == nil: // others are at work
			return Logo{}, noLogo(nil)
		}
		select {
		case <-made:
		case <-ctx.Done():
			return Logo{}, noLogo(ctx.Err())
		}
	}
}

// makeLogo takes the copy from the store, or makes it.
func (s *Service) makeLogo(ctx context.Context, uri string) (Logo, error) {
	now := s.d.Clock.Now()
	old, err := s.loadDocument(ctx, kindLogo, uri)
	if err != nil {
		return Logo{}, err
	}
	if old != nil && now.Before(old.expiresAt) {
		if now.Sub(old.usedAt) > logoTouch {
			if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlTouchDocument, kindLogo, uri, store.Micros(now)); err != nil {
				return Logo{}, err
			}
		}
		return s.logos.put(uri, old.body, old.expiresAt), nil
	}
	png, err := s.copyLogo(ctx, uri)
	switch {
	case err != nil && old != nil:
		return s.logos.put(uri, old.body, now.Add(documentLeast)), nil
	case err != nil && ctx.Err() != nil: // whoever asked went away
		return Logo{}, noLogo(err)
	case err != nil:
		s.logos.put(uri, nil, now.Add(documentLeast))
		return Logo{}, noLogo(err)
	}
	if err := s.saveDocument(ctx, kindLogo, uri, "image/png", png, now, now.Add(logoFresh)); err != nil {
		return Logo{}, err
	}
	return s.logos.put(uri, png, now.Add(logoFresh)), nil
}

// begin reports whether the caller is to make the copy, and must call end. Otherwise made tells when
// somebody else has, or is nil when too many are being made.
func (l *logos) begin(uri string) (made <-chan struct{}, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch, ok := l.making[uri]; ok {
		return ch, false
	}
	if len(l.making) >= maxMaking {
		return nil, false
	}
	l.making[uri] = make(chan struct{})
	return nil, true
}

func (l *logos) end(uri string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.making[uri])
	delete(l.making, uri)
}

func (s *Service) copyLogo(ctx context.Context, uri string) ([]byte, error) {
	doc, err := s.d.Fetch.Get(ctx, uri, fetch.Image)
	if err != nil {
		return nil, err
	}
	img, err := picture.Shrink(doc.Body, logoMost, logoSide, logoSide)
	if err != nil {
		s.d.Log.WarnContext(ctx, "the logo of a client is unusable", "error", err.Error())
	}
	return img.Data, err
}

func (l *logos) get(uri string, now time.Time) (Logo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.known[uri]
	return k.Logo, ok && now.Before(k.until)
}

func (l *logos) put(uri string, png []byte, until time.Time) Logo {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other := range l.known {
		if len(l.known) < maxLogos {
			break
		}
		delete(l.known, other)
	}
	out := Logo{png, `"` + id.Digest(string(png))[:16] + `"`}
	l.known[uri] = keptLogo{out, until}
	return out
}
