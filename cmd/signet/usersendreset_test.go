package main

import (
	"os"
	"strings"
	"testing"
)

// Security case RS-12: the administrator starts a reset and sees nothing of it.
func TestUserSendReset(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.run(0, "user", "create", "--email", "jane@example.com")
	o.run(0, "user", "create", "--username", "robot")
	out := o.run(0, "user", "send-reset", "jane@example.com")
	if !strings.Contains(out, "jane@example.com") || strings.Contains(out, "sgn_mail_") {
		t.Errorf("printed %q", out)
	}
	if list := o.list(); len(list) != 1 || list[0].Recipient != "jane@example.com" {
		t.Errorf("outbox %+v", list)
	}
	for name, want := range map[string]string{"robot": "no address", "nobody": "there is no account"} {
		if out := o.run(1, "user", "send-reset", name); !strings.Contains(out, want) {
			t.Errorf("%s: %q", name, out)
		}
	}
	text, err := os.ReadFile(o.file)
	if err != nil {
		t.Fatal(err)
	}
	without, _, _ := strings.Cut(string(text), "mail:\n")
	if err := os.WriteFile(o.file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := o.run(1, "user", "send-reset", "jane@example.com"); !strings.Contains(out, "set-password") {
		t.Errorf("without mail: %q", out)
	}
}
