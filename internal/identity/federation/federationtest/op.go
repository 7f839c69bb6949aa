// Package federationtest has a provider for tests: an OpenID provider and a GitHub in one HTTP
// server that says whatever a test wants it to say. Only tests import it.
package federationtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What clients of an OP are called.
const (
	ClientID     = "signet at the upstream"
	ClientSecret = "s3cret/with+signs"
)

// OP is a provider. Its exported fields may be changed between requests, under Change.
type OP struct {
	URL string

	mu sync.Mutex
	// Now is its clock.
	Now func() time.Time
	// IDToken, Userinfo and Metadata replace members of what it says by default; a nil value takes
	// the member away.
	IDToken, Userinfo, Metadata map[string]any
	// Sign makes the ID token, if it is not to be the honest one.
	Sign func(claims map[string]any) string
	// Answer changes the query with which people are sent back.
	Answer func(url.Values)
	// Down makes every answer an error.
	Down bool
	// User and Emails are what GitHub's API says.
	User, Emails any

	Key   *ecdsa.PrivateKey
	KeyID string

	codes map[string]url.Values
	last  url.Values
	asked map[string]int
}

// New starts a provider that knows one person: sub 1234, with a verified address.
func New(t testing.TB) *OP {
	t.Helper()
	o := &OP{Now: time.Now, KeyID: "one", codes: map[string]url.Values{}, asked: map[string]int{}}
	o.Rotate("one")
	o.Userinfo = map[string]any{
		"sub": "1234", "email": "ada@corp.example", "email_verified": true, "name": "Ada Example", "preferred_username": "ada",
	}
	o.User = map[string]any{"id": 1234, "login": "ada", "name": "Ada Example", "email": "public@elsewhere.example"}
	o.Emails = []map[string]any{
		{"email": "second@corp.example", "primary": false, "verified": true}, {"email": "ada@corp.example", "primary": true, "verified": true},
	}
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	o.URL = srv.URL
	return o
}

// Change changes the provider's fields.
func (o *OP) Change(fn func(*OP)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fn(o)
}

// Rotate gives it a new key. To be called within Change once it serves.
func (o *OP) Rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	o.Key, o.KeyID = key, kid
}

// Asked returns how often a path was asked for.
func (o *OP) Asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

// Last returns the parameters of the last authorization request.
func (o *OP) Last() url.Values {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// Visit does what the browser would at location, an authorization request, and returns the query
// with which it is sent back.
func (o *OP) Visit(t testing.TB, location string) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	back, err := url.Parse(o.authorize(u.Query()))
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

// ServeHTTP answers.
func (o *OP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[r.URL.Path]++
	if o.Down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	bearer := r.Header.Get("Authorization") == "Bearer at-1234"
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		o.reply(w, http.StatusOK, overlay(map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize", "token_endpoint": o.URL + "/token",
			"userinfo_endpoint": o.URL + "/userinfo", "jwks_uri": o.URL + "/jwks", "response_types_supported": []string{"code"},
			"id_token_signing_alg_values_supported": []string{"ES256", "RS256"}, "authorization_response_iss_parameter_supported": true,
		}, o.Metadata))
	case "/jwks":
		o.reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: o.Key.Public(), KeyID: o.KeyID, Algorithm: "ES256", Use: "sig"}}})
	case "/authorize", "/login/oauth/authorize":
		w.Header().Set("Location", o.authorize(r.URL.Query()))
		w.WriteHeader(http.StatusFound)
	case "/token", "/login/oauth/access_token":
		o.token(w, r)
	case "/userinfo":
		o.guarded(w, bearer, o.Userinfo)
	case "/api/v3/user":
		o.guarded(w, bearer, o.User)
	case "/api/v3/user/emails":
		o.guarded(w, bearer, o.Emails)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (o *OP) guarded(w http.ResponseWriter, ok bool, body any) {
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.reply(w, http.StatusOK, body)
}

func (o *OP) reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// authorize signs the person in without asking and returns where they are sent.
func (o *OP) authorize(q url.Values) string {
	code := "code-" + q.Get("state")
	o.codes[code], o.last = q, q
	answer := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {o.URL}}
	if o.Answer != nil {
		o.Answer(answer)
	}
	return q.Get("redirect_uri") + "?" + answer.Encode()
}

// token redeems a code once, for our client, with the verifier of its challenge.
func (o *OP) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	client, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		client, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(password)
	}
	q, known := o.codes[r.PostForm.Get("code")]
	delete(o.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	switch {
	case client != ClientID || secret != ClientSecret:
		o.reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	case !known || r.PostForm.Get("redirect_uri") != q.Get("redirect_uri") || q.Get("code_challenge_method") != "S256" ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge"):
		status := http.StatusBadRequest
		if r.URL.Path != "/token" { // as GitHub has it
			status = http.StatusOK
		}
		o.reply(w, status, map[string]any{"error": "invalid_grant"})
		return
	}
	out := map[string]any{"access_token": "at-1234", "token_type": "Bearer", "expires_in": 60}
	if r.URL.Path == "/token" {
		out["id_token"] = o.idToken(q)
	}
	o.reply(w, http.StatusOK, out)
}

func (o *OP) idToken(q url.Values) string {
	now := o.Now()
	c := map[string]any{
		"iss": o.URL, "sub": "1234", "aud": ClientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": q.Get("nonce"),
	}
	if q.Get("max_age") != "" {
		c["auth_time"] = now.Unix()
	}
	c = overlay(c, o.IDToken)
	if o.Sign != nil {
		return o.Sign(c)
	}
	return SignWith(jose.ES256, o.Key, o.KeyID, c)
}

// SignWith makes a compact JWS of claims.
func SignWith(alg jose.SignatureAlgorithm, key any, kid string, claims any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		panic(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func overlay(base, change map[string]any) map[string]any {
	out := maps.Clone(base)
	for k, v := range change {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// SignCritical makes a JWS whose header demands an extension that nobody understands.
func SignCritical(key *ecdsa.PrivateKey, kid string, claims any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid).WithHeader("crit", []string{"exp"}).WithHeader("exp", 1)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		panic(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}
