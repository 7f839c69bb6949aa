package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// get fetches from any address.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestManagement_HealthReadinessMetrics(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp := a.RP(t, client.Machine)
		rp.Token("grant_type", "client_credentials")
		person, b := a.Person(t), a.Browser(t)
		b.Open(a.URL + "/login")
		b.Login(person)
		a.Browser(t).Open("/some/secret/path?code=abc")
		base := "http://" + a.Management()
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, body := get(t, base+path); status != 200 || body != "ok\n" {
				t.Errorf("%s: %d %q", path, status, body)
			}
		}
		status, body := get(t, base+"/metrics")
		for _, want := range []string{
			`signet_http_requests_total{method="POST",route="/oauth2/token",status="200"} 1`,
			`signet_http_requests_total{method="GET",route="none",status="404"} 1`,
			`signet_outcomes_total{kind="session.start",result="ok"} 1`,
			`signet_http_request_duration_seconds_count{route="/oauth2/token"} 1`,
			"signet_ready 1", "signet_clock_offset_seconds", "signet_password_slots_in_use", "go_goroutines", "process_resident_memory_bytes",
		} {
			if status != 200 || !strings.Contains(body, want) {
				t.Errorf("metrics (%d) lack %s", status, want)
			}
		}
		if strings.Contains(body, "secret") || strings.Contains(body, "abc") {
			t.Error("a path of a stranger is a label")
		}
		// The two listeners share nothing.
		if status, _ := get(t, base+"/.well-known/jwks.json"); status != 404 {
			t.Errorf("management serves the public: %d", status)
		}
		if status, _ := get(t, a.URL+"/metrics"); status != 404 {
			t.Errorf("the public sees metrics: %d", status)
		}
	})
}

// TestLog_NoSecretEver walks a whole flow at debug level and looks for everything secret in it.
func TestLog_NoSecretEver(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL())
		b.Submit(map[string][]string{"identifier": {person.Email}, "password": {"a-wrong-guess-91"}})
		b.Login(person)
		page := b.Click("answer=allow")
		tokens := rp.Exchange(page)
		next := rp.Refresh(tokens.RefreshToken)
		rp.Introspect(tokens.AccessToken)
		rp.Userinfo(tokens.AccessToken)
		rp.Post("/oauth2/revoke", "token", next.RefreshToken)
		b.Arrive(a.URL + "/oauth2/logout?id_token_hint=" + tokens.IDToken)
		secrets := []string{person.Password, "a-wrong-guess-91", page.Query("code"), tokens.AccessToken, tokens.IDToken, tokens.RefreshToken,
			next.RefreshToken, next.AccessToken, rp.Secret, rp.Verifier, rp.State, rp.Nonce, a.Cfg.MasterKey.Reveal()}
		for _, v := range b.Cookies() {
			if strings.HasPrefix(v, "sgn_") {
				secrets = append(secrets, v)
			}
		}
		for i, s := range secrets {
			if s == "" || strings.Contains(a.Logged(), s) {
				t.Errorf("secret %d (%.12s…) is empty or in the log", i, s)
			}
		}
		for line := range strings.Lines(a.Logged()) {
			if strings.Contains(line, `"msg":"request"`) && !strings.Contains(line, `"request_id":"`) {
				t.Errorf("no request id: %s", line)
			}
		}
	})
}

func TestCleanup_ExpiredRowsGo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque }), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL())
		b.Submit(map[string][]string{"identifier": {person.Email}, "password": {"a-wrong-guess-91"}})
		b.Login(person)
		rp.Refresh(rp.Exchange(b.Click("answer=allow")).RefreshToken)
		tables := []string{"session", "journey", "oauth_grant", "refresh_token", "access_token", "attempt_budget", "audit_event"}
		for _, table := range tables {
			if a.Count(t, table) == 0 {
				t.Errorf("%s is empty before the test", table)
			}
		}
		if err := a.RunJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a.Count(t, "session") == 0 || a.Count(t, "oauth_grant") == 0 || a.Count(t, "audit_event") == 0 {
			t.Error("live rows were deleted")
		}
		a.Clock.Advance(800 * 24 * time.Hour)
		if err := a.RunJobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			max := 0
			if table == "audit_event" {
				max = 3 // what this very run did with the keys
			}
			if n := a.Count(t, table); n > max {
				t.Errorf("%s still has %d rows", table, n)
			}
		}
		if a.Count(t, "account") != 1 || a.Count(t, "client") != 1 {
			t.Error("what does not expire was deleted")
		}
	})
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 15 s not yet: %s", what)
		}
	}
}

// halfRequest opens a connection and sends a request whose body is not complete yet.
func halfRequest(t *testing.T, a *apptest.App) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = fmt.Fprintf(c, "POST /oauth2/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\ngrant_type=", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the server has begun to read
	return c
}

func TestDrain_RequestsInFlightFinish(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: func(c *config.Config) { c.Shutdown.Delay = 2 * time.Second }})
	c := halfRequest(t, a)
	signals := make(chan os.Signal, 2)
	ended := make(chan error, 1)
	signals <- syscall.SIGTERM
	go func() { ended <- a.Run(signals) }()
	eventually(t, "not ready", func() bool {
		status, body := get(t, "http://"+a.Management()+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	if status, _ := get(t, a.URL+"/.well-known/jwks.json"); status != 200 {
		t.Errorf("new requests are refused during the delay: %d", status)
	}
	eventually(t, "the port is closed", func() bool {
		c, err := net.DialTimeout("tcp", a.Addr(), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(c, "client_credentials"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusUnauthorized { // no client authentication
		t.Errorf("the request in flight: %v %v", resp, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrain_SecondSignalIsFaster(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: func(c *config.Config) { c.Shutdown.Delay, c.Shutdown.Timeout = time.Minute, time.Minute }})
	halfRequest(t, a)
	signals := make(chan os.Signal, 2)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(signals) }()
	signals <- syscall.SIGTERM
	time.Sleep(50 * time.Millisecond)
	select {
	case <-ended:
		t.Fatal("ended at the first signal")
	default:
	}
	signals <- syscall.SIGTERM
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still running 5 s after the second signal")
	}
}

func TestSchema_OldAndNewAreRefused(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, e)
			exec := func(sql string) {
				t.Helper()
				if _, err := db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			open := func(migrate bool) error {
				a, err := app.New(t.Context(), apptest.Config("http://localhost:1"), app.Options{DB: db, Migrate: migrate, NewKey: apptest.Keys(t)})
				if err == nil {
					a.Close()
				}
				return err
			}
			exec(`INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (9999, '9999_future', 'x', 0)`)
			for _, migrate := range []bool{false, true} {
				if err := open(migrate); !errors.Is(err, store.ErrSchemaNew) {
					t.Errorf("newer schema, migrate=%v: %v", migrate, err)
				}
			}
			var keys int64
			if err := db.QueryRow(t.Context(), `SELECT count(*) FROM signing_key`).Scan(&keys); err != nil || keys != 0 {
				t.Errorf("a newer schema was touched: %d keys, %v", keys, err)
			}
			exec(`DELETE FROM schema_migration WHERE version = 9999`)
			exec(`UPDATE schema_migration SET checksum = 'other' WHERE version = 1`)
			if err := open(true); !errors.Is(err, store.ErrSchemaChanged) {
				t.Errorf("changed migration: %v", err)
			}
			exec(`DROP TABLE schema_migration`)
			if err := open(false); !errors.Is(err, store.ErrSchemaOld) {
				t.Errorf("old schema: %v", err)
			}
		})
	}
}

func TestStart_DatabaseDownIsTriedAndThenReported(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close()
	cfg := apptest.Config("http://localhost:1")
	cfg.Database.URL = seal.Secret("postgres://signet:hunter2@" + dead + "/signet?sslmode=disable")
	began := time.Now()
	_, err = app.New(t.Context(), cfg, app.Options{Patience: 900 * time.Millisecond})
	if !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > 15*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

// cutter is a TCP proxy in front of the database whose link can be cut, black-holed and
// restored.
type cutter struct {
	target string
	ln     net.Listener
	state  chan func(*cutterState)
}

type cutterState struct {
	down, hole bool
	conns      []net.Conn
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: target, ln: ln, state: make(chan func(*cutterState))}
	go func() {
		var s cutterState
		for f := range c.state {
			f(&s)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		c.set(true, false)
	})
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.join(conn)
		}
	}()
	return c
}

// set changes the link. Cutting ends every connection.
func (c *cutter) set(down, hole bool) {
	done := make(chan struct{})
	c.state <- func(s *cutterState) {
		s.down, s.hole = down, hole
		if down {
			for _, conn := range s.conns {
				_ = conn.Close()
			}
			s.conns = nil
		}
		close(done)
	}
	<-done
}

func (c *cutter) now() (down, hole bool) {
	done := make(chan struct{})
	c.state <- func(s *cutterState) {
		down, hole = s.down, s.hole
		close(done)
	}
	<-done
	return down, hole
}

func (c *cutter) join(in net.Conn) {
	if down, _ := c.now(); down {
		_ = in.Close()
		return
	}
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		_ = in.Close()
		return
	}
	c.state <- func(s *cutterState) { s.conns = append(s.conns, in, out) }
	pump := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				_ = to.Close()
				return
			}
			if _, hole := c.now(); hole {
				continue // swallowed: no answer, no reset
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go pump(out, in)
	pump(in, out)
}

// behindCutter starts an application whose Postgres lies behind a link that can be cut.
func behindCutter(t *testing.T) (*apptest.App, *cutter) {
	t.Helper()
	url := storetest.NewURL(t, store.Postgres)
	at := strings.Index(url, "@")
	end := strings.IndexByte(url[at:], '/') + at
	c := newCutter(t, url[at+1:end])
	db := storetest.Connect(t, url[:at+1]+c.ln.Addr().String()+url[end:])
	return apptest.Start(t, apptest.Options{Engine: store.Postgres, DB: db}), c
}

func postgres(t *testing.T) bool {
	t.Helper()
	return len(storetest.Engines(t)) > 1
}

// TestStore_DownIs503AndRecovers: while the store is down nothing is decided wrongly; when it is
// back, nothing has to be restarted.
func TestStore_DownIs503AndRecovers(t *testing.T) {
	t.Parallel()
	if !postgres(t) {
		return // SQLite has no link to cut
	}
	a, link := behindCutter(t)
	rp, person, b := a.RP(t, client.Web, apptest.FirstParty), a.Person(t), a.Browser(t)
	b.Open(rp.AuthURL())
	tokens := rp.Exchange(b.Login(person))

	link.set(true, false)
	ready := "http://" + a.Management() + "/readyz"
	if status, _ := get(t, ready); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	for what, ans := range map[string]apptest.Answer{
		"refresh":    rp.Refresh(tokens.RefreshToken),
		"introspect": rp.Post("/oauth2/introspect", "token", tokens.AccessToken),
		"userinfo":   rp.Userinfo(tokens.AccessToken),
		"revoke":     rp.Post("/oauth2/revoke", "token", tokens.RefreshToken),
	} {
		if ans.Status != http.StatusServiceUnavailable || ans.Header.Get("Retry-After") == "" || strings.Contains(ans.Body, "active") {
			t.Errorf("%s while the store is down: %d %s", what, ans.Status, ans.Body)
		}
	}
	for _, path := range []string{"/login", "/account"} {
		if p := b.Open(path); p.Status != http.StatusServiceUnavailable {
			t.Errorf("%s while the store is down: %s", path, p)
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		if status, _ := get(t, a.URL+path); status != 200 {
			t.Errorf("%s needs the store: %d", path, status)
		}
	}

	link.set(false, false)
	eventually(t, "ready again", func() bool {
		status, _ := get(t, ready)
		return status == 200
	})
	if next := rp.Refresh(tokens.RefreshToken); next.Status != http.StatusOK {
		t.Errorf("refresh after recovery: %d %s", next.Status, next.Body)
	}
}

// TestStore_BlackHoleAnswersInTime: a link that swallows everything costs a request its
// deadline, no more.
func TestStore_BlackHoleAnswersInTime(t *testing.T) {
	t.Parallel()
	if !postgres(t) {
		return // SQLite has no link to cut
	}
	a, link := behindCutter(t)
	rp := a.RP(t, client.Web)
	link.set(false, true)
	defer link.set(true, false)
	began := time.Now()
	ans := rp.Post("/oauth2/introspect", "token", "sgn_at_x")
	if ans.Status != http.StatusServiceUnavailable && ans.Status != http.StatusOK || time.Since(began) > 7*time.Second {
		t.Errorf("%d after %s: %s", ans.Status, time.Since(began), ans.Body)
	}
	began = time.Now()
	ans = rp.Refresh("sgn_rt_x")
	if took := time.Since(began); took > 7*time.Second || ans.Status == http.StatusOK {
		t.Errorf("%d after %s: %s", ans.Status, took, ans.Body)
	}
}

func TestListen_PortTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cfg := apptest.Config("http://localhost:1")
	cfg.Listen = ln.Addr().String()
	a, err := app.New(t.Context(), cfg, app.Options{DB: storetest.Open(t, store.SQLite)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
}

// TestFileClients_FollowTheConfiguration: declared clients appear, change and disappear with
// the configuration.
func TestFileClients_FollowTheConfiguration(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite)
	start := func(clients []config.Client) error {
		cfg := apptest.Config("http://localhost:1")
		cfg.Clients = clients
		cfg.APIs = []config.API{{Audience: "https://api.example", Name: "Orders", Scopes: map[string]string{"orders.read": "Read"}}}
		a, err := app.New(t.Context(), cfg, app.Options{DB: db, NewKey: apptest.Keys(t)})
		if err == nil {
			a.Close()
		}
		return err
	}
	status := func() (s string) {
		t.Helper()
		if err := db.QueryRow(t.Context(), `SELECT status FROM client WHERE id = 'shop'`).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	shop := config.Client{ID: "shop", Name: "Shop", Kind: "web", Secret: seal.Secret(id.NewToken(id.ClientSecret)), RedirectURIs: []string{"https://shop.example/cb"}}
	if err := start([]config.Client{shop}); err != nil {
		t.Fatal(err)
	}
	if status() != "active" {
		t.Errorf("declared: %s", status())
	}
	if err := start(nil); err != nil || status() != "disabled" {
		t.Errorf("left the file: %v %s", err, status())
	}
	bad := shop
	bad.RedirectURIs = []string{"http://shop.example/cb#x"}
	if err := start([]config.Client{bad}); err == nil {
		t.Error("a wrong redirect URI was accepted")
	}
	if got := fmt.Sprint(app.CheckFile(&config.Config{Clients: []config.Client{bad}})); !strings.Contains(got, "{clients[0].redirect_uris ") {
		t.Errorf("config check: %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var text string
	if err := db.QueryRow(ctx, `SELECT metadata FROM client WHERE id = 'shop'`).Scan(&text); err != nil || !json.Valid([]byte(text)) {
		t.Errorf("%v %s", err, text)
	}
}
