package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
)

func TestRegistrationToken_CreateListRevoke(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var out bytes.Buffer
	if code := run([]string{"migrate", "--data", data}, &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	do := func(args ...string) (string, error) {
		o := &options{}
		root := &cobra.Command{Use: "signet", SilenceErrors: true, SilenceUsage: true}
		o.bind(root)
		root.AddCommand(registrationTokenCommand(o), clientCommand(o))
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append(args, "--data", data))
		err := root.ExecuteContext(audit.WithSource(context.Background(), audit.Source{Actor: "cli"}))
		return out.String(), err
	}
	ok := func(args ...string) string {
		t.Helper()
		out, err := do(args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	if got := ok("registration-token", "list"); !strings.Contains(got, "no registration tokens") {
		t.Errorf("before: %s", got)
	}
	made := ok("registration-token", "create", "--note", "shop team")
	if !strings.HasPrefix(made, string(id.InitialToken)) || !strings.Contains(made, "one client") || !strings.Contains(made, "registration.mode is off") {
		t.Errorf("create: %s", made)
	}
	var token struct {
		ID    string `json:"id"`
		Token string `json:"token"`
		Uses  int    `json:"uses_left"`
	}
	text := ok("registration-token", "create", "--uses", "-1", "--expires", "720h", "--scope", "address", "--grant-type", client.GrantTokenExchange, "--json")
	if err := json.Unmarshal([]byte(text), &token); err != nil || token.Uses != -1 || !strings.HasPrefix(token.Token, string(id.InitialToken)) {
		t.Errorf("%s: %v", text, err)
	}
	list := ok("registration-token", "list")
	if !strings.Contains(list, "shop team") || !strings.Contains(list, token.ID) || !strings.Contains(list, "any") || strings.Contains(list, string(id.InitialToken)) {
		t.Errorf("list:\n%s", list)
	}
	ok("registration-token", "revoke", token.ID)
	if got := ok("registration-token", "list", "--json"); strings.Contains(got, token.ID) {
		t.Errorf("revoked:\n%s", got)
	}
	for _, bad := range [][]string{
		{"revoke", token.ID}, {"create", "--uses", "-7"}, {"create", "--expires", "1s"}, {"create", "--scope", "nobodys"}, {"create", "--grant-type", "password"},
	} {
		if out, err := do(append([]string{"registration-token"}, bad...)...); err == nil {
			t.Errorf("%v: %s", bad, out)
		}
	}
	if _, err := do("client", "approve", "nobody"); err == nil || !strings.Contains(err.Error(), "no client") {
		t.Errorf("approve: %v", err)
	}
}
