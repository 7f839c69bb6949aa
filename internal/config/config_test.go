package config

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and config.example.yaml")

const exampleFile = "../../config.example.yaml"

// goodKey is 32 bytes with the spread of random ones.
func goodKey() string {
	var b [32]byte
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// folder makes a folder with the given files, mode 0600.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestExample_IsTrue(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.WriteFile(exampleFile, []byte(Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Example(), string(text)); diff != "" {
		t.Errorf("config.example.yaml is not what the table says (go test ./internal/config -update):\n%s", diff)
	}
	dir := folder(t, map[string]string{"config.yaml": string(text), "master.key": goodKey()})
	got, err := Load(Source{File: filepath.Join(dir, "config.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Issuer, want.MasterKey = got.Issuer, got.MasterKey
	want.Database.Path = filepath.Join(dir, "signet.db")
	got.where, want.where = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example does not hold the defaults:\n got %+v\nwant %+v", got, want)
	}
}

func TestExample_ListsLoadWhenUncommented(t *testing.T) {
	t.Parallel()
	text := Example()
	at := strings.Index(text, "# apis:")
	var b strings.Builder
	b.WriteString(text[:at])
	for line := range strings.Lines(text[at:]) {
		b.WriteString(strings.TrimPrefix(line, "# "))
	}
	// The lines that document a section lose their mark too.
	yaml := strings.ReplaceAll(b.String(), "\nApplications. What stands here is read-only elsewhere.\n", "\n")
	yaml = strings.ReplaceAll(yaml, "\nOther providers that people may sign in with.\n", "\n")
	yaml = strings.ReplaceAll(yaml, "\nIssuers whose assertions clients may exchange for tokens (RFC 7523), and who may sign software statements.\n", "\n")
	dir := folder(t, map[string]string{"config.yaml": strings.ReplaceAll(yaml, "\n#     #", "\n    #"), "master.key": goodKey(), "shop.secret": strings.Repeat("s", 40), "corp.secret": "c"})
	got, err := Load(Source{File: filepath.Join(dir, "config.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.APIs) != 1 || len(got.Clients) != 1 || got.Clients[0].ID != "shop" || got.APIs[0].Scopes["orders.read"] != "Read your orders" {
		t.Errorf("got %+v %+v", got.APIs, got.Clients)
	}
	if len(got.Upstreams) != 1 || got.Upstreams[0].Domains[0] != "corp.example.com" {
		t.Errorf("got %+v", got.Upstreams)
	}
	if got.Clients[0].Secret.Reveal() != strings.Repeat("s", 40) {
		t.Error("secret_file of a client was not read")
	}
}

func TestTable_TagsAreValid(t *testing.T) {
	t.Parallel()
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for _, f := range children(v, prefix) {
			if f.tag.Get("doc") == "" {
				t.Errorf("%s has no doc", f.path)
			}
			switch {
			case f.section():
				walk(f.value, f.path)
			case f.list():
				walk(reflect.New(f.value.Type().Elem()).Elem(), f.path)
			default:
				for _, limit := range []string{f.tag.Get("min"), f.tag.Get("max"), f.tag.Get("default")} {
					if limit == "" {
						continue
					}
					if err := f.setText(limit); err != nil {
						t.Errorf("%s: tag %q: %v", f.path, limit, err)
					}
				}
			}
		}
	}
	walk(reflect.ValueOf(&Config{}).Elem(), "")
}

func TestLoad_EveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("testdata: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, err := Load(Source{File: file})
			if err == nil {
				t.Fatal("no error")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, rerr := os.ReadFile(golden)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What only the registry of clients can judge is reported with the rest, at its own line; a value
// that could not be read is reported once.
func TestLoad_CheckIsReportedWithTheRest(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"c.yaml": "issuer: https://id.example\nmaster_key_file: k\nlisten: nowhere\nclients:\n  - id: shop\n    name: Shop\n    kind: wab\n    redirect_uris: [x]\n",
		"k":      goodKey(),
	})
	file := filepath.Join(dir, "c.yaml")
	_, err := Load(Source{File: file, Check: func(c *Config) []Fault {
		return []Fault{{"clients[0].redirect_uris", "are wrong"}, {"clients[0].kind", "is unknown"}, {"clients[0].scopes", "are missing"}}
	}})
	want := file + ":3: listen: \"nowhere\" is not an address such as :8080 or 127.0.0.1:8080\n" +
		file + ":5: clients[0].scopes: are missing\n" +
		file + ":7: clients[0].kind: \"wab\" is not one of web, spa, native, machine\n" +
		file + ":8: clients[0].redirect_uris: are wrong"
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_FlagBeatsEnvironmentBeatsFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"config.yaml": "issuer: https://file.example\nmaster_key_file: k\nsessions: {idle: 2h}\nlog: {level: warn}\ndatabase: {max_conns: 5}\n",
		"k":           goodKey(),
	})
	c, err := Load(Source{
		File: filepath.Join(dir, "config.yaml"),
		Env:  []string{"SIGNET_ISSUER=https://env.example", "SIGNET_LOG_LEVEL=error", "SIGNET_DATABASE_URL=postgres://u:p@h/d", "SIGNET_PROXY_TRUSTED=10.0.0.1, 10.1.0.0/16", "SIGNET_PORT_8080_TCP=tcp://x", "SIGNET_LISTEN="},
		Set:  []string{"issuer=https://flag.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Issuer, c.Log.Level, c.Sessions.Idle, c.Database.MaxConns, c.Database.URL.Reveal(), c.Proxy.Trusted, c.Listen)
	want := "https://flag.example error 2h0m0s 5 postgres://u:p@h/d [10.0.0.1/32 10.1.0.0/16] :8080"
	if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c.Database.Migrate() {
		t.Error("Postgres migrates by itself")
	}
}

func TestLoad_SecretsOutsideTheFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"config.yaml": "issuer: https://id.example\nmaster_key: " + strings.Repeat("A", 43) + "=\n",
		"k":           goodKey() + "\n", "empty": "\n",
	})
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte(goodKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	load := func(env ...string) error {
		_, err := Load(Source{File: filepath.Join(dir, "config.yaml"), Env: env})
		return err
	}
	for name, tc := range map[string]struct {
		env  []string
		want string // part of the error; "" for none
	}{
		"file named by the environment":    {[]string{"SIGNET_MASTER_KEY_FILE=" + filepath.Join(dir, "k")}, ""},
		"value in the environment":         {[]string{"SIGNET_MASTER_KEY=" + goodKey()}, ""},
		"both":                             {[]string{"SIGNET_MASTER_KEY=" + goodKey(), "SIGNET_MASTER_KEY_FILE=" + filepath.Join(dir, "k")}, "give either"},
		"zeros in the file":                {nil, "is not 32 random bytes"},
		"no such file":                     {[]string{"SIGNET_MASTER_KEY_FILE=" + filepath.Join(dir, "none")}, "no such file"},
		"empty file":                       {[]string{"SIGNET_MASTER_KEY_FILE=" + filepath.Join(dir, "empty")}, "is empty"},
		"file that everybody can read":     {[]string{"SIGNET_MASTER_KEY_FILE=" + open}, "open to everybody"},
		"typed instead of generated":       {[]string{"SIGNET_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte("correct horse battery staple !!!!"[:32]))}, "is not random"},
		"mistyped variable":                {[]string{"SIGNET_MASTER_KEY=" + goodKey(), "SIGNET_LISTNE=:1"}, "did you mean SIGNET_LISTEN?"},
		"bad value in the environment":     {[]string{"SIGNET_MASTER_KEY=" + goodKey(), "SIGNET_TOKENS_CODE=1h"}, "SIGNET_TOKENS_CODE: must be between 10s and 10m"},
		"variable of a Kubernetes service": {[]string{"SIGNET_MASTER_KEY=" + goodKey(), "SIGNET_SERVICE_HOST=10.0.0.1"}, ""},
	} {
		err := load(tc.env...)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, err := Load(Source{Set: []string{"master_key=x", "isuer=x", "novalue"}}); err == nil ||
		!strings.Contains(err.Error(), "must not stand in a command line") || !strings.Contains(err.Error(), "did you mean issuer?") ||
		!strings.Contains(err.Error(), "expected key=value") {
		t.Errorf("flags: %v", err)
	}
}

// TestIssuer_OneSpelling covers OIDC Discovery §3 (https, no query, no fragment) and our own
// narrower rule: an origin in its one canonical spelling.
func TestIssuer_OneSpelling(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		"https://id.example.com": true, "https://id.example.com:8443": true, "http://localhost:8080": true,
		"http://127.0.0.1:1": true, "http://[::1]:8080": true, "https://localhost": true,
		"": false, "id.example.com": false, "http://id.example.com": false, "https://id.example.com/": false,
		"https://id.example.com/auth": false, "https://ID.example.com": false, "https://id.example.com:443": false,
		"http://localhost:80": false, "https://u@id.example.com": false, "https://id.example.com?": false,
		"https://id.example.com#": false, "https://id.example.com:": false, "ftp://id.example.com": false,
		"https:id.example.com": false, "https://": false, "http://localhost.evil.com": false, "http://127.0.0.1.evil.com": false,
	} {
		if text := IssuerProblem(s); (text == "") != ok {
			t.Errorf("%q: %q", s, text)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "30d": 720 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "30", "d", "-1d", "1.5d", "9999999d", "x"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q gives %v", s, got)
		}
	}
}

// FuzzLoad: no file makes Load panic, and no secret of a file appears in what it prints.
func FuzzLoad(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/*.yaml")
	for _, s := range append(seeds, exampleFile) {
		if text, err := os.ReadFile(s); err == nil {
			f.Add(string(text))
		}
	}
	const planted = "planted7secret7value"
	f.Add("master_key: " + planted + "\ndatabase: {url: " + planted + "}\nclients: [{secret: " + planted + "}]\n")
	f.Add("master_key: &a " + planted + "\nissuer: *a\n")
	f.Add("master_key: [" + planted + "]\n")
	f.Add("? {master_key: " + planted + "}\n: x\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(Source{File: "c.yaml"}, func(string) ([]byte, error) { return []byte(text), nil })
		if err == nil {
			if bad := IssuerProblem(c.Issuer); bad != "" {
				t.Fatalf("accepted issuer %q: %s", c.Issuer, bad)
			}
			if s := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(s, c.MasterKey.Reveal()) {
				t.Fatal("a printed configuration shows the master key")
			}
			return
		}
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if key == "master_key" && value == planted && strings.Count(text, planted) == 1 && strings.Contains(err.Error(), planted) {
				t.Fatalf("the secret is printed: %v", err)
			}
		}
	})
}

func TestAccounts_Problems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ yaml, want string }{
		"no sender":                  {"mail:\n  smtp: {host: smtp.example.com}", "mail.from"},
		"mail in clear":              {"mail:\n  from: no-reply@example.com\n  smtp: {host: smtp.example.com, tls: none}", "only"},
		"password without a name":    {"mail:\n  from: no-reply@example.com\n  smtp: {host: smtp.example.com, password: x}", "mail.smtp.username"},
		"domains without any":        {"signup: {mode: domains}", "signup.domains"},
		"domains without mail":       {"signup: {mode: domains, domains: [example.com]}", "needs mail"},
		"not a domain":               {"signup: {domains: ['@example.com']}", "is not a domain"},
		"mail codes without mail":    {"login: {mail_code: true}", "login.mail_code"},
		"terms nobody can read":      {"signup: {terms_version: '1'}", "branding.terms_url"},
		"breach check in clear":      {"passwords: {breach_api: 'http://example.com/'}", "passwords.breach_api"},
		"not a colour":               {"branding: {accent: blue}", "branding.accent"},
		"a link that is a script":    {"branding: {help_url: 'javascript:alert(1)'}", "branding.help_url"},
		"a language we do not speak": {"branding: {text: {fr: Bonjour}}", "branding.text"},
		"upstream without anything":  {"upstreams: [{name: Big Corp}]", "is not 1 to 32"},
		"upstream issuer":            {"upstreams: [{name: a, label: A, kind: oidc, issuer: 'http://example.com', client_id: x, client_secret: y}]", "is not an issuer"},
		"upstream on this machine":   {"upstreams: [{name: a, label: A, kind: oidc, issuer: 'http://localhost:9000', client_id: x, client_secret: y}]", "is not an issuer"},
		"upstream base":              {"upstreams: [{name: a, label: A, kind: github, base_url: 'http://ghe.test', client_id: x, client_secret: y}]", "upstreams[0].base_url"},
		"issuer without keys":        {"jwt_issuers: [{name: ci, issuer: 'https://ci.test'}]", "either jwks or jwks_uri"},
		"issuer's keys in clear":     {"jwt_issuers: [{name: ci, issuer: 'https://ci.test', jwks_uri: 'http://ci.test/jwks'}]", "jwt_issuers[0].jwks_uri"},
		"issuer without a name":      {"jwt_issuers: [{issuer: 'https://ci.test', jwks_uri: 'https://ci.test/jwks'}]", "jwt_issuers[0].name"},
		"issuer without iss":         {"jwt_issuers: [{name: ci, jwks_uri: 'https://ci.test/jwks'}]", "jwt_issuers[0].issuer"},
		"issuer is this server":      {"jwt_issuers: [{name: ci, issuer: 'https://id.example.com', jwks_uri: 'https://ci.test/jwks'}]", "is this server"},
		"issuer twice":               {"jwt_issuers: [{name: a, issuer: 'https://ci.test', jwks_uri: 'https://ci.test/jwks'}, {name: b, issuer: 'https://ci.test', jwks_uri: 'https://ci.test/jwks'}]", "whose keys count"},
		"issuer of no upstream":      {"jwt_issuers: [{name: ci, issuer: 'https://ci.test', jwks_uri: 'https://ci.test/jwks', subject: upstream}]", "upstreams has none"},
		"upstream twice":             {"upstreams: [{name: a, label: A, kind: github, client_id: x, client_secret: y}, {name: a, label: A, kind: github, client_id: x, client_secret: y}]", "given twice"},
	} {
		dir := folder(t, map[string]string{"config.yaml": "issuer: https://id.example.com\nmaster_key_file: master.key\n" + c.yaml + "\n", "master.key": goodKey()})
		_, err := Load(Source{File: filepath.Join(dir, "config.yaml")})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
