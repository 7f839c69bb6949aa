package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/test/rig"
)

// TestFlood_OfLoginsAtTenTimesCapacity: when ten times as many people sign in as the processor can
// hash passwords for, as many as before get in; the others hear at once when to come back, and
// nothing else of the provider suffers. Peak and flood are measured one after the other in the same
// process, and the best of some rounds counts: the machine may have other things to do.
//
// It does not run beside other tests, which would be a flood of their own.
func TestFlood_OfLoginsAtTenTimesCapacity(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			const rounds = 5
			f := newFlood(t, engine)
			best := 0.0
			for round := 0; round < rounds && best < 0.9; round++ {
				peak := f.peak()
				if peak == 0 || t.Failed() {
					t.FailNow()
				}
				got := f.run(10 * peak)
				t.Logf("peak %.1f/s; of %.0f/s: %.1f/s signed in, %.0f/s turned away, half of those within %s, 99 %% within %s",
					peak, 10*peak, got.good, got.shed, got.quantile(0.5), got.quantile(0.99))
				if got.shed < 5*peak {
					t.Log("that was no flood: this machine could not make one beside serving it")
					continue
				}
				best = max(best, got.good/peak)
			}
			if best < 0.9 {
				t.Errorf("under a flood %.0f %% of the peak sign in", 100*best)
			}
		})
	}
}

const (
	floodPeople = 200
	floodCost   = 3 // passes: a dear hash keeps the rates low, so that this test is not the load itself
	floodMemory = 19456
)

// flood is a provider with one hashing slot, and visitors who stand before its login form.
type flood struct {
	t          *testing.T
	issuer     string
	management string
	http       *http.Client

	mu      sync.Mutex
	waiting []*visitor
	made    int
}

// visitor is one person in one network, on the way to their account page.
type visitor struct {
	email, ip, form string
	cookies         []*http.Cookie
}

func newFlood(t *testing.T, engine store.Engine) *flood {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	port, management := rig.FreePort(t), rig.FreePort(t)
	where := "path: " + filepath.Join(dir, "signet.db")
	if engine == store.Postgres {
		where = "url: " + storetest.NewURL(t, engine)
	}
	config := file("signet.yaml", fmt.Sprintf(`issuer: http://localhost:%d
listen: 127.0.0.1:%d
management:
  listen: 127.0.0.1:%d
proxy:
  trusted: [127.0.0.1/32]
master_key_file: %s
database:
  %s
passwords:
  argon2_memory_kib: %d
  argon2_time: %d
  slots: 1
  queue_timeout: 1s
log:
  level: error
`, port, port, management, file("master.key", base64.StdEncoding.EncodeToString(key)+"\n"), where, floodMemory, floodCost))
	var people strings.Builder
	people.WriteString("email,password\n")
	salt := []byte("sixteen bytes ok")
	b64 := base64.RawStdEncoding
	hash := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$%s$%s", floodMemory, floodCost, b64.EncodeToString(salt),
		b64.EncodeToString(argon2.IDKey([]byte(rig.Password), salt, floodCost, floodMemory, 1, 32)))
	for i := range floodPeople {
		fmt.Fprintf(&people, "person%d@example.com,\"%s\"\n", i, hash)
	}
	for _, args := range [][]string{{"migrate"}, {"user", "import", file("people.csv", people.String())}} {
		if out, err := exec.Command(rig.Binary(t), append(args, "--config", config)...).CombinedOutput(); err != nil {
			t.Fatalf("signet %s: %v\n%s", args, err, out)
		}
	}
	p := rig.Start(t, rig.Binary(t), "serve", "--config", config)
	f := &flood{
		t: t, issuer: fmt.Sprintf("http://localhost:%d", port), management: fmt.Sprintf("http://127.0.0.1:%d", management),
		http: &http.Client{
			Timeout:       20 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			}},
		},
	}
	t.Cleanup(f.http.CloseIdleConnections)
	p.Answers(fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", port), fmt.Sprintf("localhost:%d", port))
	return f
}

// next returns somebody before the login form.
func (f *flood) next() *visitor {
	f.mu.Lock()
	if n := len(f.waiting); n > 0 {
		v := f.waiting[n-1]
		f.waiting = f.waiting[:n-1]
		f.mu.Unlock()
		return v
	}
	n := f.made
	f.made++
	f.mu.Unlock()
	v := &visitor{email: fmt.Sprintf("person%d@example.com", n%floodPeople), ip: fmt.Sprintf("198.51.%d.%d", 100+n/200%100, n%200+1)}
	for v.form = "/account"; ; {
		answer := f.do(v, http.MethodGet, v.form, nil)
		v.cookies = append(v.cookies, answer.Cookies()...)
		if answer.StatusCode == http.StatusOK {
			return v
		}
		to, err := answer.Location()
		if err != nil {
			f.t.Errorf("no way to the login form: %d", answer.StatusCode)
			return nil
		}
		v.form = to.Path
	}
}

func (f *flood) back(v *visitor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, v)
}

func (f *flood) do(v *visitor, method, path string, form url.Values) *http.Response {
	req, err := http.NewRequestWithContext(context.Background(), method, f.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Error(err)
		return &http.Response{}
	}
	req.Header.Set("X-Forwarded-For", v.ip)
	if form != nil {
		req.Header.Set("Origin", f.issuer)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range v.cookies {
		req.AddCookie(c)
	}
	answer, err := f.http.Do(req)
	if err != nil {
		f.t.Error(err)
		return &http.Response{}
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer
}

// login submits the form once: in, or turned away with a time to come back. Anything else is a fault.
func (f *flood) login(v *visitor) (in bool) {
	answer := f.do(v, http.MethodPost, v.form, url.Values{"identifier": {v.email}, "password": {rig.Password}})
	switch answer.StatusCode {
	case http.StatusSeeOther:
		return true
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if answer.Header.Get("Retry-After") == "" {
			f.t.Errorf("%d without Retry-After", answer.StatusCode)
		}
	default:
		f.t.Errorf("a login was answered %d", answer.StatusCode)
	}
	f.back(v)
	return false
}

// peak is how many logins a second there are when the next one comes as soon as one is done.
func (f *flood) peak() float64 {
	const window = 4 * time.Second
	var mu sync.Mutex
	var wg sync.WaitGroup
	var done int
	began := time.Now()
	for range 3 { // one is hashed, one is next, one is between pages
		wg.Go(func() {
			for time.Since(began) < window {
				if v := f.next(); v != nil && f.login(v) {
					mu.Lock()
					done++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return float64(done) / time.Since(began).Seconds()
}

type floodResult struct {
	good, shed float64 // per second
	waits      []time.Duration
}

func (r floodResult) quantile(q float64) time.Duration {
	if len(r.waits) == 0 {
		return 0
	}
	slices.Sort(r.waits)
	return r.waits[int(q*float64(len(r.waits)-1))].Round(time.Millisecond)
}

// run lets visitors come at a rate, whatever the answers, and counts once the queue is full.
func (f *flood) run(rate float64) floodResult {
	const settle, window = 2 * time.Second, 5 * time.Second
	var early []*visitor // most of them are there before it begins
	for range int(2 * rate) {
		if v := f.next(); v != nil {
			early = append(early, v)
		}
	}
	for _, v := range early {
		f.back(v)
	}
	var r floodResult
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := f.watchHealth(&wg)
	began := time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for time.Since(began) < settle+window {
		<-tick.C
		wg.Go(func() {
			v := f.next()
			if v == nil {
				return
			}
			sent := time.Now()
			in := f.login(v)
			if at := time.Since(began); at < settle || at > settle+window {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if in {
				r.good++
			} else {
				r.shed++
				r.waits = append(r.waits, time.Since(sent))
			}
		})
	}
	close(stop)
	wg.Wait()
	r.good /= window.Seconds()
	r.shed /= window.Seconds()
	return r
}

// watchHealth asks for both health checks until stop is closed.
func (f *flood) watchHealth(wg *sync.WaitGroup) (stop chan struct{}) {
	stop = make(chan struct{})
	client := &http.Client{Timeout: 3 * time.Second}
	for _, path := range []string{"/healthz", "/readyz"} {
		wg.Go(func() {
			for {
				answer, err := client.Get(f.management + path)
				if err != nil {
					f.t.Errorf("%s: %v", path, err)
				} else {
					if answer.StatusCode != http.StatusOK {
						f.t.Errorf("%s: %d", path, answer.StatusCode)
					}
					_ = answer.Body.Close()
				}
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	return stop
}
