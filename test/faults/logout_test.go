package faults_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"signet/test/rig"
)

// told is an application's back-channel logout endpoint, which is down, hangs or answers as the test
// wants.
type told struct {
	mu     sync.Mutex
	hang   bool
	asked  int
	taken  map[string]int // sid → how often it was answered 200
	closed chan struct{}
}

func (r *told) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	sid := claim(req.PostFormValue("logout_token"), "sid")
	r.mu.Lock()
	r.asked++
	hang := r.hang
	if !hang {
		r.taken[sid]++
	}
	r.mu.Unlock()
	if hang {
		select {
		case <-r.closed:
		case <-req.Context().Done():
		}
	}
}

func (r *told) set(hang bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hang = hang
}

// snapshot returns how often it was asked, and how often each session was taken note of.
func (r *told) snapshot() (asked int, taken map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken = map[string]int{}
	for sid, n := range r.taken {
		taken[sid] = n
	}
	return r.asked, taken
}

// claim reads one claim of a JWT that the test need not verify.
func claim(token, name string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var m map[string]any
	_ = json.Unmarshal(raw, &m)
	text, _ := m[name].(string)
	return text
}

// TestKill_LogoutNoticesAreNeverLost: kill -9 after an acknowledged sign-out, before its notice was
// sent and while it was being sent. Every application hears of every session in the end, and of none
// again once it took note.
func TestKill_LogoutNoticesAreNeverLost(t *testing.T) {
	t.Parallel()
	p := rig.Dev(t).Start()
	rec := &told{taken: map[string]int{}, closed: make(chan struct{})}
	t.Cleanup(func() { close(rec.closed) })
	address := fmt.Sprintf("127.0.0.1:%d", rig.FreePort(t))
	c := p.CreateClient("--kind", "web", "--name", "told", "--redirect-uri", callback, "--first-party",
		"--metadata", "backchannel_logout_uri=http://"+address+"/logout")
	party := &party{p.Issuer, c, &http.Client{Timeout: 10 * time.Second}}
	kill := func() {
		p.Instances[0].Kill()
		p.Instances[0].Start()
	}

	const down, hanging = 4, 2
	var emails []string
	for i := range down + hanging {
		emails = append(emails, fmt.Sprintf("leaver-%d@example.com", i))
	}
	p.ImportUsers(emails...)
	ended := map[string]bool{}
	signOut := func(email string) {
		t.Helper()
		person, verifier := rig.NewPerson(p.Issuer), oauth2.GenerateVerifier()
		landed, err := person.Authorize(party.loginURL(verifier), email, rig.Password)
		if err != nil {
			t.Fatal(err)
		}
		hint := party.idToken(t, landed.Query().Get("code"), verifier)
		if _, err := person.Visit(p.Issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode()); err != nil || !strings.Contains(person.Text, "signed out") {
			t.Fatalf("%v %d\n%s", err, person.Status, person.Text)
		}
		ended[claim(hint, "sid")] = true // acknowledged
	}

	for _, email := range emails[:down] { // nobody listens there, and we die at once
		signOut(email)
		kill()
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: rec, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	rec.set(true)
	for _, email := range emails[down:] {
		signOut(email)
	}
	wait(t, "a notice is on its way", func() bool { asked, _ := rec.snapshot(); return asked > 0 })
	kill()
	rec.set(false)

	wait(t, "everybody is told", func() bool {
		p.CLI("logout-deliveries", "retry", "--client", c.ID) // what is not under way need not rest
		_, taken := rec.snapshot()
		for sid := range ended {
			if taken[sid] == 0 {
				return false
			}
		}
		return standing(t, p, c.ID).Waiting == 0
	})
	if s := standing(t, p, c.ID); s.Delivered != len(ended) || s.GivenUp != 0 {
		t.Errorf("%+v for %d sessions", s, len(ended))
	}
	kill()
	asked, taken := rec.snapshot()
	for sid, n := range taken {
		if n != 1 || !ended[sid] {
			t.Errorf("session %s was told of %d times", sid, n)
		}
	}
	time.Sleep(3 * time.Second) // the server looks every second
	if again, _ := rec.snapshot(); again != asked {
		t.Errorf("%d notices were sent again after a restart", again-asked)
	}
}

// wait looks until something is so: a claim of a process that died ends only with its lease.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !so(); time.Sleep(500 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 5 min: %s", what)
		}
	}
}

type deliveries struct {
	Application string `json:"application"`
	Waiting     int    `json:"waiting"`
	GivenUp     int    `json:"given_up"`
	Delivered   int    `json:"delivered"`
}

func standing(t *testing.T, p *rig.Provider, c string) deliveries {
	t.Helper()
	var list []deliveries
	if err := json.Unmarshal([]byte(p.CLI("logout-deliveries", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if one.Application == c {
			return one
		}
	}
	return deliveries{}
}

func (p *party) loginURL(verifier string) string {
	return strings.Replace(p.authorizeURL(verifier), "scope=openid+offline_access", "scope=openid", 1)
}

// idToken redeems a code.
func (p *party) idToken(t *testing.T, code, verifier string) string {
	t.Helper()
	answer, err := p.post("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.IDToken == "" {
		t.Fatalf("%d %v", answer.StatusCode, err)
	}
	return got.IDToken
}
