package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/platform/mail"
	"signet/internal/platform/mail/mailtest"
	"signet/internal/platform/outbox"
)

// office is a configured provider with a mail server, without a running process.
type office struct {
	t      *testing.T
	file   string
	url    string
	server *mailtest.Server
}

func newOffice(t *testing.T) *office {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	o := &office{t: t, file: filepath.Join(dir, "signet.yaml"), url: "http://localhost:" + port, server: mailtest.Start(t, mailtest.Options{TLS: mail.NoTLS})}
	_, smtp, _ := strings.Cut(o.server.Address, ":")
	text := strings.Join([]string{
		"issuer: " + o.url, "listen: 127.0.0.1:" + port, "master_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"database: {path: " + filepath.Join(dir, "signet.db") + "}", "management: {listen: \"off\"}", "shutdown: {delay: 0s}", "log: {level: error}",
		"mail:", "  from: Example ID <no-reply@example.com>", "  smtp: {host: 127.0.0.1, port: " + smtp + ", tls: none, timeout: 5s}", "",
	}, "\n")
	if err := os.WriteFile(o.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o.run(0, "migrate")
	return o
}

// run runs a subcommand and returns both outputs.
func (o *office) run(want int, args ...string) string {
	o.t.Helper()
	code, stdout, stderr := call(o.t, append(args, "--config", o.file)...)
	if code != want {
		o.t.Fatalf("signet %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout + stderr
}

func (o *office) list(args ...string) (out []outbox.Item) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.run(0, append([]string{"mail", "list", "--json"}, args...)...)), &out); err != nil {
		o.t.Fatal(err)
	}
	return out
}

func (o *office) arrives(n int) {
	o.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(o.server.Letters()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("%d mails of %d; the outbox: %+v", len(o.server.Letters()), n, o.list("--all"))
		}
	}
}

func TestMail_TestShowsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if out := o.run(0, "mail", "test", "ada@example.net"); !strings.Contains(out, "took a mail to ada@example.net") || strings.Contains(out, "EHLO") {
		t.Errorf("success:\n%s", out)
	}
	if out := o.run(0, "mail", "test", "ada@example.net", "-v"); !strings.Contains(out, "C: RCPT TO:<ada@example.net>") {
		t.Errorf("the conversation:\n%s", out)
	}
	if n := len(o.server.Letters()); n != 2 {
		t.Errorf("%d mails", n)
	}
	o.server.Change(func(string) error { return mailtest.Refusal(550, "no such mailbox here") }, nil, false)
	if out := o.run(1, "mail", "test", "ada@example.net"); !strings.Contains(out, "no such mailbox here") || !strings.Contains(out, "C: EHLO localhost") {
		t.Errorf("refusal:\n%s", out)
	}
	var result struct {
		Sent         bool
		Error        string
		Conversation []string
	}
	_, stdout, _ := call(t, "mail", "test", "ada@example.net", "--json", "--config", o.file)
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || result.Sent || !strings.Contains(result.Error, "no such mailbox") || len(result.Conversation) < 4 {
		t.Errorf("%+v, %v", result, err)
	}
	o.run(1, "mail", "test", "nobody")
	if out := o.run(1, "mail", "test", "ada@example.net", "--set", "mail.smtp.port=1"); !strings.Contains(out, "refused") || !strings.Contains(out, "check mail.smtp.host and mail.smtp.port") {
		t.Errorf("nobody listens:\n%s", out)
	}
	if out := o.run(1, "mail", "test", "ada@example.net", "--set", "mail.smtp.tls=starttls"); !strings.Contains(out, "try port 465") {
		t.Errorf("no STARTTLS:\n%s", out)
	}
	if out := o.run(1, "mail", "test", "ada@example.net", "--set", "mail.smtp.host="); !strings.Contains(out, "set mail.from and mail.smtp.host") {
		t.Errorf("off:\n%s", out)
	}
}

// The mail server refuses, the process is killed without warning, both come back: the mail arrives,
// once. Meanwhile the operator sees it, and can hurry it or throw it away.
func TestMail_SurvivesKill(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if out := o.run(0, "mail", "list"); !strings.Contains(out, "No mail waits.") {
		t.Errorf("before: %s", out)
	}
	o.server.Change(func(string) error { return mailtest.Refusal(451, "come back later") }, nil, false)
	o.run(0, "user", "invite", "ada@example.net", "--send")
	o.run(0, "user", "invite", "bo@example.net", "--send")
	p := launch(t, "serve", "--config", o.file)
	p.answers(t, o.url+"/.well-known/openid-configuration")
	waiting := func() (out []outbox.Item) {
		for _, i := range o.list() {
			if i.Attempts > 0 && i.LastError != "" {
				out = append(out, i)
			}
		}
		return out
	}
	for deadline := time.Now().Add(30 * time.Second); len(waiting()) < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no attempt: %+v", o.list())
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.exited

	ids := map[string]string{}
	for _, i := range o.list() {
		ids[i.Recipient] = i.ID
	}
	if out := o.run(0, "mail", "list"); !strings.Contains(out, "come back later") || !strings.Contains(out, ids["ada@example.net"]) || strings.Contains(out, "sgn_") {
		t.Errorf("list:\n%s", out)
	}
	if out := o.run(0, "mail", "drop", ids["bo@example.net"]); !strings.Contains(out, "is deleted") {
		t.Errorf("drop: %s", out)
	}
	o.run(1, "mail", "drop", ids["bo@example.net"])
	o.server.Change(nil, nil, false)
	if out := o.run(0, "mail", "retry", ids["ada@example.net"]); !strings.Contains(out, "is due again") {
		t.Errorf("retry: %s", out)
	}
	p = launch(t, "serve", "--config", o.file)
	p.answers(t, o.url+"/.well-known/openid-configuration")
	o.arrives(1)
	for deadline := time.Now().Add(30 * time.Second); len(o.list()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not done: %+v", o.list())
		}
	}
	if out := o.run(1, "mail", "retry", ids["ada@example.net"]); !strings.Contains(out, "delivered already") {
		t.Errorf("retry of a delivered one: %s", out)
	}
	if code := p.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
	got := o.server.Letters()
	if len(got) != 1 || got[0].To != "ada@example.net" || got[0].Header.Get("Message-ID") != "<"+ids["ada@example.net"]+"@example.com>" {
		t.Errorf("%d mails: %+v", len(got), got)
	}
	if dead := o.list("--dead"); len(dead) != 0 {
		t.Errorf("dead: %+v", dead)
	}
}

// A subcommand beside signet dev on another port makes links that lead there, and its mails are in
// the mailbox.
func TestMail_SubcommandsKnowTheAddressOfDev(t *testing.T) {
	t.Parallel()
	data, port := filepath.Join(t.TempDir(), "data"), freePort(t)
	issuer := "http://localhost:" + port
	p := launch(t, "dev", "--data", data, "--listen", "127.0.0.1:"+port, "--sample-listen", "off")
	p.answers(t, issuer+"/.well-known/openid-configuration")
	if code, out, errs := call(t, "user", "invite", "--data", data); code != 0 || !strings.HasPrefix(out, issuer+"/m/") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := call(t, "user", "invite", "ada@example.net", "--send", "--data", data); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	got := apptest.MailboxOf(t, visitor(), issuer, "ada@example.net", 1)
	if len(got) != 1 || !strings.HasPrefix(got[0].Link(), issuer+"/m/") {
		t.Errorf("%+v", got)
	}
	if code, out, errs := call(t, "mail", "test", "ada@example.net", "--data", data); code != 1 || !strings.Contains(errs, "mail is off") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
