package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"signet/internal/app"
	"signet/internal/platform/audit"
)

// auditing runs `signet audit list` over the folder of p.
func (p *people) auditing(args ...string) (out, problem string, code int) {
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"audit", "list", "--data", p.data}, args...), &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

func (p *people) records(args ...string) (list []audit.Record) {
	p.t.Helper()
	out, problem, code := p.auditing(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		p.t.Fatalf("%v: %v %s", args, err, problem)
	}
	return list
}

func TestAuditList_FindsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.ok("violet harbour seven\n", "create", "--email", "kim@example.com", "--username", "kim", "--password-stdin")
	p.ok("", "create", "--email", "lee@example.com")
	p.ok("", "disable", "lee@example.com")
	visitor := audit.Source{IP: "192.0.2.1", UserAgent: "=cmd|'/c calc'!A0", RequestID: "@SUM(1)"}
	p.open(func(ctx context.Context, s *app.Services) {
		if _, err := s.Accounts.Authenticate(audit.WithSource(ctx, visitor), "kim", "no such password"); err == nil {
			t.Fatal("signed in")
		}
	})
	kim := p.records("--user", "kim")
	if len(kim) != 2 || kim[0].Action != "login" || kim[0].Result != audit.Refused || kim[0].UserAgent != visitor.UserAgent || kim[0].IP != visitor.IP || kim[1].Action != "account.create" || kim[1].Actor != "cli" {
		t.Errorf("of kim: %+v", kim)
	}
	for _, tt := range []struct {
		args string
		want int
	}{
		{"", 4}, {"--user lee@example.com", 2}, {"--user " + kim[0].Target, 2}, {"--user 01234567-0000-7000-8000-000000000000", 0}, {"--actor cli", 3},
		{"--result refused", 1}, {"--result ok", 3}, {"--action account.create", 2}, {"--since 1h", 4}, {"--until 1h", 0},
		{"--since 2020-01-01 --until 2020-01-02", 0}, {"--since 2020-01-01T00:00:00Z", 4}, {"--since 7d --action login", 1}, {"--client app", 0}, {"--limit 3", 3},
	} {
		if got := p.records(strings.Fields(tt.args)...); len(got) != tt.want {
			t.Errorf("%q: %d records, want %d", tt.args, len(got), tt.want)
		}
	}
	// Page after page.
	seen, after := 0, ""
	for range 4 {
		out, problem, code := p.auditing("--limit", "1", "--after", after)
		if code != 0 || strings.Count(out, "\n") != 2 {
			t.Fatalf("page %d: %s%s", seen, out, problem)
		}
		_, after, _ = strings.Cut(strings.TrimSpace(problem), "--after ")
		seen++
	}
	if out, _, _ := p.auditing("--after", after); !strings.Contains(out, "no such records") {
		t.Errorf("after the last: %s", out)
	}
}

// What a visitor sent is text in a table and in a spreadsheet.
func TestAuditList_OutputIsInert(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	hostile := audit.Source{IP: "-1+1", UserAgent: `=HYPERLINK("http://evil.example")`, RequestID: "\u202egnirts", Actor: "@SUM(1)"}
	p.open(func(ctx context.Context, s *app.Services) {
		if err := s.DB.InTx(audit.WithSource(ctx, hostile), func(ctx context.Context) error {
			return s.Audit.Record(ctx, audit.Event{Action: "login", Result: audit.Refused, Target: "+t\x1b[2J\u202ex", Detail: map[string]string{"z": "1", "a": "\t=2"}})
		}); err != nil {
			t.Fatal(err)
		}
	})
	out, problem, code := p.auditing("--csv")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if code != 0 || err != nil || len(rows) != 2 || len(rows[1]) != len(auditHead) {
		t.Fatalf("%v %s %q", err, problem, out)
	}
	for i, cell := range rows[1] {
		if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
			t.Errorf("%s is a formula: %q", rows[0][i], cell)
		}
	}
	table, _, _ := p.auditing()
	for _, r := range table {
		if r == '\x1b' || r == '\u202e' {
			t.Errorf("the terminal obeys %q in:\n%q", r, table)
		}
	}
	if !strings.Contains(table, "a==2 z=1") {
		t.Errorf("detail:\n%s", table)
	}
}

func TestAuditList_Mistakes(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	for _, tt := range []struct {
		args, want string
		code       int
	}{
		{"--limit 0", "between 1 and 1000", exitUsage}, {"--limit 1001", "between 1 and 1000", exitUsage}, {"--result maybe", "ok or refused", exitUsage},
		{"--since yesterday", "neither a duration", exitUsage}, {"--since -5m", "neither a duration", exitUsage}, {"--until 9999999999h", "neither a duration", exitUsage},
		{"--after x", "earlier list", exitUsage}, {"--json --csv", "either --json or --csv", exitUsage}, {"--user nobody@example.com", "there is no account", exitFailed},
	} {
		if _, problem, code := p.auditing(strings.Fields(tt.args)...); code != tt.code || !strings.Contains(problem, tt.want) {
			t.Errorf("%s: %d %s", tt.args, code, problem)
		}
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for in, want := range map[string]string{
		"90m": "2026-03-04 03:36:07", "7d": "2026-02-25 05:06:07", "1.5d": "2026-03-02 17:06:07",
		"2026-01-31": "2026-01-31 00:00:00", "2026-01-31T15:04:05+09:00": "2026-01-31 06:04:05", "": "0001-01-01 00:00:00",
	} {
		if got, err := instant(in, now); err != nil || got.UTC().Format(time.DateTime) != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"d", "0d", "-1d", "1w", "2026-13-01", fmt.Sprint(now)} {
		if got, err := instant(in, now); err == nil {
			t.Errorf("%q read as %s", in, got)
		}
	}
}
