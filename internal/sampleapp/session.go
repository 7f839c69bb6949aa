package sampleapp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"

	"golang.org/x/oauth2"
)

// cookie has a name of its own: browsers share cookies between the ports of a host, and the
// provider runs beside us on localhost.
const cookie = "signet_sample"

// sessions are the visitors of the application, by cookie.
type sessions struct {
	mu    sync.Mutex
	byID  map[string]*visitor
	order []string // oldest first
}

// maxSessions bounds the memory; the oldest visitor is forgotten.
const maxSessions = 1000

// visitor is one browser.
type visitor struct {
	mu       sync.Mutex
	attempts []attempt
	login    *login
}

// attempt is a login that has been sent to the provider.
type attempt struct{ state, nonce, verifier string }

// login is a person who signed in.
type login struct {
	token   *oauth2.Token
	idToken string
	subject string

	Name                 string
	IDHeader, ID         string
	AccessHeader, Access string
	UserInfo             string
	Refreshable          bool
	Refreshed            int
}

// maxAttempts is how many tabs may sign in at once.
const maxAttempts = 8

func (v *visitor) begin(t attempt) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attempts = append(v.attempts, t)
	if len(v.attempts) > maxAttempts {
		v.attempts = v.attempts[1:]
	}
}

// end takes the attempt with this state; it works once.
func (v *visitor) end(state string) (attempt, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, t := range v.attempts {
		if t.state == state {
			v.attempts = append(v.attempts[:i], v.attempts[i+1:]...)
			return t, true
		}
	}
	return attempt{}, false
}

func (s *sessions) find(r *http.Request) *visitor {
	c, err := r.Cookie(cookie)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[c.Value]
}

func (s *sessions) findOrMake(w http.ResponseWriter, r *http.Request) *visitor {
	if v := s.find(r); v != nil {
		return v
	}
	v := &visitor{}
	s.add(w, v)
	return v
}

func (s *sessions) add(w http.ResponseWriter, v *visitor) {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = v
	s.order = append(s.order, id)
	if len(s.order) > maxSessions {
		delete(s.byID, s.order[0])
		s.order = s.order[1:]
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// signIn begins a new session under a new cookie: one that somebody planted before the login
// must be worth nothing after it.
func (s *sessions) signIn(w http.ResponseWriter, r *http.Request, l *login) {
	s.drop(r)
	s.add(w, &visitor{login: l})
}

// signOut forgets the visitor and returns the ID token, the hint for the provider.
func (s *sessions) signOut(w http.ResponseWriter, r *http.Request) string {
	v := s.find(r)
	s.drop(r)
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if v == nil {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.login == nil {
		return ""
	}
	return v.login.idToken
}

func (s *sessions) drop(r *http.Request) {
	if c, err := r.Cookie(cookie); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byID, c.Value)
	}
}

func prettyPart(part string) string {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return ""
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		return ""
	}
	return pretty(v)
}
