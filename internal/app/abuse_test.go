package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/platform/ratelimit"
)

const (
	wrongPassword      = "otters below the old mill"
	sumOfWrongPassword = "6516522159389C008F03555B7E28DDA7D253B8F7" // SHA-1, as lists of leaked passwords name it
)

// behindProxy lets the tests say where a visitor comes from, as a proxy would.
func behindProxy(c *config.Config) {
	c.Proxy.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
}

type withHeader struct {
	base   http.RoundTripper
	header http.Header
}

func (w withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range w.header {
		r.Header[name] = values
	}
	return w.base.RoundTrip(r)
}

// visitor is a browser whose requests carry headers that no browser sends by itself.
func visitor(t testing.TB, a *apptest.App, header ...string) *apptest.Browser {
	t.Helper()
	c := *a.Client()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	c.Transport = withHeader{c.Transport, h}
	return apptest.NewBrowser(t, a.URL, &c)
}

// network is a visitor from an address.
func network(t testing.TB, a *apptest.App, ip string) *apptest.Browser {
	return visitor(t, a, "X-Forwarded-For", ip)
}

// guess submits the login form and returns the status. A server that sheds load has looked at nothing, so
// the guess is made again: a machine with other work is no part of these tests.
func guess(b *apptest.Browser, name, password string) (status int) {
	for range 40 {
		if b.Page == nil || !b.Page.Has("identifier") {
			b.Open("/login")
		}
		status = b.Submit(url.Values{"identifier": {name}, "password": {password}}).Status
		if status != http.StatusServiceUnavailable {
			break
		}
		time.Sleep(250 * time.Millisecond)
	}
	return status
}

// Security case LG-04: one budget for one account, over networks, instances, spellings and pages; and
// none of it keeps its owner out of a browser of theirs.
func TestAbuse_BruteForce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		instances := []*apptest.App{a, a.StartSecond(t)}
		owner := network(t, a, "192.0.2.1")
		owner.Open("/login")
		at(t, owner.Login(person), 200, "/account")
		a.Clock.Advance(10 * time.Minute)

		spellings := []string{person.Email, strings.ToUpper(person.Email), " " + person.Email + " ", person.Email + ".", strings.Replace(person.Email, "mina", "ｍｉｎａ", 1)}
		looked := 0
		for i := range 100 {
			b := network(t, instances[i%2], fmt.Sprintf("198.51.100.%d", i))
			switch status := guess(b, spellings[i%len(spellings)], wrongPassword); status {
			case http.StatusUnauthorized:
				looked++
			case http.StatusTooManyRequests:
				if b.Page.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			default:
				t.Fatalf("guess %d: %d", i, status)
			}
		}
		if looked != 10 {
			t.Errorf("%d guesses from 100 networks were looked at", looked)
		}
		// The right password is not looked at either: a stranger learns nothing.
		if status := guess(network(t, a, "203.0.113.1"), person.Email, person.Password); status != http.StatusTooManyRequests {
			t.Errorf("the right password from a stranger's browser: %d", status)
		}
		// The owner, from the same networks as the attackers, in a browser of theirs.
		if p := owner.Open("/account/password"); p.Has("current") {
			p = owner.Fill("current", person.Password).Fill("password", "lanterns over the eastern pier").Click("Change password")
			at(t, p, 200, "/account/password")
		} else {
			t.Errorf("not signed in:\n%s", p)
		}
		person.Password = "lanterns over the eastern pier"
		home := network(t, instances[1], "198.51.100.7")
		for name, value := range owner.Cookies() {
			if name != "signet_session" {
				home.SetCookie(name, value)
			}
		}
		home.Open("/login")
		at(t, home.Login(person), 200, "/account")
		// There, too, guesses are bounded, on every page together.
		looked = 0
		for range 15 {
			owner.Open("/account/password")
			p := owner.Fill("current", wrongPassword).Fill("password", "tulips beside the western gate").Click("Change password")
			if p.Status == http.StatusUnauthorized {
				looked++
			} else if p.Status != http.StatusTooManyRequests {
				t.Fatalf("change of password: %d\n%s", p.Status, p)
			}
		}
		if looked != 10 {
			t.Errorf("%d guesses on the account page were looked at", looked)
		}
	})
}

// Security case LG-05: a hundred guesses at once over two instances.
func TestAbuse_ParallelGuesses(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		instances := []*apptest.App{a, a.StartSecond(t)}
		var looked, limited atomic.Int64
		var ready, wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 100 {
			b := network(t, instances[i%2], fmt.Sprintf("198.51.100.%d", i))
			ready.Add(1)
			wg.Go(func() {
				b.Open("/login")
				ready.Done()
				<-start
				switch status := guess(b, person.Email, wrongPassword); status {
				case http.StatusUnauthorized:
					looked.Add(1)
				case http.StatusTooManyRequests:
					limited.Add(1)
				default:
					t.Errorf("status %d", status)
				}
			})
		}
		ready.Wait()
		close(start)
		wg.Wait()
		if looked.Load() != 10 || limited.Load() != 90 {
			t.Errorf("%d looked at, %d limited", looked.Load(), limited.Load())
		}
	})
}

// Security case LG-08: a password each on many accounts, from networks that each stay below their
// budget. The failures of all raise the alarm, and people elsewhere notice nothing.
func TestAbuse_CredentialStuffing(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		for range 900 { // what others have served in these minutes
			if _, err := a.Limits.Count(t.Context(), ratelimit.Key{Budget: ratelimit.Budget{Name: "password-failures", Limit: 1000, Per: 15 * time.Minute}, Value: "all"}); err != nil {
				t.Fatal(err)
			}
		}
		var looked, limited atomic.Int64
		var wg sync.WaitGroup
		for n := range 10 {
			b := network(t, a, fmt.Sprintf("198.51.100.%d", n))
			wg.Go(func() {
				for i := range 40 {
					switch status := guess(b, fmt.Sprintf("user%d-%d@example.com", n, i), wrongPassword); status {
					case http.StatusUnauthorized:
						looked.Add(1)
					case http.StatusTooManyRequests:
						limited.Add(1)
					default:
						t.Errorf("status %d", status)
					}
				}
			})
		}
		wg.Wait()
		// A hundred are left of what is usual, then ten of each network, and those under way.
		if n := looked.Load(); n < 100 || n > 100+10*10+10 {
			t.Errorf("%d looked at, %d limited", n, limited.Load())
		}
		if !strings.Contains(a.Logged(), "unusually many sign-ins fail") {
			t.Error("nobody hears of it")
		}
		for i := range 10 {
			b := network(t, a, fmt.Sprintf("203.0.113.%d", i))
			b.Open("/login")
			if p := b.Login(person); p.Status != 200 || !strings.HasPrefix(p.URL.Path, "/account") {
				t.Fatalf("somebody elsewhere:\n%s", p)
			}
		}
	})
}

// Security case LG-10: who somebody says they are counts only where a proxy vouches for it.
func TestAbuse_ForgedNetworks(t *testing.T) {
	t.Parallel()
	looked := func(t *testing.T, a *apptest.App, name string, header func(i int) []string) {
		t.Helper()
		person, n := a.Person(t), 0
		for i := range 12 {
			if guess(visitor(t, a, header(i)...), person.Email, wrongPassword) == http.StatusUnauthorized {
				n++
			}
		}
		if n != 5 {
			t.Errorf("%s: %d guesses from one network were looked at", name, n)
		}
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		looked(t, a, "no proxy", func(i int) []string {
			ip := fmt.Sprintf("198.51.100.%d", i)
			return []string{"X-Forwarded-For", ip, "Forwarded", "for=" + ip, "X-Real-Ip", ip, "Cf-Connecting-Ip", ip, "True-Client-Ip", ip, "X-Client-Ip", ip}
		})
	})
	apptest.Each(t, apptest.Options{Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		looked(t, a, "extra hops", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("127.0.0.1, 198.51.100.%d, 203.0.113.9", i)}
		})
		looked(t, a, "another header", func(i int) []string {
			return []string{"X-Forwarded-For", "203.0.113.10", "Forwarded", fmt.Sprintf("for=198.51.100.%d", i), "X-Real-Ip", fmt.Sprintf("198.51.100.%d", i)}
		})
		looked(t, a, "addresses of one IPv6 network", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("2001:db8:1:2:%x::%x", i*7, i)}
		})
		looked(t, a, "what is no address", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("unknown-%d", i)}
		})
	})
}

// Security case LG-11: what fits is taken whole, what does not is refused before it costs anything.
func TestAbuse_OddPasswords(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		change := func(next string) *apptest.Page {
			t.Helper()
			b.Open("/account/password")
			return b.Submit(url.Values{"current": {person.Password}, "password": {next}})
		}
		long := strings.Repeat("Quietly, the 7 herons of Öland wade. ", 8) // 296
		runes := []rune(long)
		for name, next := range map[string]string{
			"64": string(runes[:64]), "128": string(runes[:128]), "256": string(runes[:256]), "emoji": "🦦 otter 🛶 canoe 🌾 reed 🐸 frog",
			"composed": "caf\u00e9 at the corner of Elm", "blanks at the ends": "  herons in the tall reeds  ",
		} {
			if p := change(next); p.Status != 200 {
				t.Errorf("%s refused:\n%s", name, p)
				continue
			}
			person.Password = next
			a.Clock.Advance(15 * time.Minute) // the wrong ones below are few each
			fresh := a.Browser(t)
			if runes := []rune(next); guess(fresh, person.Email, string(runes[:len(runes)-1])) != http.StatusUnauthorized {
				t.Errorf("%s: signs in without its last character", name)
			}
			if status := guess(fresh, person.Email, next); status != 200 {
				t.Errorf("%s: cannot sign in: %d", name, status)
			}
		}
		// One letter, typed in two ways.
		if p := change("caf\u00e9 at the corner of Elm"); p.Status == 200 {
			person.Password = "cafe\u0301 at the corner of Elm"
			if status := guess(a.Browser(t), person.Email, person.Password); status != 200 {
				t.Errorf("decomposed: %d", status)
			}
		}
		for name, next := range map[string]string{
			"257": string(runes[:257]), "NUL": "herons\x00in the tall reeds", "blanks": strings.Repeat(" ", 40), "not text": "herons \xff in the tall reeds",
		} {
			if p := change(next); p.Status < 400 || p.Status >= 500 {
				t.Errorf("%s: %d", name, p.Status)
			}
		}
		for _, size := range []int{15 << 10, 1 << 20, 4 << 20} {
			began := time.Now()
			b.Open("/login")
			resp, err := a.Client().Do(post(t, a, "/login", url.Values{"identifier": {person.Email}, "password": {strings.Repeat("x", size)}}))
			if err != nil {
				continue // the connection was cut: refused unread
			}
			_ = resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode >= 500 || time.Since(began) > 5*time.Second {
				t.Errorf("%d bytes: %d after %s", size, resp.StatusCode, time.Since(began))
			}
		}
	})
}

// post is a form sent by our own page.
func post(t testing.TB, a *apptest.App, path string, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", a.URL)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req
}

// Security case SU-13: however often somebody asks, from wherever, one address gets few mails and one
// network sends few; and the pages do not tell when it is over.
func TestAbuse_MailBombing(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true, Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		instances := []*apptest.App{a, a.StartSecond(t)}
		page := func(b *apptest.Browser, name string) string {
			t.Helper()
			b.Open("/login")
			at(t, b.Click("/forgot"), 200, "/forgot")
			p := at(t, b.Submit(url.Values{"identifier": {name}}), 200, "/reset")
			return strings.ReplaceAll(p.Text(), name, "")
		}
		var first string
		for i := range 12 { // one address, from everywhere
			text := page(network(t, instances[i%2], fmt.Sprintf("198.51.100.%d", i)), person.Email)
			if first == "" {
				first = text
			}
			if text != first {
				t.Errorf("request %d is answered otherwise:\n%s\n%s", i, text, first)
			}
		}
		if n := len(a.Mails(t, person.Email)); n != 3 {
			t.Errorf("%d mails to one address", n)
		}
		var people []apptest.Person
		for range 40 { // many addresses, from one network
			people = append(people, a.Person(t))
		}
		b := network(t, a, "203.0.113.1")
		for _, p := range people {
			if text := page(b, p.Email); text != first {
				t.Errorf("answered otherwise:\n%s", text)
			}
		}
		total := 0
		for _, p := range people {
			total += len(a.Mails(t, p.Email))
		}
		if total != 30 {
			t.Errorf("%d mails from one network", total)
		}
		// Sign-ups with a taken address write to its owner; they count with the rest.
		other := a.Person(t)
		for i := range 8 {
			b := network(t, a, fmt.Sprintf("198.51.100.%d", 100+i))
			b.Open("/login")
			b.Click("/signup")
			b.SignUp(apptest.Person{Name: "Somebody", Email: other.Email, Password: "walnuts on a slow river"})
		}
		if n := len(a.Mails(t, other.Email)); n == 0 || n > 3 {
			t.Errorf("%d mails to an address that others sign up with", n)
		}
	})
}

// A leaked password is refused with the reason, in the person's language, by either list; one that
// is down keeps nobody from a password, and no part of a sum is in the log.
func TestAbuse_LeakedPassword(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sums.txt")
	if err := os.WriteFile(file, []byte("0000000000000000000000000000000000000001:2\r\n"+sumOfWrongPassword+":3\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(w, strings.Repeat("A", 35)+":0\r\n")
		if r.URL.Path == "/range/"+sumOfWrongPassword[:5] && r.Header.Get("Add-Padding") == "true" {
			_, _ = fmt.Fprint(w, sumOfWrongPassword[5:]+":3\r\n")
		}
	}))
	t.Cleanup(api.Close)
	for name, use := range map[string]func(p *config.Passwords){
		"file": func(p *config.Passwords) { p.BreachFile = file },
		"api":  func(p *config.Passwords) { p.BreachAPI, p.BreachTimeout = api.URL+"/range/", 3*time.Second },
		"down": func(p *config.Passwords) {
			p.BreachFile, p.BreachAPI, p.BreachTimeout = file, "http://127.0.0.1:1/range/", 200*time.Millisecond
		},
	} {
		apptest.Each(t, apptest.Options{Config: func(c *config.Config) { use(&c.Passwords) }}, func(t *testing.T, a *apptest.App) {
			person, b := a.Person(t), a.Browser(t)
			b.Open("/login")
			at(t, b.Login(person), 200, "/account")
			for lang, want := range map[string]string{"en": "leaked", "ko": "유출된"} {
				b.Language = lang
				b.Open("/account/password")
				p := b.Submit(url.Values{"current": {person.Password}, "password": {wrongPassword}})
				if p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Text(), want) {
					t.Errorf("%s, %s:\n%s", name, lang, p)
				}
			}
			b.Open("/account/password")
			if p := b.Submit(url.Values{"current": {person.Password}, "password": {"walnuts on a slow river"}}); p.Status != 200 {
				t.Errorf("%s, a fresh one:\n%s", name, p)
			}
			log := a.Logged()
			if strings.Contains(log, "without a look") != (name == "down") || strings.Contains(log, "/range/") || strings.Contains(log, sumOfWrongPassword[:5]) {
				t.Errorf("%s: %s", name, log)
			}
		})
	}
}
