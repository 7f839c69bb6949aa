package apptest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	"signet/internal/platform/mail"
	"signet/internal/platform/outbox"
)

// Mail is a mail as it was sent.
type Mail struct{ Kind, Subject, Text, HTML string }

// Mails returns the mails to an address, oldest first, after everything due was delivered. The
// application must have been started with Options.Mail, or with Mail.KeepMail of its configuration.
func (a *App) Mails(t testing.TB, to string) []Mail {
	t.Helper()
	if !a.Cfg.Mail.Kept() {
		t.Fatal("this application keeps no mail: start it with apptest.Options{Mail: true}")
	}
	a.settle(t, to)
	all, err := a.Mail.Mailbox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []Mail
	for _, m := range slices.Backward(all) {
		if m.To == to {
			out = append(out, Mail{m.Kind, m.Subject, m.Text, m.HTML})
		}
	}
	return out
}

// settle delivers until nothing waits for the address; the application's own worker may have
// taken some of it.
func (a *App) settle(t testing.TB, to string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := a.Outbox.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting, err := a.Outbox.List(t.Context(), outbox.Filter{State: outbox.Pending, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(waiting, func(i outbox.Item) bool { return i.Recipient == to }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("mail to %s does not leave: %+v", to, waiting)
		}
	}
}

var (
	reMailCode = regexp.MustCompile(`\b\d{8}\b`)
	reMailLink = regexp.MustCompile(`(?m)^https?://\S+$`)
)

// MailCode returns the code in the newest mail to an address that has one.
func (a *App) MailCode(t testing.TB, to string) string {
	t.Helper()
	return a.newest(t, to, reMailCode, "code")
}

// MailLink returns the first link in the newest mail to an address that has one.
func (a *App) MailLink(t testing.TB, to string) string {
	t.Helper()
	return a.newest(t, to, reMailLink, "link")
}

func (a *App) newest(t testing.TB, to string, what *regexp.Regexp, name string) string {
	t.Helper()
	mails := a.Mails(t, to)
	for _, m := range slices.Backward(mails) {
		if found := what.FindString(m.Text); found != "" {
			return found
		}
	}
	t.Fatalf("no mail to %s with a %s among %d", to, name, len(mails))
	return ""
}

// MailboxOf reads the mails to an address from the mailbox page of a provider in development that
// runs in a process of its own, oldest first, and waits until there are at least n.
func MailboxOf(t testing.TB, client *http.Client, issuer, to string, n int) []Mail {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(issuer + "/dev/mailbox.json?to=" + url.QueryEscape(to))
		if err != nil {
			t.Fatal(err)
		}
		var list []mail.Stored
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("mailbox: %s, %v", resp.Status, err)
		}
		if len(list) >= n {
			var out []Mail
			for _, m := range slices.Backward(list) {
				out = append(out, Mail{m.Kind, m.Subject, m.Text, m.HTML})
			}
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d mails to %s, want %d", len(list), to, n)
		}
	}
}

// Code returns the code in a mail, or "".
func (m Mail) Code() string { return reMailCode.FindString(m.Text) }

// Link returns the first link in a mail, or "".
func (m Mail) Link() string { return reMailLink.FindString(m.Text) }
