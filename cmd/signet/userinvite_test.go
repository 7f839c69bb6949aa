package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/platform/id"
)

func TestUser_InviteListUninvite(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if got := p.ok("", "invitations"); !strings.Contains(got, "no invitations") {
		t.Errorf("before: %s", got)
	}
	out := p.ok("", "invite", "Jane@Example.com", "--expires", "48h")
	link, _, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(link, "http://localhost:8080/m/"+string(id.Invitation)) || !strings.Contains(out, "for Jane@example.com") {
		t.Errorf("invite: %s", out)
	}
	var made invitationMade
	if err := json.Unmarshal([]byte(p.ok("", "invite", "--json")), &made); err != nil || made.Link == "" || made.ID == "" || made.Sent || time.Until(made.ExpiresAt) < 6*24*time.Hour {
		t.Errorf("%+v, %v", made, err)
	}
	if out := p.ok("", "invite", "lee@example.com", "--send", "--locale", "ko"); strings.Contains(out, "/m/") || !strings.Contains(out, "goes to lee@example.com") {
		t.Errorf("sent: %s", out)
	}
	p.open(func(ctx context.Context, s *app.Services) {
		if n, err := s.Outbox.Deliver(ctx); err != nil || n != 1 {
			t.Errorf("%d mails, %v", n, err)
		}
	})
	list := p.ok("", "invitations")
	if !strings.Contains(list, "Jane@example.com") || !strings.Contains(list, "lee@example.com") || !strings.Contains(list, made.ID) || strings.Contains(list, string(id.Invitation)) {
		t.Errorf("list:\n%s", list)
	}
	p.ok("", "uninvite", "jane@example.com")
	p.ok("", "uninvite", made.ID)
	if got := p.ok("", "invitations", "--json"); strings.Contains(got, "Jane") || strings.Contains(got, made.ID) || !strings.Contains(got, "lee@example.com") {
		t.Errorf("afterwards:\n%s", got)
	}
	p.refused("no invitation", "", "uninvite", "jane@example.com")
	p.refused("no invitation", "", "uninvite", "nonsense")
	p.refused("email is not a plain e-mail address", "", "invite", "nonsense")
	p.refused("--send needs an ADDRESS", "", "invite", "--send")
	p.refused("expires", "", "invite", "--expires", "9999h")
}
