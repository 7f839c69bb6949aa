package mail_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/mail"
	"signet/internal/platform/mail/mailtest"
	"signet/internal/platform/outbox"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sender is a mail service over a database of its own.
type sender struct {
	*mail.Service
	t      *testing.T
	db     *store.DB
	clock  *clock.Fake
	outbox *outbox.Service
	log    *bytes.Buffer
}

func newSender(t *testing.T, db *store.DB, c *clock.Fake, change func(*mail.Deps)) *sender {
	t.Helper()
	s := &sender{t: t, db: db, clock: c, log: &bytes.Buffer{}}
	sealer, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.outbox, err = outbox.New(outbox.Deps{DB: db, Clock: c, Seal: sealer, Audit: trail, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d := mail.Deps{
		Outbox: s.outbox, Clock: c, Log: log, From: "Example ID <no-reply@example.com>", Name: "Example ID",
		Issuer: "https://id.example.com",
	}
	change(&d)
	if s.Service, err = mail.New(d); err != nil {
		t.Fatal(err)
	}
	return s
}

// withServer runs fn on each engine, with a mail server of its own.
func withServer(t *testing.T, o mailtest.Options, fn func(t *testing.T, s *sender, m *mailtest.Server)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := mailtest.Start(t, o)
		fn(t, newSender(t, db, clock.NewFake(start), func(d *mail.Deps) { d.SMTP = m.Client() }), m)
	})
}

func resetMail(to string) mail.Message {
	return mail.Message{
		To: to, Account: "u1", Kind: "reset", Locale: "en", Expires: start.Add(30 * time.Minute),
		Data: map[string]any{"Code": "12345678", "Link": "https://id.example.com/m/sgn_ml_x", "Browser": "Firefox on Linux", "IP": "192.0.2.7", "At": start},
	}
}

func (s *sender) send(m mail.Message) {
	s.t.Helper()
	if err := s.db.InTx(s.t.Context(), func(ctx context.Context) error { return s.Send(ctx, m) }); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sender) deliver() {
	s.t.Helper()
	if _, err := s.outbox.Deliver(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sender) only() outbox.Item {
	s.t.Helper()
	list, err := s.outbox.List(s.t.Context(), outbox.Filter{})
	if err != nil || len(list) != 1 {
		s.t.Fatalf("listed %+v, %v", list, err)
	}
	return list[0]
}

func TestSend_ArrivesOnceOverTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{mail.StartTLS, mail.ImplicitTLS, mail.NoTLS} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			withServer(t, mailtest.Options{TLS: mode, Username: "signet", Password: "letter box"}, func(t *testing.T, s *sender, m *mailtest.Server) {
				s.send(resetMail("ada@example.net"))
				s.deliver()
				s.deliver()
				got := m.Letters()
				if len(got) != 1 || m.Logins() != 1 {
					t.Fatalf("%d mails, %d logins; %+v", len(got), m.Logins(), s.only())
				}
				l, i := got[0], s.only()
				for header, want := range map[string]string{
					"Message-ID": "<" + i.ID + "@example.com>", "Date": "Fri, 02 Jan 2026 03:04:05 +0000", "To": "<ada@example.net>",
					"From": `"Example ID" <no-reply@example.com>`, "Auto-Submitted": "auto-generated", "Content-Language": "en", "User-Agent": "", "X-Mailer": "",
				} {
					if l.Header.Get(header) != want {
						t.Errorf("%s: %q, want %q", header, l.Header.Get(header), want)
					}
				}
				if l.From != "no-reply@example.com" || l.To != "ada@example.net" || i.State != outbox.Done {
					t.Errorf("envelope %s → %s, %+v", l.From, l.To, i)
				}
				for _, want := range []string{"12345678", "https://id.example.com/m/sgn_ml_x", "Firefox on Linux", "30 minutes"} {
					if !strings.Contains(l.Text, want) || !strings.Contains(l.HTML, want) {
						t.Errorf("%q is not in both parts", want)
					}
				}
				if !strings.HasPrefix(l.Subject, "12345678 ") { // readable in the preview
					t.Errorf("subject %q", l.Subject)
				}
			})
		})
	}
}

func TestSend_KoreanArrives(t *testing.T) {
	t.Parallel()
	withServer(t, mailtest.Options{}, func(t *testing.T, s *sender, m *mailtest.Server) {
		msg := resetMail("아다@example.net")
		msg.Locale = "ko-KR"
		s.send(msg)
		s.deliver()
		got := m.Letters()
		if len(got) != 1 || got[0].Subject != "Example ID 새 비밀번호 코드: 12345678" || got[0].To != "아다@example.net" ||
			!strings.Contains(got[0].Text, "30분 동안") || !strings.Contains(got[0].HTML, `lang="ko"`) {
			t.Errorf("got %+v; %+v", got, s.only())
		}
	})
}

// Nobody listens; later somebody does.
func TestDeliver_ServerDownThenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		// A port below 1024, which no test listens on; one that was just closed may be taken again.
		s := newSender(t, db, clock.NewFake(start), func(d *mail.Deps) { d.SMTP = &mail.SMTP{Host: "127.0.0.1", Port: 1, Timeout: time.Second} })
		began := time.Now()
		s.send(resetMail("ada@example.net"))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("sending took %v", took)
		}
		s.deliver()
		i := s.only()
		if i.State != outbox.Pending || !strings.Contains(i.LastError, "refused") {
			t.Errorf("item %+v", i)
		}
		back := mailtest.Start(t, mailtest.Options{})
		again := newSender(t, db, s.clock, func(d *mail.Deps) { d.SMTP = back.Client() })
		s.clock.Advance(i.Due.Sub(s.clock.Now()))
		again.deliver()
		if n := len(back.Letters()); n != 1 || s.only().State != outbox.Done {
			t.Errorf("%d mails, %+v", n, s.only())
		}
	})
}

// broken is a server below SMTP: it does with each connection what fn does.
func broken(t *testing.T, fn func(net.Conn)) *mail.SMTP {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go fn(conn)
		}
	}()
	return &mail.SMTP{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: mail.NoTLS, Timeout: 300 * time.Millisecond}
}

func TestDeliver_ServerOutOfOrder(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]func(net.Conn){
		"accepts and says nothing": func(net.Conn) {},
		"accepts and hangs up":     func(c net.Conn) { _ = c.Close() },
		"hangs after the greeting": func(c net.Conn) { _, _ = c.Write([]byte("220 mx\r\n")) },
		"is busy":                  func(c net.Conn) { _, _ = c.Write([]byte("421 too many connections\r\n")); _ = c.Close() },
		"is closed for good":       func(c net.Conn) { _, _ = c.Write([]byte("554 no service\r\n")); _ = c.Close() },
		"talks nonsense":           func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte("x"), 1<<16)); _ = c.Close() },
		"drips":                    drip,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				s := newSender(t, db, clock.NewFake(start), func(d *mail.Deps) { d.SMTP = broken(t, fn) })
				s.send(resetMail("ada@example.net"))
				began := time.Now()
				s.deliver()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if i := s.only(); i.State != outbox.Pending || i.Attempts != 1 || i.LastError == "" || i.UnderWay {
					t.Errorf("item %+v", i)
				}
			})
		})
	}
}

// drip answers a byte at a time: each one moves a naive deadline.
func drip(c net.Conn) {
	for range 200 {
		if _, err := c.Write([]byte("2")); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestDeliver_Refusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rcpt func(string) error
		data func() error
		want outbox.State
	}{
		"mailbox busy":      {func(string) error { return mailtest.Refusal(450, "mailbox busy") }, nil, outbox.Pending},
		"no such mailbox":   {func(to string) error { return mailtest.Refusal(550, "<"+to+"> unknown") }, nil, outbox.Dead},
		"queue full":        {nil, func() error { return mailtest.Refusal(452, "queue full") }, outbox.Pending},
		"looks like spam":   {nil, func() error { return mailtest.Refusal(554, "looks like spam") }, outbox.Dead},
		"too many mails":    {func(string) error { return mailtest.Refusal(421, "slow down") }, nil, outbox.Pending},
		"policy, try later": {nil, func() error { return mailtest.Refusal(451, "greylisted") }, outbox.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withServer(t, mailtest.Options{}, func(t *testing.T, s *sender, m *mailtest.Server) {
				m.Change(c.rcpt, c.data, false)
				s.send(resetMail("ada@example.net"))
				s.deliver()
				i := s.only()
				if i.State != c.want || strings.Contains(i.LastError, "ada@example.net") || i.LastError == "" {
					t.Errorf("item %+v", i)
				}
				if strings.Contains(s.log.String(), "ada@example.net") || strings.Contains(s.log.String(), "12345678") {
					t.Errorf("the log tells too much: %s", s.log)
				}
				m.Change(nil, nil, false)
				s.clock.Advance(20 * time.Minute)
				s.deliver()
				want := 1
				if c.want == outbox.Dead {
					want = 0
				}
				if n := len(m.Letters()); n != want {
					t.Errorf("%d mails arrived, want %d", n, want)
				}
			})
		})
	}
}

// What is wrong with the whole server or with our settings is no reason to throw a mail away.
func TestDeliver_SettingsWrongThenRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o      mailtest.Options
		change func(*mail.SMTP)
		want   string
	}{
		"wrong password":      {mailtest.Options{Username: "signet", Password: "right"}, func(c *mail.SMTP) { c.Password = "wrong" }, "535"},
		"password missing":    {mailtest.Options{Username: "signet", Password: "right"}, func(c *mail.SMTP) { c.Username = "" }, "530"},
		"no encryption":       {mailtest.Options{TLS: mail.NoTLS}, func(c *mail.SMTP) { c.TLS = mail.StartTLS }, "STARTTLS"},
		"stranger's server":   {mailtest.Options{OtherName: true}, func(*mail.SMTP) {}, "certificate"},
		"unknown authority":   {mailtest.Options{}, func(c *mail.SMTP) { c.RootCAs = nil }, "certificate"},
		"TLS where it is not": {mailtest.Options{TLS: mail.NoTLS}, func(c *mail.SMTP) { c.TLS = mail.ImplicitTLS }, "tls"},
		"auth not offered":    {mailtest.Options{}, func(c *mail.SMTP) { c.Username, c.Password = "signet", "x" }, "AUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				m := mailtest.Start(t, c.o)
				s := newSender(t, db, clock.NewFake(start), func(d *mail.Deps) {
					d.SMTP = m.Client()
					c.change(d.SMTP)
				})
				s.send(resetMail("ada@example.net"))
				s.deliver()
				i := s.only()
				if i.State != outbox.Pending || !strings.Contains(i.LastError, c.want) || len(m.Letters()) != 0 {
					t.Errorf("item %+v, want %s", i, c.want)
				}
				transcript, err := s.Test(t.Context(), "ada@example.net")
				if err == nil || transcript == "" || strings.Contains(transcript+err.Error(), "wrong") {
					t.Errorf("test: %v\n%s", err, transcript)
				}
			})
		})
	}
}

// The server takes the mail and the connection dies before its word: the same mail again, and its
// receiver can tell by the Message-ID (RFC 5322 §3.6.4).
func TestDeliver_ConnectionDiesAfterTheContent(t *testing.T) {
	t.Parallel()
	withServer(t, mailtest.Options{}, func(t *testing.T, s *sender, m *mailtest.Server) {
		m.Change(nil, nil, true)
		s.send(resetMail("ada@example.net"))
		s.deliver()
		if i := s.only(); i.State != outbox.Pending {
			t.Errorf("item %+v", i)
		}
		m.Change(nil, nil, false)
		s.clock.Advance(10 * time.Minute)
		s.deliver()
		got := m.Letters()
		if len(got) != 2 || got[0].Header.Get("Message-ID") != got[1].Header.Get("Message-ID") || got[0].Header.Get("Date") != got[1].Header.Get("Date") {
			t.Errorf("got %d mails", len(got))
		}
	})
}

// An address from a store that somebody tampered with, or an import let through, reaches no second
// person and no header.
func TestDeliver_HostileRecipient(t *testing.T) {
	t.Parallel()
	withServer(t, mailtest.Options{}, func(t *testing.T, s *sender, m *mailtest.Server) {
		for _, to := range []string{"a@example.net, b@example.net", "a@example.net\r\nBcc: b@example.net", "<a@example.net> b@example.net", "nobody"} {
			msg := resetMail("ada@example.net")
			msg.To = to
			s.send(msg)
		}
		s.deliver()
		if got := m.Letters(); len(got) != 0 {
			t.Errorf("%d mails left", len(got))
		}
		dead, err := s.outbox.List(t.Context(), outbox.Filter{State: outbox.Dead})
		if err != nil || len(dead) != 4 {
			t.Errorf("%d dead, %v", len(dead), err)
		}
	})
}

func TestTest_ShowsTheConversation(t *testing.T) {
	t.Parallel()
	withServer(t, mailtest.Options{Username: "signet", Password: "letter box"}, func(t *testing.T, s *sender, m *mailtest.Server) {
		transcript, err := s.Test(t.Context(), "ada@example.net")
		if err != nil || len(m.Letters()) != 1 {
			t.Fatalf("%v, %d mails", err, len(m.Letters()))
		}
		for _, want := range []string{"connecting to 127.0.0.1", "C: EHLO id.example.com", "C: STARTTLS", "C: RCPT TO:<ada@example.net>", "S: 250"} {
			if !strings.Contains(transcript, want) {
				t.Errorf("%q is not in\n%s", want, transcript)
			}
		}
		for _, secret := range []string{"letter box", "AHNpZ25ldA"} { // and the beginning of its base64
			if strings.Contains(transcript, secret) {
				t.Errorf("%q is in\n%s", secret, transcript)
			}
		}
		m.Change(func(string) error { return mailtest.Refusal(550, "not here") }, nil, false)
		if transcript, err = s.Test(t.Context(), "ada@example.net"); err == nil || !strings.Contains(err.Error(), "not here") || !strings.Contains(transcript, "C: RCPT TO") {
			t.Errorf("%v\n%s", err, transcript)
		}
		if _, err := s.Test(t.Context(), "nobody"); err == nil {
			t.Error("no address, and yet")
		}
	})
}

func TestSend_OffDoesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSender(t, db, clock.NewFake(start), func(*mail.Deps) {})
		if s.Enabled() {
			t.Error("enabled without a server")
		}
		s.send(resetMail("ada@example.net"))
		if list, err := s.outbox.List(t.Context(), outbox.Filter{}); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		if _, err := s.Test(t.Context(), "ada@example.net"); !errors.Is(err, mail.ErrOff) {
			t.Errorf("test: %v", err)
		}
		if box, err := s.Mailbox(t.Context()); err != nil || box != nil {
			t.Errorf("%v, %v", box, err)
		}
	})
}

func TestMailbox_KeepsWhatWasSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSender(t, db, clock.NewFake(start), func(d *mail.Deps) { d.Dev = true })
		if !s.Enabled() {
			t.Error("the mailbox is off")
		}
		s.send(resetMail("ada@example.net"))
		s.clock.Advance(time.Second)
		s.send(mail.Message{To: "bo@example.net", Kind: "test"})
		if err := db.InTx(t.Context(), func(ctx context.Context) error { return s.SendNothing(ctx, resetMail("nobody@example.net")) }); err != nil {
			t.Fatal(err)
		}
		s.deliver()
		box, err := s.Mailbox(t.Context())
		if err != nil || len(box) != 2 || box[0].To != "bo@example.net" || box[1].Kind != "reset" || !strings.Contains(box[1].Text, "12345678") {
			t.Errorf("%+v, %v", box, err)
		}
		var raw []byte
		if err := db.QueryRow(t.Context(), `SELECT payload FROM outbox WHERE id = $1`, box[1].ID).Scan(&raw); err != nil || bytes.Contains(raw, []byte("12345678")) {
			t.Errorf("at rest: %q, %v", raw, err)
		}
	})
}

// Nothing and something cost the same statements: an answer does not tell them apart.
func TestSendNothing_SameWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counts := map[bool]int64{}
		for _, nothing := range []bool{true, false} {
			counting, n := storetest.FailAt(db, 0, storetest.Before)
			s := newSender(t, counting, clock.NewFake(start), func(d *mail.Deps) { d.Dev = true })
			err := counting.InTx(t.Context(), func(ctx context.Context) error {
				if nothing {
					return s.SendNothing(ctx, resetMail("ada@example.net"))
				}
				return s.Send(ctx, resetMail("ada@example.net"))
			})
			if err != nil {
				t.Fatal(err)
			}
			counts[nothing] = n.Load()
		}
		if counts[true] != counts[false] || counts[true] == 0 {
			t.Errorf("statements: %v", counts)
		}
		var sizes []int64
		rows, err := store.All(t.Context(), db.Q(t.Context()), func(r store.Row) (n int64, err error) { err = r.Scan(&n); return n, err },
			`SELECT length(payload) FROM outbox`)
		if sizes = rows; err != nil || len(sizes) != 2 || sizes[0] != sizes[1] {
			t.Errorf("sizes %v, %v", sizes, err)
		}
	})
}
