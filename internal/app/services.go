package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/federation"
	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/identity/password"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/consent"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/logout"
	"signet/internal/oauth/registration"
	"signet/internal/oauth/trust"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/outbox"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/telemetry"
	"signet/internal/signin"
)

// Services is everything below the HTTP skin, wired over one store. The subcommands work with
// it; App adds listeners and workers.
type Services struct {
	DB        *store.DB
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
	Seal      *seal.Sealer
	Changes   *store.Changes
	Audit     *audit.Log
	Limits    *ratelimit.Limiter
	Passwords *password.Service
	Accounts  *account.Service
	Sessions  *session.Service
	Clients   *client.Service
	Register  *registration.Service
	Keys      *keys.Service
	Consents  *consent.Service
	Logout    *logout.Service
	Engine    *oauth.Engine
	Journeys  *signin.Service
	Onetime   *onetime.Service
	Outbox    *outbox.Service
	Mail      *mail.Service
	Notices   *notice.Service
	Devices   *device.Service
	MFA       *mfa.Service
	Passkeys  *passkey.Service // nil where there are none
	Upstreams *federation.Service

	closeDB bool
	closers []func() error
}

// Close releases files, and the store unless it was brought in.
func (s *Services) Close() {
	for _, fn := range s.closers {
		_ = fn()
	}
	if s.closeDB {
		s.DB.Close()
	}
}

// retention is how long a retired key stays in the JWKS: the longest lifetime that anything
// signed may have (a client's access_token_ttl ends at a day), and an hour for clocks and caches.
const retention = 25 * time.Hour

// Open opens the store of cfg, checks or migrates its schema, and wires the services.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Services, error) {
	o = o.withDefaults()
	sealer, err := seal.Parse(cfg.MasterKey.Reveal())
	if err != nil {
		return nil, err
	}
	s := &Services{DB: o.DB, Clock: o.Clock, Log: o.Log, Metrics: telemetry.NewMetrics(), Seal: sealer}
	if s.DB == nil {
		if s.DB, err = openStore(ctx, cfg.Database, o); err != nil {
			return nil, err
		}
		s.closeDB = true
	}
	if err := s.wire(ctx, cfg, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// wire is the one place that knows how services are put together.
func (s *Services) wire(ctx context.Context, cfg *config.Config, o Options) (err error) {
	if err := checkSchema(ctx, s.DB, o.Migrate, o.Log); err != nil {
		return err
	}
	if system, ok := s.Clock.(*clock.System); ok { // before anything is dated
		if _, err := discipline(ctx, s.DB, system); err != nil {
			return fmt.Errorf("read the database's clock: %w", err)
		}
	}
	s.Changes = store.NewChanges(s.DB, store.DefaultPoll)
	set := func(e error) {
		err = errors.Join(err, e)
	}
	var e error
	s.Audit, e = audit.New(audit.Deps{DB: s.DB, Clock: s.Clock, Observe: s.Metrics.Outcome})
	set(e)
	s.Limits, e = ratelimit.New(ratelimit.Deps{DB: s.DB, Clock: s.Clock, Key: s.Seal.Subkey("ratelimit"), Observe: func(budget string) {
		s.Metrics.Outcome("limited", budget)
	}})
	set(e)
	set(s.wirePasswords(cfg, o))
	s.Sessions, e = session.New(session.Deps{
		DB: s.DB, Clock: s.Clock, Audit: s.Audit,
		Idle: cfg.Sessions.Idle, Absolute: cfg.Sessions.Absolute, MaxPerAccount: cfg.Sessions.PerAccount,
	})
	set(e)
	s.Consents, e = consent.New(consent.Deps{DB: s.DB, Clock: s.Clock, Audit: s.Audit})
	set(e)
	s.Clients, e = client.New(client.Deps{
		DB: s.DB, Clock: s.Clock, Changes: s.Changes, Audit: s.Audit, Log: s.Log,
		Fetch: s.fetch(cfg, o), Seal: s.Seal,
		Documents: clientDocuments(cfg), UnusedFor: cfg.Register.UnusedFor,
	})
	set(e)
	s.Keys, e = keys.New(keys.Deps{
		DB: s.DB, Clock: s.Clock, Changes: s.Changes, Seal: s.Seal, Audit: s.Audit, Log: s.Log, Generate: o.NewKey,
		Policy: keys.Policy{RotateEvery: cfg.Keys.RotateEvery, PublishBefore: cfg.Keys.PublishBefore, Retention: retention},
	})
	set(e)
	if err != nil {
		return err
	}
	if err := s.wireMail(cfg); err != nil {
		return err
	}
	if err := s.wireAccounts(cfg, o); err != nil {
		return err
	}
	if err := s.wireLogout(cfg, o); err != nil {
		return err
	}
	ttl := cfg.Tokens
	trusted, err := authorities(cfg)
	if err != nil {
		return fmt.Errorf("mtls.ca_file: %w", err)
	}
	issuers, err := trust.New(s.Clients, jwtIssuers(cfg))
	if err != nil {
		return err
	}
	if err := s.wireRegistration(cfg, issuers); err != nil {
		return err
	}
	s.Engine, err = oauth.New(oauth.Deps{
		DB: s.DB, Clock: s.Clock, Issuer: cfg.Issuer, Keys: s.Keys, Clients: s.Clients, Consents: s.Consents,
		Subjects: subjects{s.Accounts}, Audit: s.Audit, Seal: s.Seal, Log: s.Log,
		Logout: s.Logout,
		TTLs:   oauth.TTLs{Code: ttl.Code, Access: ttl.Access, ID: ttl.ID, RefreshIdle: ttl.RefreshIdle, RefreshAbsolute: ttl.RefreshAbsolute},
		Limits: s.Limits, Device: oauth.DeviceTerms{Lifetime: cfg.Device.Lifetime, Interval: cfg.Device.Interval},
		CIBA: oauth.CIBATerms(cfg.CIBA), Directory: directory{s.Accounts, s.Notices}, Outbox: s.Outbox, Ping: s.fetch(cfg, o),
		Trust: issuers, Resolver: asserted{s.Accounts, s.Upstreams},
		Policy: policy(cfg), Authorities: trusted, Fetch: s.fetch(cfg, o),
	})
	if err != nil {
		return err
	}
	return s.wireJourneys(cfg)
}
