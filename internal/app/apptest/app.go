// Package apptest boots the real application for tests: on port zero, over a fresh database,
// with cheap password hashes and a clock that the test moves. Flow tests talk to it as its
// users do: Browser walks the pages, RP is an application. Only tests import it.
//
//	a := apptest.Start(t, apptest.Options{})
//	rp := a.RP(t, client.Web)
//	person := a.Person(t)
//	b := a.Browser(t)
//	page := b.Open(rp.AuthURL())
//	page = b.Login(person)             // fills and submits the login form
//	page = b.Click("answer=allow")     // consent
//	tokens := rp.Exchange(page)        // page is the redirect to the application
package apptest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/internal/platform/telemetry"
)

// Options of Start. The zero value is an SQLite database and a clock that stands still at
// the time of the start.
type Options struct {
	Engine store.Engine
	Clock  *clock.Fake
	// DB is used instead of a fresh database: for faults (storetest.FailAt).
	DB *store.DB
	// Config changes the configuration before the start; no check looks at it afterwards.
	Config func(*config.Config)
	// Mail keeps mail in the developer's mailbox, for Mails, MailCode and MailLink. Without it there
	// is no mail.
	Mail bool
	// Idle leaves listeners and workers out: for tests that need New, not Start.
	Idle bool
}

// App is a running instance.
type App struct {
	*app.App
	URL   string // the issuer
	DB    *store.DB
	Clock *clock.Fake
	Cfg   *config.Config

	log    *Log
	client *http.Client
	source string // where the database is, for a second instance
}

// Log collects what the application logs. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns everything logged so far, one JSON object per line.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Each runs fn as a subtest per engine, each with an application of its own.
func Each(t *testing.T, o Options, fn func(t *testing.T, a *App)) {
	t.Helper()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			o := o
			o.Engine = e
			fn(t, Start(t, o))
		})
	}
}

// Start boots an application, which ends with the test.
func Start(t testing.TB, o Options) *App {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock.NewFake(time.Now())
	}
	if o.Engine == "" {
		o.Engine = store.SQLite
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	source, db := "", o.DB
	if db == nil {
		source = storetest.NewURL(t, o.Engine)
		db = storetest.Connect(t, source)
	}
	// By name: passkeys belong to names, never to addresses.
	cfg := Config(strings.Replace("http://"+ln.Addr().String(), "127.0.0.1", "localhost", 1))
	if o.Mail {
		cfg.Mail.KeepMail()
	}
	if o.Config != nil {
		o.Config(cfg)
	}
	return boot(t, cfg, db, source, o, ln)
}

// Config is the configuration that Start begins with.
func Config(issuer string) *config.Config {
	c := config.Default()
	c.Issuer = issuer
	c.MasterKey = seal.Secret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	c.Management.Listen = "127.0.0.1:0"
	c.Passwords.MemoryKiB, c.Passwords.Time = 64, 1 // hashing is not what flow tests are about
	c.Passwords.Slots, c.Passwords.QueueTimeout = 64, 4*time.Second
	c.Shutdown.Delay, c.Shutdown.Timeout = 0, 5*time.Second
	return c
}

func boot(t testing.TB, cfg *config.Config, db *store.DB, source string, o Options, ln net.Listener) *App {
	t.Helper()
	log := &Log{}
	a, err := app.New(t.Context(), cfg, app.Options{
		Log:   telemetry.NewLogger(log, telemetry.LogOptions{Format: "json", Level: slog.LevelDebug}),
		Clock: o.Clock, DB: db, Dev: true, Listeners: []net.Listener{ln}, NewKey: Keys(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if !o.Idle {
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	out := &App{App: a, URL: cfg.Issuer, DB: db, Clock: o.Clock, Cfg: cfg, log: log, source: source}
	out.client = out.newClient()
	t.Cleanup(out.client.CloseIdleConnections)
	return out
}

// StartSecond boots another instance over the same store, for the same issuer and under the
// same clock. Requests reach it through its own Client, Browser or RP.
func (a *App) StartSecond(t testing.TB) *App {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db := a.DB
	if a.source != "" {
		db = storetest.Connect(t, a.source)
	}
	return boot(t, a.Cfg, db, a.source, Options{Clock: a.Clock}, ln)
}

// Logged returns what the instance has logged.
func (a *App) Logged() string { return a.log.String() }

// Client returns an HTTP client without cookies whose requests to the issuer reach this
// instance. It does not follow redirects.
func (a *App) Client() *http.Client { return a.client }

func (a *App) newClient() *http.Client {
	host := strings.TrimPrefix(strings.TrimPrefix(a.URL, "http://"), "https://")
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == host {
					addr = a.Addr()
				}
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			},
		},
	}
}

// Person is somebody with an account.
type Person struct {
	ID       id.User
	Email    string
	Name     string
	Password string
}

// Person makes an account with a verified address and a password of its own.
func (a *App) Person(t testing.TB) Person {
	t.Helper()
	n := strings.ReplaceAll(id.New(), "-", "")[20:]
	p := Person{Email: "mina." + n + "@example.com", Name: "Mina " + n, Password: "violet-harbour-" + n}
	acc, err := a.Accounts.Create(t.Context(), account.NewAccount{
		Email: p.Email, EmailVerified: true, Password: seal.Secret(p.Password), Profile: account.Profile{Name: p.Name}, Source: "cli",
	})
	if err != nil {
		t.Fatalf("create account: %v", err)
	}
	p.ID = acc.ID
	return p
}

// Count returns the number of rows of a table, for tests that look for what must not be left.
func (a *App) Count(t testing.TB, table string) int {
	t.Helper()
	var n int64
	if err := a.DB.QueryRow(t.Context(), fmt.Sprintf("SELECT count(*) FROM %s", table)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return int(n)
}
