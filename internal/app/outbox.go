package app

import (
	"context"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"signet/internal/config"
	"signet/internal/platform/mail"
	"signet/internal/platform/outbox"
)

// wireMail makes the outbox and what writes into it.
func (s *Services) wireMail(cfg *config.Config) (err error) {
	s.Outbox, err = outbox.New(outbox.Deps{
		DB: s.DB, Clock: s.Clock, Seal: s.Seal, Audit: s.Audit, Log: s.Log,
		Observe: func(kind, result string) { s.Metrics.Outcome("outbox."+kind, result) },
	})
	if err != nil {
		return err
	}
	m := cfg.Mail
	var server *mail.SMTP
	if m.SMTP.Host != "" {
		server = &mail.SMTP{
			Host: m.SMTP.Host, Port: m.SMTP.Port, Username: m.SMTP.Username, Password: m.SMTP.Password,
			TLS: m.SMTP.TLS, Timeout: m.SMTP.Timeout,
		}
	}
	var own fs.FS
	if m.Templates != "" {
		own = os.DirFS(m.Templates)
	}
	s.Mail, err = mail.New(mail.Deps{
		Outbox: s.Outbox, Clock: s.Clock, Log: s.Log, From: m.From, Name: cfg.Name, Issuer: cfg.Issuer, Locale: cfg.Locale,
		SMTP: server, Dev: m.Kept(), Templates: own, Brand: mail.Brand{Accent: cfg.Branding.Accent},
	})
	return err
}

const (
	depthPeriod = 15 * time.Second
	// outboxKept is how long an operator can see what became of a message.
	outboxKept = 7 * 24 * time.Hour
)

// depth is what the outbox held when it was last looked at.
type depth struct{ pending, dead, oldest atomic.Int64 }

// watchOutbox reads the depth of the outbox for the gauges: a scrape must not wait for the store.
func (a *App) watchOutbox(ctx context.Context) error {
	d, err := a.Outbox.Depth(ctx)
	if err != nil {
		return err
	}
	a.outboxDepth.pending.Store(int64(d.Pending))
	a.outboxDepth.dead.Store(int64(d.Dead))
	a.outboxDepth.oldest.Store(0)
	if !d.Oldest.IsZero() {
		a.outboxDepth.oldest.Store(int64(a.Clock.Now().Sub(d.Oldest)))
	}
	return nil
}

func (a *App) outboxGauges() {
	m, d := a.Metrics, &a.outboxDepth
	m.Gauge("signet_outbox_pending", "Messages that wait for delivery.", func() float64 { return float64(d.pending.Load()) })
	m.Gauge("signet_outbox_dead", "Messages that were refused for good, expired or tried too often.", func() float64 { return float64(d.dead.Load()) })
	m.Gauge("signet_outbox_oldest_seconds", "Age of the oldest message that waits.", func() float64 {
		return time.Duration(d.oldest.Load()).Seconds()
	})
}

// deleteMessages removes messages that ended a while ago.
func (a *App) deleteMessages(ctx context.Context, limit int) (int64, error) {
	return a.Outbox.DeleteDone(ctx, a.Clock.Now().Add(-outboxKept), limit)
}
