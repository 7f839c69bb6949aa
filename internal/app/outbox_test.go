package app_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/platform/clock"
	"signet/internal/platform/mail"
	"signet/internal/platform/mail/mailtest"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// through configures the mail server m.
func through(m *mailtest.Server) func(*config.Config) {
	return func(c *config.Config) {
		client := m.Client()
		c.Mail.From = "Example ID <no-reply@example.com>"
		c.Mail.SMTP.Host, c.Mail.SMTP.Port, c.Mail.SMTP.TLS = client.Host, client.Port, client.TLS
	}
}

func write(t *testing.T, a *apptest.App, to string) {
	t.Helper()
	err := a.DB.InTx(t.Context(), func(ctx context.Context) error {
		return a.Mail.Send(ctx, mail.Message{
			To: to, Kind: "reset", Locale: "en", Expires: a.Clock.Now().Add(30 * time.Minute),
			Data: map[string]any{"Code": "12345678", "Link": a.URL + "/m/sgn_ml_x"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two instances run their workers: each mail leaves after the commit, within moments, once.
func TestMail_LeavesOnceFromTwoInstances(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			m := mailtest.Start(t, mailtest.Options{TLS: mail.NoTLS})
			a := apptest.Start(t, apptest.Options{Engine: e, Config: through(m)})
			b := a.StartSecond(t)
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() { write(t, []*apptest.App{a, b}[i%2], "person"+strconv.Itoa(i)+"@example.net") })
			}
			wg.Wait()
			eventually(t, "20 mails", func() bool { return len(m.Letters()) >= 20 })
			eventually(t, "an empty outbox", func() bool {
				d, err := a.Outbox.Depth(t.Context())
				return err == nil && d.Pending == 0
			})
			seen := map[string]int{}
			for _, l := range m.Letters() {
				seen[l.To]++
			}
			if len(seen) != 20 || len(m.Letters()) != 20 {
				t.Errorf("%d mails to %d people", len(m.Letters()), len(seen))
			}
			// Nothing that a mail said is left in the store or in the log.
			for _, item := range must(a.Outbox.List(t.Context(), outbox.Filter{})) {
				if item.State != outbox.Done {
					t.Errorf("%+v", item)
				}
			}
			var n int64
			if err := a.DB.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE length(payload) > 0`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d payloads are kept (%v)", n, err)
			}
			if log := a.Logged() + b.Logged(); strings.Contains(log, "12345678") || strings.Contains(log, "@example.net") {
				t.Error("the log tells what was written to whom")
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// While the mail server hangs, what writes mail answers at once, and other pages do too; when it
// works again, the mail leaves.
func TestMail_ServerHangsThenWorks(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			m := mailtest.Start(t, mailtest.Options{TLS: mail.NoTLS})
			release := make(chan struct{})
			m.Change(nil, func() error { <-release; return mailtest.Refusal(451, "not yet") }, false)
			c := clock.NewFake(time.Now())
			a := apptest.Start(t, apptest.Options{Engine: e, Clock: c, Config: through(m)})
			began := time.Now()
			for i := range 8 {
				write(t, a, "person"+strconv.Itoa(i)+"@example.net")
			}
			if resp, err := a.Client().Get(a.URL + "/.well-known/openid-configuration"); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("discovery: %v %v", resp, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("writing took %v", took)
			}
			close(release)
			eventually(t, "a refusal", func() bool {
				list := must(a.Outbox.List(t.Context(), outbox.Filter{}))
				failed := 0
				for _, i := range list {
					if i.LastError != "" {
						failed++
					}
				}
				return failed == 8
			})
			m.Change(nil, nil, false)
			c.Advance(5 * time.Minute)
			eventually(t, "8 mails", func() bool { return len(m.Letters()) == 8 })
			metrics := string(must(io.ReadAll(must(http.Get("http://" + a.Management() + "/metrics")).Body)))
			for _, want := range []string{"signet_outbox_pending", "signet_outbox_dead 0", `signet_outcomes_total{kind="outbox.mail",result="failed"}`, `signet_outcomes_total{kind="outbox.mail",result="ok"}`} {
				if !strings.Contains(metrics, want) {
					t.Errorf("metrics lack %s", want)
				}
			}
		})
	}
}

// An act that is rolled back writes to nobody.
func TestMail_NotWithoutItsAct(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		boom := errors.New("boom")
		err := a.DB.InTx(t.Context(), func(ctx context.Context) error {
			if err := a.Mail.Send(ctx, mail.Message{To: "ada@example.net", Kind: "test"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if got := a.Mails(t, "ada@example.net"); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestMailbox_ShowsMailsInDevelopment(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		b := a.Browser(t)
		if page := b.Open("/dev/mailbox"); !strings.Contains(page.Text(), "No mail yet") {
			t.Errorf("empty mailbox:\n%s", page)
		}
		write(t, a, "ada@example.net")
		if code, link := a.MailCode(t, "ada@example.net"), a.MailLink(t, "ada@example.net"); code != "12345678" || link != a.URL+"/m/sgn_ml_x" {
			t.Errorf("code %q, link %q", code, link)
		}
		got := apptest.MailboxOf(t, a.Client(), a.URL, "ada@example.net", 1)
		if len(got) != 1 || got[0].Code() != "12345678" || got[0].Link() != a.URL+"/m/sgn_ml_x" || got[0].Kind != "reset" {
			t.Errorf("%+v", got)
		}
		if others := apptest.MailboxOf(t, a.Client(), a.URL, "bo@example.net", 0); len(others) != 0 {
			t.Errorf("%+v", others)
		}
		id := must(a.Mail.Mailbox(t.Context()))[0].ID
		if page := b.Open("/dev/mailbox"); !strings.Contains(page.Text(), "12345678 is your code") || !strings.Contains(page.Body, `href="/dev/mailbox/`+id+`"`) {
			t.Errorf("mailbox:\n%s", page)
		}
		if page := b.Open("/dev/mailbox/" + id); !strings.Contains(page.Text(), "Or open this link") || !strings.Contains(page.Body, `href="`+a.URL+`/m/sgn_ml_x"`) {
			t.Errorf("mail:\n%s", page)
		}
		resp, err := a.Client().Get(a.URL + "/dev/mailbox/" + id + "/html")
		if err != nil {
			t.Fatal(err)
		}
		body := string(must(io.ReadAll(resp.Body)))
		policy := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"sandbox", "default-src 'none'", "frame-ancestors 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("policy %q lacks %s", policy, want)
			}
		}
		if strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") || !strings.Contains(body, "12345678") {
			t.Errorf("policy %q, body %.200q", policy, body)
		}
		if resp, err := a.Client().Get(a.URL + "/dev/mailbox/nonsense"); err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("unknown mail: %v %v", resp, err)
		}
	})
}

// Where mail is sent for real, nobody reads it over the web.
func TestMailbox_OnlyInDevelopment(t *testing.T) {
	t.Parallel()
	m := mailtest.Start(t, mailtest.Options{TLS: mail.NoTLS})
	a := apptest.Start(t, apptest.Options{Engine: store.SQLite, Config: through(m)})
	for _, r := range a.Routes() {
		if strings.HasPrefix(r.Path, "/dev/") {
			t.Errorf("route %s", r.Path)
		}
	}
	for _, path := range []string{"/dev/mailbox", "/dev/mailbox.json", "/dev/mailbox/x", "/dev/mailbox/x/html"} {
		if resp, err := a.Client().Get(a.URL + path); err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
}
