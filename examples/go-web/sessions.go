package main

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	cookieName  = "go_web_example"
	loginTime   = 15 * time.Minute // to come back from the provider
	sessionTime = 12 * time.Hour   // of this application, whatever the provider's is
)

// pending is a login that was sent to the provider and has not come back.
type pending struct{ State, Nonce, Verifier string }

type user struct {
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	IDToken string `json:"-"`
}

type session struct {
	Pending *pending
	User    *user
	expires time.Time
}

// sessions is the session store: a map, which a restart empties. An application with more than
// one process keeps the same rows in its database.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

func newSessions() *sessions { return &sessions{byID: map[string]session{}} }

func (s *sessions) start(rw http.ResponseWriter, one session) {
	one.expires = time.Now().Add(sessionTime)
	if one.User == nil {
		one.expires = time.Now().Add(loginTime)
	}
	id := oauth2.GenerateVerifier() // 256 random bits
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, other := range s.byID {
		if time.Now().After(other.expires) {
			delete(s.byID, old)
		}
	}
	s.byID[id] = one
	http.SetCookie(rw, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // sent on the redirect back from the provider
		Secure:   false,                // behind https: true, and the name "__Host-…"
	})
}

func (s *sessions) of(r *http.Request) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.byID[sessionID(r)]
	if !ok || time.Now().After(one.expires) {
		return session{}
	}
	return one
}

// takePending returns the pending login once: a second callback with the same cookie gets none.
func (s *sessions) takePending(r *http.Request) *pending {
	one := s.of(r)
	if one.Pending != nil {
		s.end(r)
	}
	return one.Pending
}

func (s *sessions) end(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sessionID(r))
}

func sessionID(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}
