package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/oauth/client"
	"signet/internal/oauth/logout"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/outbox"
)

// leave signs somebody in to the application and out again, as far as the store goes.
func (p *people) leave(c id.Client) {
	p.t.Helper()
	p.open(func(ctx context.Context, s *app.Services) {
		sid := id.Session(id.New())
		if err := s.DB.InTx(ctx, func(ctx context.Context) error {
			if err := s.Logout.Join(ctx, logout.Party{Session: sid, Client: c, User: "user", Subject: "sub"}); err != nil {
				return err
			}
			_, err := s.Logout.EndSession(ctx, sid)
			return err
		}); err != nil {
			p.t.Fatal(err)
		}
	})
}

// signet runs a subcommand over the folder.
func (p *people) signet(want int, args ...string) string {
	p.t.Helper()
	var out, errOut bytes.Buffer
	if code := run(append(args, "--data", p.data), &out, &errOut); code != want {
		p.t.Fatalf("signet %s: exit %d\n%s%s", strings.Join(args, " "), code, &out, &errOut)
	}
	return out.String() + errOut.String()
}

// TestLogoutDeliveries: an operator sees where each application stands, retries and drops.
func TestLogoutDeliveries(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if out := p.signet(0, "logout-deliveries"); !strings.Contains(out, "No application was to be told") {
		t.Errorf("%s", out)
	}
	wiki, shop := p.app("Wiki"), p.app("Shop")
	p.leave(wiki)
	p.leave(wiki)
	p.leave(shop)
	var stands []standing
	if err := json.Unmarshal([]byte(p.signet(0, "logout-deliveries", "--json")), &stands); err != nil {
		t.Fatal(err)
	}
	waiting := map[string]int{}
	for _, s := range stands {
		waiting[s.Name] = s.Waiting
		if s.Oldest.IsZero() || s.Delivered+s.GivenUp != 0 {
			t.Errorf("%+v", s)
		}
	}
	if len(stands) != 2 || waiting["Wiki"] != 2 || waiting["Shop"] != 1 {
		t.Errorf("%+v", stands)
	}
	if out := p.signet(0, "logout-deliveries"); !strings.Contains(out, "Wiki") || !strings.Contains(out, "WAITING") {
		t.Errorf("%s", out)
	}
	var list []outbox.Item
	if err := json.Unmarshal([]byte(p.signet(0, "logout-deliveries", "list", "--client", string(wiki), "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Recipient != string(wiki) || list[0].State != outbox.Pending {
		t.Errorf("%+v", list)
	}
	if out := p.signet(0, "logout-deliveries", "list", "--dead"); !strings.Contains(out, "No notice was given up.") {
		t.Errorf("%s", out)
	}

	// In the way of mail: neither command sees the other's.
	if out := p.signet(0, "mail", "list", "--all"); strings.Contains(out, string(wiki)) {
		t.Errorf("notices among the mails:\n%s", out)
	}
	var letter string
	p.open(func(ctx context.Context, s *app.Services) {
		if err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
			letter, err = s.Outbox.Put(ctx, outbox.Message{Kind: mail.OutboxKind, Recipient: "a@example.com", Payload: []byte("x"), Expires: s.Clock.Now().Add(time.Hour)})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
	if out := p.signet(exitFailed, "logout-deliveries", "drop", letter); !strings.Contains(out, "there is no such message") {
		t.Errorf("%s", out)
	}

	if out := p.signet(0, "logout-deliveries", "retry", list[0].ID); !strings.Contains(out, "1 due again") {
		t.Errorf("%s", out)
	}
	if out := p.signet(0, "logout-deliveries", "retry", "--client", string(wiki)); !strings.Contains(out, "2 due again") {
		t.Errorf("%s", out)
	}
	if out := p.signet(0, "logout-deliveries", "drop", list[0].ID); !strings.Contains(out, "1 deleted") {
		t.Errorf("%s", out)
	}
	if out := p.signet(0, "logout-deliveries", "drop", "--client", string(wiki), "--json"); !strings.Contains(out, list[1].ID) {
		t.Errorf("%s", out)
	}
	if out := p.signet(exitFailed, "logout-deliveries", "retry", list[0].ID); !strings.Contains(out, "there is no such message") {
		t.Errorf("%s", out)
	}
	for _, args := range [][]string{{"retry"}, {"drop"}, {"drop", "x", "--client", "y"}} {
		p.signet(exitUsage, append([]string{"logout-deliveries"}, args...)...)
	}
	if out := p.signet(0, "audit", "list", "--action", "outbox.drop", "--json"); strings.Count(out, `"outbox.drop"`) != 2 {
		t.Errorf("audit:\n%s", out)
	}
}

func (p *people) app(name string) (cid id.Client) {
	p.t.Helper()
	p.open(func(ctx context.Context, s *app.Services) {
		m := client.Defaults(client.Web)
		m.RedirectURIs, m.BackchannelLogoutURI = []string{"https://rp.test/cb"}, "https://rp.test/out"
		c, _, err := s.Clients.Create(ctx, client.NewClient{Name: name, Kind: client.Web, Metadata: m})
		if err != nil {
			p.t.Fatal(err)
		}
		cid = c.ID
	})
	return cid
}

// TestUser_DeleteTellsApplications: what an operator ends is told as well, in the transaction of the end.
func TestUser_DeleteTellsApplications(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"disable", "delete"} {
		p := newPeople(t)
		wiki := p.app("Wiki")
		p.ok("", "create", "--username", "robot")
		p.open(func(ctx context.Context, s *app.Services) {
			a, err := s.Accounts.ByIdentifier(ctx, "robot")
			if err == nil {
				err = s.DB.InTx(ctx, func(ctx context.Context) error {
					return s.Logout.Join(ctx, logout.Party{Session: "here", Client: wiki, User: a.ID, Subject: string(a.ID)})
				})
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		p.ok("", verb, "robot")
		if out := p.signet(0, "logout-deliveries", "list"); !strings.Contains(out, string(wiki)) {
			t.Errorf("%s: %s", verb, out)
		}
	}
}
