package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // to write the file of another application

	"signet/internal/app"
	"signet/internal/identity/session"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

// people is the user command over one data folder.
type people struct {
	t    *testing.T
	data string
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{t, filepath.Join(t.TempDir(), "data")}
	var out, errOut bytes.Buffer
	if code := run([]string{"migrate", "--data", p.data}, &out, &errOut); code != 0 {
		t.Fatalf("migrate: %s", errOut.String())
	}
	return p
}

func (p *people) do(stdin string, args ...string) (string, error) {
	p.t.Helper()
	o := &options{}
	root := &cobra.Command{Use: "signet", SilenceErrors: true, SilenceUsage: true}
	o.bind(root)
	root.AddCommand(userCommand(o))
	var out bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(append([]string{"user"}, args...), "--data", p.data))
	err := root.ExecuteContext(audit.WithSource(context.Background(), audit.Source{Actor: "cli"}))
	return out.String(), err
}

func (p *people) ok(stdin string, args ...string) string {
	p.t.Helper()
	out, err := p.do(stdin, args...)
	if err != nil {
		p.t.Fatalf("user %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (p *people) refused(want, stdin string, args ...string) {
	p.t.Helper()
	out, err := p.do(stdin, args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		p.t.Errorf("user %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

// open gives fn the services over the same folder.
func (p *people) open(fn func(ctx context.Context, s *app.Services)) {
	p.t.Helper()
	o := &options{Data: p.data}
	if err := o.withApp(context.Background(), func(s *app.Services) error {
		fn(context.Background(), s)
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *people) signsIn(identifier string, pw seal.Secret) bool {
	p.t.Helper()
	signedIn := false
	p.open(func(ctx context.Context, s *app.Services) {
		_, err := s.Accounts.Authenticate(ctx, identifier, pw)
		if err != nil && !errs.Is(err, errs.Unauthenticated) {
			p.t.Fatal(err)
		}
		signedIn = err == nil
	})
	return signedIn
}

const longPassword = "tulips and herons again"

func TestUser_Life(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	if got := p.ok("", "list"); !strings.Contains(got, "no accounts") {
		t.Errorf("empty list: %s", got)
	}
	var made struct {
		ID            id.User `json:"id"`
		Email         string  `json:"email"`
		EmailVerified bool    `json:"email_verified"`
		Name          string  `json:"name"`
	}
	out := p.ok(longPassword+"\n", "create", "--email", "Jane@Example.com", "--email-verified", "--username", "jane", "--name", "Jane Doe", "--password-stdin", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Email != "Jane@example.com" || !made.EmailVerified || made.Name != "Jane Doe" {
		t.Fatalf("%v: %s", err, out)
	}
	if !p.signsIn("jane", longPassword) {
		t.Error("cannot sign in")
	}
	p.ok("", "create", "--username", "robot")
	list := p.ok("", "list")
	if !strings.Contains(list, "Jane@example.com") || !strings.Contains(list, "robot") || strings.Contains(list, "argon2") {
		t.Errorf("list:\n%s", list)
	}
	if got := p.ok("", "list", "--search", "robo", "--json"); !strings.Contains(got, "robot") || strings.Contains(got, "jane") {
		t.Errorf("search: %s", got)
	}
	if got := p.ok("", "list", "--limit", "1"); !strings.Contains(got, "--after "+string(made.ID)) {
		t.Errorf("first page: %s", got)
	}
	var cookie string
	p.open(func(ctx context.Context, s *app.Services) {
		var err error
		if _, cookie, err = s.Sessions.Start(ctx, made.ID, session.Event{Method: session.Password, At: s.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
	})
	if got := p.ok("", "show", "JANE@example.com", "--json"); !strings.Contains(got, `"sessions": 1`) || !strings.Contains(got, string(made.ID)) {
		t.Errorf("show: %s", got)
	}
	p.ok("", "disable", "jane")
	p.open(func(ctx context.Context, s *app.Services) {
		if sess, err := s.Sessions.Lookup(ctx, cookie); sess != nil || err != nil {
			t.Errorf("session of a disabled account: %v, %v", sess, err)
		}
	})
	if p.signsIn("jane", longPassword) {
		t.Error("signed in while disabled")
	}
	p.ok("", "enable", string(made.ID))
	p.ok("another fine sentence here", "set-password", "jane", "--password-stdin")
	if !p.signsIn("jane", "another fine sentence here") || p.signsIn("jane", longPassword) {
		t.Error("the password was not replaced")
	}
	p.ok("", "delete", "jane")
	p.refused("there is no account", "", "show", "jane")
	p.open(func(ctx context.Context, s *app.Services) {
		list, err := s.Audit.List(ctx, audit.Filter{Target: string(made.ID)})
		actions := map[string]string{}
		for _, r := range list {
			actions[r.Action] = r.Actor
		}
		for _, a := range []string{"account.create", "account.disable", "account.enable", "password.set", "account.delete", "session.end"} {
			if actions[a] != "cli" {
				t.Errorf("%s: actor %q, %v", a, actions[a], err)
			}
		}
	})
}

// A login that was on its way while the account was disabled may have begun a session after all the
// others were ended: it is worthless, and stays so.
func TestUser_EnableBringsNoSessionBack(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.ok("", "create", "--username", "jane")
	p.ok("", "disable", "jane")
	p.open(func(ctx context.Context, s *app.Services) {
		a, err := s.Accounts.ByIdentifier(ctx, "jane")
		if err == nil {
			_, _, err = s.Sessions.Start(ctx, a.ID, session.Event{Method: session.Password, At: s.Clock.Now()})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	p.ok("", "enable", "jane")
	if out := p.ok("", "show", "jane", "--json"); !strings.Contains(out, `"sessions": 0`) || !strings.Contains(out, `"active"`) {
		t.Errorf("enabled again: %s", out)
	}
}

func TestUser_MistakesAreExplained(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.ok("", "create", "--username", "jane", "--email", "jane@example.com")
	p.refused("give --email, --username or both", "", "create")
	p.refused("email is not a plain e-mail address", "", "create", "--email", "nonsense")
	p.refused("username belongs to another account", "", "create", "--username", "JANE")
	p.refused("email belongs to another account", "", "create", "--email", "JANE@example.com")
	p.refused("password is shorter than 15 characters", "short\n", "create", "--username", "x", "--password-stdin")
	p.refused("password is one of those", "passwordpassword\n", "create", "--username", "x", "--password-stdin")
	p.refused("no password on standard input", "", "create", "--username", "x", "--password-stdin")
	p.refused("no terminal", "", "create", "--username", "x", "--ask-password")
	p.refused("no terminal", "", "set-password", "jane")
	p.refused("unknown flag: --password", "", "create", "--username", "x", "--password", longPassword) // never an argument
	p.refused("there is no account", "", "disable", "nobody")
	p.refused("after", "", "list", "--after", "x")
}

func TestUser_ImportTutorialTable(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	file := filepath.Join(t.TempDir(), "users.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE, password TEXT);
		INSERT INTO users (username, password) VALUES ('alice', 'wonderland'), ('bob', 'builder99'), ('bad name', 'x')`)
	if cerr := db.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	// Rows that are left behind are an error, after all the others were taken.
	leaves := func(args ...string) string {
		t.Helper()
		out, err := p.do("", append([]string{"import", "--sqlite", file, "--table", "users"}, args...)...)
		if err == nil || err.Error() != "1 row was rejected" {
			t.Errorf("import %v: %v", args, err)
		}
		return out
	}
	dry := leaves("--dry-run")
	for _, want := range []string{"nothing was written", "Would create 2, skipped 0 that exist, rejected 1.", "Columns: password, username", "Ignored: id", "LINE", "3     username"} {
		if !strings.Contains(dry, want) {
			t.Errorf("dry run lacks %q:\n%s", want, dry)
		}
	}
	if p.signsIn("alice", "wonderland") {
		t.Error("the dry run wrote")
	}
	if got := leaves(); !strings.Contains(got, "Created 2,") || strings.Contains(got, "wonderland") {
		t.Errorf("import:\n%s", got)
	}
	if !p.signsIn("alice", "wonderland") || !p.signsIn("bob", "builder99") || p.signsIn("bob", "wonderland") {
		t.Error("imported people cannot sign in, or too easily")
	}
	var report struct{ Created, Skipped int }
	if err := json.Unmarshal([]byte(leaves("--json")), &report); err != nil || report.Created != 0 || report.Skipped != 2 {
		t.Errorf("again: %+v, %v", report, err)
	}
	p.refused(`no table "people"; it has users`, "", "import", "--sqlite", file, "--table", "people")
	p.refused("no such file", "", "import", "--sqlite", file+"x", "--table", "users")
	p.refused("use --sqlite", "", "import", file)
}

func TestUser_ImportFiles(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	dir := t.TempDir()
	csv := filepath.Join(dir, "people.csv")
	if err := os.WriteFile(csv, []byte("login;secret\nkim;old password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ok("", "import", csv, "--column", "password=secret")
	if !p.signsIn("kim", "old password") {
		t.Error("from CSV: cannot sign in")
	}
	p.ok(`{"email": "lee@example.com", "password": "older"}`+"\n", "import", "-", "--format", "jsonl")
	if !p.signsIn("lee@example.com", "older") {
		t.Error("from JSON lines: cannot sign in")
	}
	p.refused("either a FILE", "", "import")
	p.refused("either a FILE", "", "import", csv, "--sqlite", "x", "--table", "y")
	p.refused("go together", "", "import", "--sqlite", "x")
	p.refused("--format csv or --format jsonl", "a\n", "import", "-")
	p.refused("want FIELD=COLUMN", "", "import", csv, "--column", "email")
	p.refused(`no column "mail" for email; there are "login", "secret"`, "", "import", csv, "--column", "email=mail")
	p.refused("no such file", "", "import", filepath.Join(dir, "none.csv"))
	p.refused("password format", "", "import", csv, "--passwords", "rot13")
	p.refused("the file is empty", "", "import", "-", "--format", "csv")
}

// Each subcommand explains itself with an example.
func TestUser_Help(t *testing.T) {
	t.Parallel()
	for _, c := range userCommand(&options{}).Commands() {
		if c.Short == "" || !strings.Contains(c.Example, "signet user "+c.Name()) {
			t.Errorf("user %s has no example of itself", c.Name())
		}
	}
}
