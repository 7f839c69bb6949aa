package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/server"
	"signet/migrations"
)

// listener is one open port with its server.
type listener struct {
	net.Listener
	http *http.Server
}

// listen opens the ports; only when all are open does any serve.
func (a *App) listen(ctx context.Context) error {
	if err := a.openPublic(ctx); err != nil {
		return err
	}
	if err := errors.Join(a.openMutual(ctx), a.openManagement(ctx)); err != nil {
		a.closeListeners()
		return err
	}
	for _, l := range a.listeners {
		go func() {
			if err := l.http.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
				a.failed <- fmt.Errorf("listener %s: %w", l.Addr(), err)
			}
		}()
	}
	return nil
}

func (a *App) openPublic(ctx context.Context) error {
	ports := a.opts.Listeners
	if len(ports) == 0 {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		ports = []net.Listener{ln}
	}
	var secure *tls.Config
	if a.cfg.TLS.CertFile != "" {
		cert, err := server.LoadCertificate(a.cfg.TLS.CertFile, a.cfg.TLS.KeyFile, a.Clock.Now, a.Log)
		if err != nil {
			for _, ln := range ports {
				_ = ln.Close()
			}
			return err
		}
		secure = cert.TLS()
	} else if strings.HasPrefix(a.cfg.Issuer, "https://") && len(a.cfg.Proxy.Trusted) == 0 {
		a.Log.WarnContext(ctx, "the issuer is https but there is neither tls.cert_file nor proxy.trusted: every client will seem to have the proxy's address")
	}
	public := server.NewHTTP(a.public, a.Log)
	for _, ln := range ports {
		if secure != nil {
			ln = tls.NewListener(ln, secure)
		}
		a.listeners = append(a.listeners, listener{ln, public})
	}
	return nil
}

func (a *App) openManagement(ctx context.Context) error {
	if a.cfg.Management.Listen == "off" {
		return nil
	}
	h, err := a.management()
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Management.Listen)
	if err != nil {
		return fmt.Errorf("management.listen: %w", err)
	}
	a.operators = ln.Addr().String()
	a.listeners = append(a.listeners, listener{ln, server.NewHTTP(h, a.Log)})
	return nil
}

// Management returns where the management listener listens, or "".
func (a *App) Management() string { return a.operators }

func (a *App) closeListeners() {
	for _, l := range a.listeners {
		_ = l.Close()
	}
}

// management is the handler for operators.
func (a *App) management() (*server.Server, error) {
	text := func(w http.ResponseWriter, status int, s string) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(s + "\n"))
		return nil
	}
	get := func(path string, h server.HandlerFunc) server.Route {
		return server.Route{Method: http.MethodGet, Path: path, Area: server.Management, Handler: h}
	}
	metrics := a.Metrics.Handler()
	return server.New(server.Deps{Management: true, Log: a.Log.With("listener", "management")}, []server.Route{
		get("/healthz", func(w http.ResponseWriter, _ *http.Request) error { return text(w, http.StatusOK, "ok") }),
		get("/readyz", func(w http.ResponseWriter, r *http.Request) error {
			if err := a.Ready(r.Context()); err != nil {
				a.Log.WarnContext(r.Context(), "not ready", "error", err.Error())
				return text(w, http.StatusServiceUnavailable, reason(err))
			}
			return text(w, http.StatusOK, "ok")
		}),
		get("/metrics", func(w http.ResponseWriter, r *http.Request) error {
			metrics.ServeHTTP(w, r)
			return nil
		}),
	})
}

var (
	errDraining = errors.New("draining")
	errNoKeys   = errors.New("no signing keys")
)

// reason is what a probe is told; the cause is in the log.
func reason(err error) string {
	switch {
	case errors.Is(err, errDraining), errors.Is(err, errNoKeys):
		return err.Error()
	case errs.Is(err, errs.Unavailable):
		return "the store does not answer"
	}
	return "the store is not usable"
}

// Ready reports whether this instance should get requests: not draining, the store answers, its
// schema fits, signing keys are loaded. A schema that has become newer is no reason to stop: the
// previous release runs on it while instances are replaced one by one.
func (a *App) Ready(ctx context.Context) error {
	if a.draining.Load() {
		return errDraining
	}
	if len(a.Keys.Algs()) == 0 {
		return errNoKeys
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := a.DB.Ping(ctx); err != nil {
		return err
	}
	steps, err := store.Migrations(migrations.Files, a.DB.Engine())
	if err != nil {
		return err
	}
	if err := store.CheckSchema(ctx, a.DB, steps); err != nil && !errors.Is(err, store.ErrSchemaNew) {
		return err
	}
	return nil
}

// gauges publishes what is worth a look at every scrape.
func (a *App) gauges() {
	m := a.Metrics
	m.Gauge("signet_ready", "1 while this instance wants requests.", func() float64 {
		if a.draining.Load() {
			return 0
		}
		return 1
	})
	m.Gauge("signet_clock_offset_seconds", "How far the machine's clock is from the database's.", func() float64 {
		return time.Duration(a.offset.Load()).Seconds()
	})
	m.Gauge("signet_password_slots_in_use", "Password hashes being computed.", func() float64 {
		n, _, _ := a.Passwords.Stats()
		return float64(n)
	})
	m.Gauge("signet_password_queue", "Logins that wait for a slot.", func() float64 {
		_, n, _ := a.Passwords.Stats()
		return float64(n)
	})
	m.Counter("signet_password_shed_total", "Logins told to come back later.", func() float64 {
		_, _, n := a.Passwords.Stats()
		return float64(n)
	})
}
