package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"signet/internal/platform/audit"
)

// tool is the command line over one data folder.
type tool struct {
	t    *testing.T
	data string
}

func newTool(t *testing.T) *tool {
	t.Helper()
	c := &tool{t, filepath.Join(t.TempDir(), "data")}
	var out, errOut bytes.Buffer
	if code := run([]string{"migrate", "--data", c.data}, &out, &errOut); code != 0 {
		t.Fatalf("migrate: %s", errOut.String())
	}
	return c
}

// do runs a registry subcommand and returns its output.
func (c *tool) do(args ...string) (string, error) {
	c.t.Helper()
	o := &options{}
	root := &cobra.Command{Use: "signet", SilenceErrors: true, SilenceUsage: true}
	o.bind(root)
	root.AddCommand(clientCommand(o), apiCommand(o), keyCommand(o))
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(args, "--data", c.data))
	err := root.ExecuteContext(audit.WithSource(context.Background(), audit.Source{Actor: "cli"}))
	return out.String(), err
}

func (c *tool) ok(args ...string) string {
	c.t.Helper()
	out, err := c.do(args...)
	if err != nil {
		c.t.Fatalf("signet %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// json runs a subcommand with --json and decodes what it prints.
func (c *tool) json(args ...string) (v map[string]any) {
	c.t.Helper()
	out := c.ok(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		c.t.Fatalf("%s: %v", out, err)
	}
	return v
}

func (c *tool) fails(words []string, args ...string) {
	c.t.Helper()
	_, err := c.do(args...)
	if err == nil {
		c.t.Fatalf("signet %s: no error", strings.Join(args, " "))
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			c.t.Errorf("signet %s: %q does not say %q", strings.Join(args, " "), err, w)
		}
	}
}

// A setting alone is a change, and a secret is not one of them.
func TestClientCommand_UpdatesSettings(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	made := c.json("client", "create", "--kind", "web", "--name", "Shop", "--redirect-uri", "https://shop.example/cb")
	cid, _ := made["client_id"].(string)
	c.ok("client", "update", cid, "--metadata", "backchannel_logout_uri=https://shop.example/out")
	if got := c.json("client", "show", cid)["backchannel_logout_uri"]; got != "https://shop.example/out" {
		t.Errorf("%v", got)
	}
	c.fails([]string{"nothing to change"}, "client", "update", cid)
	c.fails([]string{"no setting"}, "client", "update", cid, "--metadata", "client_secret=x")
}

func TestClientCommand_WholeLife(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	if out := c.ok("client", "list"); !strings.Contains(out, "no clients yet") {
		t.Errorf("empty list: %s", out)
	}
	made := c.json("client", "create", "--kind", "web", "--name", "Shop", "--redirect-uri", "https://shop.test/cb", "--first-party", "--refresh-grace", "0s")
	cid, secret := made["client_id"].(string), made["client_secret"].(string)
	if !strings.HasPrefix(secret, "sgn_cs_") || made["first_party"] != true || made["token_endpoint_auth_method"] != "client_secret_basic" || made["refresh_grace"] != nil {
		t.Errorf("%v", made)
	}
	for _, args := range [][]string{{"client", "show", cid}, {"client", "show", cid, "--json"}, {"client", "list"}, {"client", "list", "--json"}} {
		out := c.ok(args...)
		if !strings.Contains(out, cid) || !strings.Contains(out, "Shop") || strings.Contains(out, secret) || strings.Contains(out, "sgn_cs_") {
			t.Errorf("%v: %s", args, out)
		}
	}
	out := c.ok("client", "update", cid, "--add-redirect-uri", "https://shop.test/cb2", "--remove-redirect-uri", "https://shop.test/cb",
		"--scope", "openid email", "--name", "Store", "--first-party=false", "--access-token-ttl", "5m")
	for _, w := range []string{"https://shop.test/cb2", "openid email", "Store", "5m0s"} {
		if !strings.Contains(out, w) {
			t.Errorf("update: %q is missing in %s", w, out)
		}
	}
	if strings.Contains(out, "https://shop.test/cb\n") || strings.Contains(out, "First party          yes") {
		t.Errorf("update: %s", out)
	}
	out = c.ok("client", "rotate-secret", cid)
	if !strings.Contains(out, "sgn_cs_") || strings.Contains(out, secret) || !strings.Contains(out, "never again") {
		t.Errorf("rotate: %s", out)
	}
	if out := c.ok("client", "show", cid); strings.Count(out, "since") != 2 || strings.Count(out, "until") != 1 {
		t.Errorf("two live secrets: %s", out)
	}
	c.fails([]string{"two live secrets", "overlap 0"}, "client", "rotate-secret", cid)
	if got := c.json("client", "rotate-secret", cid, "--overlap", "0s"); got["client_secret"] == nil {
		t.Errorf("%v", got)
	}
	if got := c.json("client", "disable", cid); got["result"] != "disabled" {
		t.Errorf("%v", got)
	}
	if got := c.json("client", "show", cid); got["status"] != "disabled" {
		t.Errorf("%v", got)
	}
	c.ok("client", "enable", cid)
	c.ok("client", "delete", cid)
	c.fails([]string{"there is no client"}, "client", "show", cid)
}

func TestClientCommand_HumanOutputShowsTheSecretOnce(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	out := c.ok("client", "create", "--kind", "machine", "--name", "Job", "--id", "job")
	if strings.Count(out, "sgn_cs_") != 1 || !strings.Contains(out, "never again") {
		t.Errorf("%s", out)
	}
	out = c.ok("client", "create", "--kind", "spa", "--name", "Front", "--redirect-uri", "http://localhost:5173/cb")
	if strings.Contains(out, "secret") {
		t.Errorf("a public client: %s", out)
	}
}

func TestClientCommand_AllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	c.fails([]string{
		"was not created", "name: is empty", `"http://shop.test/cb" is plain http`, `"https://shop.test/#x" has a fragment`,
		`scopes: "orders:read" belongs to no registered API`, "token_endpoint_auth_method", "refresh_grace",
	}, "client", "create", "--kind", "spa", "--name", " ", "--redirect-uri", "http://shop.test/cb", "--redirect-uri", "https://shop.test/#x",
		"--scope", "openid orders:read", "--auth-method", "client_secret_basic", "--refresh-grace", "2m")
	c.fails([]string{`kind: is "desktop"`}, "client", "create", "--kind", "desktop", "--name", "X")
	c.fails([]string{"required flag", "kind"}, "client", "create", "--name", "X")
	c.fails([]string{"name at least one flag"}, "client", "update", "x")
	c.fails([]string{"there is no client"}, "client", "update", "x", "--name", "Y")
	if out := c.ok("client", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("something was written: %s", out)
	}
	_, err := c.do("client", "create", "--kind", "spa", "--name", " ", "--redirect-uri", "x", "--scope", "a\"")
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("one line per problem: %v", err)
	}
}

func TestClientCommand_KeysFromFile(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	const set = `{"keys": [{"kty":"EC","crv":"P-256","kid":"k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	if err := os.WriteFile(path, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	made := c.json("client", "create", "--kind", "web", "--name", "Shop", "--redirect-uri", "https://shop.test/cb", "--auth-method", "private_key_jwt", "--jwks-file", path)
	if made["client_secret"] != nil || made["jwks"] == nil {
		t.Errorf("%v", made)
	}
	up := c.json("client", "update", made["client_id"].(string), "--jwks-uri", "https://shop.test/jwks")
	if up["jwks"] != nil || up["jwks_uri"] != "https://shop.test/jwks" {
		t.Errorf("%v", up)
	}
	out := c.ok("client", "update", made["client_id"].(string), "--auth-method", "client_secret_post")
	if !strings.Contains(out, "has no secret yet: signet client rotate-secret") {
		t.Errorf("%s", out)
	}
	if got := c.json("client", "rotate-secret", made["client_id"].(string)); got["client_secret"] == nil {
		t.Errorf("%v", got)
	}
	c.fails([]string{"--jwks-file"}, "client", "create", "--kind", "web", "--name", "X", "--jwks-file", path+".missing")
	c.fails([]string{"private or symmetric"}, "client", "create", "--kind", "machine", "--name", "X", "--auth-method", "private_key_jwt",
		"--jwks-file", writeFile(t, `{"keys":[{"kty":"oct","k":"AAAA"}]}`))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPICommand(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	if out := c.ok("api", "list"); !strings.Contains(out, "no APIs yet") {
		t.Errorf("%s", out)
	}
	if out := c.ok("api", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("%s", out)
	}
	made := c.json("api", "create", "--audience", "https://orders.test", "--name", "Orders", "--scope", "orders:read=See your orders", "--scope", "orders:write")
	if made["scopes"].(map[string]any)["orders:read"] != "See your orders" {
		t.Errorf("%v", made)
	}
	job := c.json("client", "create", "--kind", "machine", "--name", "Job", "--scope", "orders:read")
	if aud := job["audiences"].([]any); len(aud) != 1 || aud[0] != "https://orders.test" {
		t.Errorf("%v", job)
	}
	if out := c.ok("api", "list"); !strings.Contains(out, "orders:read orders:write") {
		t.Errorf("%s", out)
	}
	c.fails([]string{"belongs to the API"}, "api", "create", "--audience", "urn:other", "--name", "Other", "--scope", "orders:read")
	c.fails([]string{"standard OpenID scope", "name: is empty", "is not an absolute URI"}, "api", "create", "--audience", "x", "--name", "", "--scope", "email")
	c.fails([]string{"given twice"}, "api", "create", "--audience", "urn:x", "--name", "X", "--scope", "a=1", "--scope", "a")
	c.fails([]string{"may ask tokens", job["client_id"].(string)}, "api", "delete", "https://orders.test")
	c.ok("client", "delete", job["client_id"].(string))
	if got := c.json("api", "delete", "https://orders.test"); got["result"] != "deleted" {
		t.Errorf("%v", got)
	}
	c.fails([]string{"there is no API"}, "api", "delete", "https://orders.test")
}

func TestKeyCommand(t *testing.T) {
	t.Parallel()
	c := newTool(t)
	if out := c.ok("key", "list"); !strings.Contains(out, "no keys yet") {
		t.Errorf("%s", out)
	}
	c.fails([]string{"no keys yet"}, "key", "rotate")
	// A client that wants an algorithm brings its key.
	c.ok("client", "create", "--kind", "web", "--name", "Shop", "--redirect-uri", "https://shop.test/cb", "--id-token-alg", "EdDSA")
	states := func(args ...string) map[string]int {
		t.Helper()
		var list []keyJSON
		if err := json.Unmarshal([]byte(c.ok(append(args, "--json")...)), &list); err != nil {
			t.Fatal(err)
		}
		m := map[string]int{}
		for _, k := range list {
			m[k.Alg+" "+string(k.State)]++
		}
		return m
	}
	if got := states("key", "list"); len(got) != 1 || got["EdDSA active"] != 1 {
		t.Errorf("%v", got)
	}
	if got := states("key", "rotate"); got["EdDSA active"] != 1 || got["EdDSA published"] != 1 {
		t.Errorf("%v", got)
	}
	if got := states("key", "rotate", "--compromised", "--alg", "EdDSA"); got["EdDSA active"] != 1 || got["EdDSA removed"] != 2 {
		t.Errorf("%v", got)
	}
	if out := c.ok("key", "list"); !strings.Contains(out, "ALGORITHM") || !strings.Contains(out, "active") {
		t.Errorf("%s", out)
	}
	c.fails([]string{"must be one of"}, "key", "rotate", "--alg", "HS256")
	c.fails([]string{"group"}, "key", "rotate", "--now", "--compromised")
}

// Every subcommand has a help text with an example, and refuses stray arguments.
func TestRegistryCommands_Help(t *testing.T) {
	t.Parallel()
	o := &options{}
	for _, group := range []*cobra.Command{clientCommand(o), apiCommand(o), keyCommand(o)} {
		for _, cmd := range group.Commands() {
			if cmd.Short == "" || !strings.Contains(cmd.Example, "signet "+group.Name()+" "+cmd.Name()) || cmd.Flags().Lookup("json") == nil {
				t.Errorf("%s %s: help is incomplete", group.Name(), cmd.Name())
			}
			if cmd.Args == nil || cmd.Args(cmd, []string{"a", "b"}) == nil {
				t.Errorf("%s %s takes any arguments", group.Name(), cmd.Name())
			}
		}
	}
}
