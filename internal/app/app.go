// Package app is wiring only: configuration in, running listeners and workers out. It has the
// one function that knows every package, the small adapters between the two halves of the
// house, and the background jobs that instances share. cmd/signet and tests call it.
package app

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/clock"
	"signet/internal/platform/store"
	"signet/internal/server"
	"signet/internal/server/oidc"
	"signet/internal/server/pages"
)

// Options is what does not come from the configuration.
type Options struct {
	Log   *slog.Logger
	Clock clock.Clock // the machine's, disciplined by the database, if nil
	// Migrate brings an old schema up to date instead of refusing it.
	Migrate bool
	// Patience is how long to wait for a database that does not answer.
	Patience time.Duration
	// Dev allows what helps a developer on localhost: detailed error pages, outbound requests
	// to private addresses.
	Dev bool
	// DB is a store that is open already; the caller closes it. For tests.
	DB *store.DB
	// NewKey makes private signing keys, keys.Generate if nil. Tests have RSA keys ready.
	NewKey func(alg string) (crypto.Signer, error)
	// Listeners are open ports for the public server, instead of the configured address.
	Listeners []net.Listener
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.NewSystem()
	}
	return o
}

// App is one instance of the server. New makes it, Start lets it serve, Drain and Close end it.
type App struct {
	*Services

	cfg     *config.Config
	opts    Options
	public  *server.Server
	mutual  *server.Server // where clients present certificates; nil for none
	workers *workers
	jobs    []job
	algs    chan struct{} // clients changed: look whether a signing algorithm is missing

	listeners []listener
	operators string // address of the management listener
	// address of the listener that asks for certificates
	certificates string
	draining     atomic.Bool
	offset       atomic.Int64 // of the machine's clock, nanoseconds
	outboxDepth  depth
	failed       chan error
}

// New opens the store, wires everything over it and makes sure that there are signing keys.
// Nothing listens yet.
func New(ctx context.Context, cfg *config.Config, o Options) (*App, error) {
	o = o.withDefaults()
	services, err := Open(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	a := &App{
		Services: services, cfg: cfg, opts: o, workers: newWorkers(o.Log),
		algs: make(chan struct{}, 1), failed: make(chan error, 3),
	}
	if err := a.prepare(ctx); err != nil {
		a.Services.Close()
		return nil, err
	}
	return a, nil
}

func (a *App) prepare(ctx context.Context) error {
	if err := a.Keys.Bootstrap(ctx); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if err := a.syncFile(ctx, a.cfg); err != nil {
		return fmt.Errorf("clients of the configuration: %w", err)
	}
	if err := a.ensureAlgs(ctx); err != nil {
		return err
	}
	if err := a.skin(); err != nil {
		return err
	}
	a.jobs = []job{
		{"cleanup", 5 * time.Minute, a.cleanup},
		{"keys", time.Minute, a.Keys.Tick},
	}
	a.Changes.OnChange(client.Topic, func() {
		select {
		case a.algs <- struct{}{}:
		default: // one is waiting already
		}
	})
	a.gauges()
	a.outboxGauges()
	return a.addJobs(ctx)
}

// skin wires what people and applications talk to.
func (a *App) skin() error {
	people, err := pages.New(pages.Deps{
		Issuer: a.cfg.Issuer, Name: a.cfg.Name, Locale: a.cfg.Locale, Dev: a.opts.Dev, MinPassword: a.cfg.Passwords.MinLength,
		Clock: a.Clock, Journeys: a.Journeys, Accounts: a.Accounts, Sessions: a.Sessions, Engine: a.Engine,
		MFA: a.MFA, Devices: a.Devices, Passkeys: a.Passkeys, Upstreams: a.Upstreams, Notices: a.Notices, Mail: a.Mail,
		Clients: a.Clients, Audit: a.Audit, DB: a.DB, Log: a.Log, Brand: brandOf(a.cfg.Branding), MailCode: a.cfg.Login.MailCode,
	})
	if err != nil {
		return err
	}
	endpoints, err := oidc.New(oidc.Deps{Engine: a.Engine, Keys: a.Keys, Clients: a.Clients, Pages: people, Registration: a.Register, UILocales: people.Locales(), CertificateHeader: a.cfg.MTLS.Header})
	if err != nil {
		return err
	}
	if err := a.mutualSkin(endpoints); err != nil {
		return err
	}
	a.public, err = server.New(server.Deps{
		Issuer: a.cfg.Issuer, Alias: a.alias(), Trusted: a.cfg.Proxy.Trusted, Forwarded: a.cfg.Proxy.Header, Log: a.Log, Metrics: a.Metrics,
		Fail: map[server.Area]server.FailFunc{server.Browser: people.Fail},
	}, endpoints.Routes(), people.Routes())
	return err
}

func brandOf(b config.Branding) pages.Brand {
	return pages.Brand{
		LogoFile: b.LogoFile, LogoDarkFile: b.LogoDarkFile, Accent: b.Accent, HelpURL: b.HelpURL, PrivacyURL: b.PrivacyURL,
		TermsURL: b.TermsURL, Text: b.Text,
	}
}

// ensureAlgs makes keys for algorithms that a client asked for and that nobody had before.
func (a *App) ensureAlgs(ctx context.Context) error {
	algs, err := a.Clients.IDTokenAlgs(ctx)
	for _, alg := range algs {
		err = errors.Join(err, a.Keys.EnsureAlg(ctx, alg))
	}
	if err != nil {
		return fmt.Errorf("signing keys that clients ask for: %w", err)
	}
	return nil
}

// Start begins to serve and to work. It returns as soon as requests are accepted.
func (a *App) Start(ctx context.Context) error {
	if err := a.Changes.Poll(ctx); err != nil {
		return err
	}
	if err := a.listen(ctx); err != nil {
		return err
	}
	w := a.workers
	w.run("changes", a.Changes.Run)
	w.every("jobs", jobLook, a.RunJobs)
	w.every("keys", time.Minute, a.Keys.Load) // times make keys active or removed without a change
	w.run("algorithms", a.watchAlgs)
	w.run("outbox", a.Outbox.Run)
	w.every("outbox depth", depthPeriod, a.watchOutbox)
	if system, ok := a.Clock.(*clock.System); ok {
		w.run("clock", func(ctx context.Context) { a.watchClock(ctx, system) })
	}
	return nil
}

func (a *App) watchAlgs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.algs:
			if err := a.ensureAlgs(ctx); err != nil && ctx.Err() == nil {
				a.Log.ErrorContext(ctx, "worker failed", "worker", "algorithms", "error", err.Error())
			}
		}
	}
}

// Handler returns the public handler, for benchmarks and tests without a network.
func (a *App) Handler() http.Handler { return a.public }

// Routes returns the public route table, from which tests are generated.
func (a *App) Routes() []server.Route { return a.public.Routes() }

// Addr returns where the public listener listens.
func (a *App) Addr() string {
	if len(a.listeners) == 0 {
		return ""
	}
	return a.listeners[0].Addr().String()
}
