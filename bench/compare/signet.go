package compare

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"signet/bench/load"
	"signet/bench/seed"
)

const (
	postgres = "postgres"
	sqlite   = "sqlite"

	redirectURI = "http://127.0.0.1:9/callback"
	audience    = "https://api.bench.example"
)

// instance is one `signet serve` over a store of its own.
type instance struct {
	engine  string
	name    string // small or large
	binary  string
	config  string // file
	dsn     string // of the Postgres database, or the SQLite file
	issuer  string
	ready   string
	logFile string
	secret  string
	users   int
	process *process

	postmaster int // process id of the Postgres server, 0 on SQLite

	web, machine load.Target
}

// newInstance makes the store: configuration, schema, clients from the configuration, and the
// seed. The server is not running afterwards.
func newInstance(ctx context.Context, o Options, engine, name string, accounts int) (*instance, error) {
	dir := filepath.Join(o.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	i := &instance{engine: engine, name: name, binary: o.Signet, secret: random(), users: accounts,
		config: filepath.Join(dir, engine+".yaml"), logFile: filepath.Join(dir, engine+".log")}
	public, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	management, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	// By name: passkeys, and with them the login page as it is, need one.
	i.issuer, i.ready = "http://"+strings.Replace(public, "127.0.0.1", "localhost", 1), "http://"+management+"/readyz"
	database := ""
	if engine == postgres {
		if i.dsn, err = createDatabase(ctx, o.Postgres, "bench_"+name); err != nil {
			return nil, err
		}
		if i.postmaster, err = postmaster(ctx, i.dsn); err != nil {
			return nil, err
		}
		database = fmt.Sprintf("url: %q", i.dsn)
	} else {
		i.dsn = filepath.Join(dir, "signet.db")
		database = fmt.Sprintf("path: %q", i.dsn)
	}
	if err := os.WriteFile(i.config, i.yaml(public, management, database), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, i.binary, "migrate", "--config", i.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w: %s", err, out)
	}
	// The first start writes keys and clients, which the grants of the seed refer to.
	if err := i.start(ctx); err != nil {
		return nil, err
	}
	i.stop()
	s := seed.Options{Accounts: accounts, Client: "bench-web", Password: i.password(), Now: time.Now(),
		MemoryKiB: argon2id.MemoryKiB, Time: argon2id.Time, Parallelism: argon2id.Parallelism}
	if engine == postgres {
		return i, seed.Postgres(ctx, i.dsn, s)
	}
	return i, seed.SQLite(ctx, i.dsn, s)
}

func (i *instance) password() string { return "bench " + i.secret[:16] }

// yaml is the configuration: defaults, except for addresses, the clients and a shutdown that
// waits for no balancer.
func (i *instance) yaml(public, management, database string) []byte {
	var master [32]byte
	_, _ = rand.Read(master[:]) // never fails (crypto/rand)
	return fmt.Appendf(nil, `issuer: %s
listen: %s
master_key: %s
management:
  listen: %s
database:
  %s
shutdown:
  delay: 0s
apis:
  - audience: %s
    name: Bench
    scopes: {read: Read}
clients:
  - id: bench-web
    name: Bench
    kind: web
    secret: %s
    redirect_uris: [%q]
    first_party: true
  - id: bench-machine
    name: Bench machine
    kind: machine
    secret: %s
    scopes: [read]
    audiences: [%q]
`, i.issuer, public, base64.StdEncoding.EncodeToString(master[:]), management, database, audience, i.secret, redirectURI, i.secret, audience)
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// open prepares the two targets: the web application and the machine.
func (i *instance) open(ctx context.Context) error {
	i.web = load.Target{Issuer: i.issuer, ClientID: "bench-web", ClientSecret: i.secret, RedirectURI: redirectURI,
		Scope: "openid profile email offline_access",
		Users: func(n int) (string, string) { return fmt.Sprintf(seed.Pattern, n%i.users), i.password() }}
	i.machine = load.Target{Issuer: i.issuer, ClientID: "bench-machine", ClientSecret: i.secret, Scope: "read",
		Extra: url.Values{"resource": {audience}}}
	return errors.Join(i.web.Open(ctx), i.machine.Open(ctx))
}

// start runs the server and waits until it says that it is ready.
func (i *instance) start(ctx context.Context) error {
	p, err := startProcess(ctx, i.logFile, i.binary, "serve", "--config", i.config)
	if err != nil {
		return err
	}
	i.process = p
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 15_000 {
		select {
		case <-p.done:
			return fmt.Errorf("signet serve ended: %w; see %s:\n%s", p.err, i.logFile, tail(i.logFile))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.ready, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	i.stop()
	return fmt.Errorf("signet serve is not ready after 30 s; see %s:\n%s", i.logFile, tail(i.logFile))
}

func (i *instance) stop() {
	i.web.Close()
	i.machine.Close()
	if i.process != nil {
		i.process.stop()
		i.process = nil
	}
}

func (i *instance) resident() (float64, error) { return resident(i.process.cmd.Process.Pid) }

// loggedErrors counts log lines of level error and panics, and returns the first.
func (i *instance) loggedErrors() (n int, first string) {
	text, err := os.ReadFile(i.logFile)
	if err != nil {
		return 0, ""
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"level":"ERROR"`) && !strings.HasPrefix(line, "panic:") {
			continue
		}
		if n++; n == 1 {
			first = strings.TrimSpace(line)
		}
	}
	return n, first
}

// createDatabase makes an empty database on the server and returns its URL.
func createDatabase(ctx context.Context, admin, name string) (string, error) {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, s := range []string{`DROP DATABASE IF EXISTS `, `CREATE DATABASE `} {
		if _, err := conn.Exec(ctx, s+pgx.Identifier{name}.Sanitize()); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(admin)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// postmaster returns the process id of the server, which runs on this machine.
func postmaster(ctx context.Context, dsn string) (int, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var backend int
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return 0, err
	}
	parent, _ := stat(backend)
	return parent, nil
}
