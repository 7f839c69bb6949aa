package client

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/clients.md")

// The reference of settings in the documents is the struct that is read.
func TestSettings_Documented(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/clients.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), "-update` -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- /settings -->")
	if !ok || !ok2 {
		t.Fatal("docs/clients.md has lost its marks")
	}
	var b strings.Builder
	b.WriteString(head + "-update` -->\n\n| Name | Value | |\n|---|---|---|\n")
	for _, s := range Settings() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, s.Type, s.Doc)
	}
	b.WriteString("\n<!-- /settings -->" + tail)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b.String() != string(raw) {
		t.Error("docs/clients.md does not list the settings as they are: run go test ./internal/oauth/client -update")
	}
}

func TestProtocol_SetAndMerge(t *testing.T) {
	t.Parallel()
	var p Protocol
	for name, value := range map[string]string{
		"profile": "fapi2", "dpop_bound_access_tokens": "true", "default_max_age": "60", "contacts": "a@example.com, b@example.com",
	} {
		if err := p.Set(name, value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if p.Profile != "fapi2" || !p.DPoPBound || p.DefaultMaxAge == nil || *p.DefaultMaxAge != 60 || len(p.Contacts) != 2 {
		t.Errorf("got %+v", p)
	}
	for _, bad := range [][2]string{{"profil", "x"}, {"dpop_bound_access_tokens", "yes"}, {"default_max_age", "soon"}, {"DPoPBound", "true"}} {
		if err := p.Set(bad[0], bad[1]); err == nil {
			t.Errorf("%s=%s was accepted", bad[0], bad[1])
		}
	}
	before := p
	for _, raw := range []string{`{"profile": 1}`, `[]`, `{"nope": true}`, `{"PROFILE": "x"}`} {
		if err := p.Merge([]byte(raw)); err == nil {
			t.Errorf("%s was merged", raw)
		}
	}
	if p.Profile != before.Profile || !p.DPoPBound {
		t.Error("a refused merge changed something")
	}
	if err := p.Set("dpop_bound_access_tokens", ""); err != nil || p.DPoPBound {
		t.Errorf("a setting cannot be emptied: %v", err)
	}
	// A draft shares nothing with the snapshot it was made from.
	copied := p.clone()
	copied.Contacts[0] = "changed"
	*copied.DefaultMaxAge = 1
	if p.Contacts[0] == "changed" || *p.DefaultMaxAge == 1 {
		t.Error("clone shares memory")
	}
}

func FuzzProtocol_Merge(f *testing.F) {
	f.Add([]byte(`{"profile":"fapi2","request_uris":["https://a.example/r#x"]}`))
	f.Add([]byte(`{"default_max_age":1e400}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Protocol
		if p.Merge(raw) == nil {
			_ = Metadata{Protocol: p}.Validate(Web)
		}
	})
}
