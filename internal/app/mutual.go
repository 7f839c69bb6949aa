package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"signet/internal/config"
	"signet/internal/server"
	"signet/internal/server/oidc"
)

// authorities reads whose certificates tls_client_auth accepts; nil for none.
func authorities(cfg *config.Config) (*x509.CertPool, error) {
	if cfg.MTLS.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(cfg.MTLS.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM form")
	}
	return pool, nil
}

// alias is the second name of the public listener: where a proxy asks for certificates.
func (a *App) alias() string {
	if a.cfg.MTLS.Header == "" {
		return ""
	}
	return a.cfg.MTLS.URL
}

// mutualSkin makes the handler of the listener that asks for certificates, if there is to be one.
func (a *App) mutualSkin(endpoints *oidc.Endpoints) (err error) {
	if a.cfg.MTLS.Listen == "" {
		return nil
	}
	a.mutual, err = server.New(server.Deps{
		Issuer: a.cfg.MTLS.URL, Log: a.Log.With("listener", "mtls"), Metrics: a.Metrics,
	}, endpoints.CertificateRoutes())
	return err
}

// openMutual opens the listener that asks for certificates. It serves applications only: browsers
// would ask people for theirs.
func (a *App) openMutual(ctx context.Context) error {
	if a.mutual == nil {
		return nil
	}
	cert, err := server.LoadCertificate(a.cfg.TLS.CertFile, a.cfg.TLS.KeyFile, a.Clock.Now, a.Log)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.MTLS.Listen)
	if err != nil {
		return fmt.Errorf("mtls.listen: %w", err)
	}
	a.certificates = ln.Addr().String()
	a.listeners = append(a.listeners, listener{tls.NewListener(ln, cert.MutualTLS()), server.NewHTTP(a.mutual, a.Log)})
	return nil
}

// Mutual returns where the listener for certificates listens, or "".
func (a *App) Mutual() string { return a.certificates }
