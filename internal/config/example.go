package config

import (
	"fmt"
	"reflect"
	"strings"
)

// exampleValues stand in the example for keys that have no default but must be set.
var exampleValues = map[string]string{
	"issuer":     "https://id.example.com",
	"master_key": "master.key",
}

// Example renders config.example.yaml from the table: every key, its default, and why one
// would change it.
func Example() string {
	var b strings.Builder
	b.WriteString(`# Configuration of signet serve: every key with its default. Only issuer and a master key are
# needed; leave out what you do not change. Every key can also be set by an environment variable
# (database.max_conns: SIGNET_DATABASE_MAX_CONNS) or a flag (--set database.max_conns=32); a flag
# beats the environment, which beats this file. A secret can always be given as the name of a
# file instead (master_key_file, SIGNET_MASTER_KEY_FILE), which nobody else may read.
# Check it with: signet config check --config FILE
# Durations: 90s, 10m, 24h, 30d. File names are relative to this file.
`)
	for _, f := range children(reflect.ValueOf(Default()).Elem(), "") {
		b.WriteString("\n")
		switch {
		case f.section():
			writeSection(&b, f, "")
		case f.list():
			fmt.Fprintf(&b, "# %s\n# %s:\n", f.tag.Get("doc"), f.key())
			item := reflect.New(f.value.Type().Elem()).Elem()
			for i, sub := range children(item, f.path) {
				writeItemKey(&b, sub, i == 0)
			}
		default:
			writeKey(&b, f, "")
		}
	}
	return b.String()
}

func writeSection(b *strings.Builder, f field, indent string) {
	fmt.Fprintf(b, "%s# %s\n%s%s:\n", indent, f.tag.Get("doc"), indent, f.key())
	for _, sub := range children(f.value, f.path) {
		if sub.section() {
			writeSection(b, sub, indent+"  ")
		} else {
			writeKey(b, sub, indent+"  ")
		}
	}
}

func writeKey(b *strings.Builder, f field, indent string) {
	fmt.Fprintf(b, "%s# %s\n", indent, f.tag.Get("doc"))
	switch v, def := exampleValues[f.path], f.tag.Get("default"); {
	case f.secret() && v != "":
		fmt.Fprintf(b, "%s%s_file: %s\n", indent, f.key(), v)
	case f.secret():
		fmt.Fprintf(b, "%s# %s_file:\n", indent, f.key())
	case v != "":
		fmt.Fprintf(b, "%s%s: %s\n", indent, f.key(), v)
	case def != "":
		fmt.Fprintf(b, "%s%s: %s\n", indent, f.key(), quoteYAML(def))
	default:
		fmt.Fprintf(b, "%s# %s:\n", indent, f.key())
	}
}

// itemExamples make the commented entries of the lists readable.
var itemExamples = map[string]string{
	"apis.audience": "https://api.example.com",
	"apis.name":     "Orders",
	"apis.scopes":   "{orders.read: Read your orders}",

	"upstreams.name":          "example-corp",
	"upstreams.label":         "Example Corp",
	"upstreams.kind":          "oidc",
	"upstreams.issuer":        "https://login.corp.example.com",
	"upstreams.client_id":     "signet",
	"upstreams.client_secret": "corp.secret",
	"upstreams.domains":       "[corp.example.com]",

	"jwt_issuers.name":     "build",
	"jwt_issuers.issuer":   "https://ci.example.com",
	"jwt_issuers.jwks_uri": "https://ci.example.com/jwks.json",

	"clients.id":                        "shop",
	"clients.name":                      "Shop",
	"clients.kind":                      "web",
	"clients.secret":                    "shop.secret",
	"clients.redirect_uris":             "[https://shop.example.com/callback]",
	"clients.post_logout_redirect_uris": "[https://shop.example.com/]",
}

func writeItemKey(b *strings.Builder, f field, first bool) {
	lead := "    "
	if first {
		lead = "  - "
	}
	key := f.key()
	if f.secret() {
		key += "_file"
	}
	line := strings.TrimRight(fmt.Sprintf("# %s%s: %s", lead, key, itemExamples[f.path]), " ")
	fmt.Fprintf(b, "#     # %s\n%s\n", f.tag.Get("doc"), line)
}

func quoteYAML(s string) string {
	if strings.HasPrefix(s, ":") {
		return `"` + s + `"`
	}
	return s
}
