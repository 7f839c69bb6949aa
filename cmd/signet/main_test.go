package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// TestMain lets the test binary be the program: tests that need a process start themselves.
func TestMain(m *testing.M) {
	if os.Getenv("SIGNET_TEST_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// process is a running signet.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan struct{}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// program prepares the command, in a folder of its own and with an environment without our
// variables.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = t.TempDir()
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SIGNET_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "SIGNET_TEST_MAIN=1")
	return cmd
}

// call runs the command to its end.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := program(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: program(t, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// stop sends a signal and returns the exit code.
func (p *process) stop(t *testing.T, s os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Fatalf("did not end:\n%s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// answers waits until url answers 200.
func (p *process) answers(t *testing.T, url string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-p.exited:
			t.Fatalf("ended:\n%s", p.stderr.String())
		default:
		}
		if resp, err := http.Get(url); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s does not answer:\n%s", url, p.stderr.String())
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func visitor() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func claims(t *testing.T, p *apptest.Page, id string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(p.Element(id)), &m); err != nil {
		t.Fatalf("%s: %v\n%s", id, err, p)
	}
	return m
}

// TestDev_FirstRun is what a newcomer does: one command, sign up, verified tokens, refresh, log
// out, stop; and the next start finds everything again.
func TestDev_FirstRun(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	port, samplePort := freePort(t), freePort(t)
	issuer, sample := "http://localhost:"+port, "http://localhost:"+samplePort
	args := []string{"dev", "--data", data, "--listen", "127.0.0.1:" + port, "--sample-listen", "127.0.0.1:" + samplePort}
	p := launch(t, args...)
	p.answers(t, issuer+"/.well-known/openid-configuration")
	p.answers(t, sample)

	b := apptest.NewBrowser(t, issuer, visitor(), sample)
	b.Open(sample)
	b.Click("action=sign-in")
	b.Click("/signup")
	person := apptest.Person{Name: "Mina Park", Email: "mina@example.com", Password: "violet-harbour-lantern"}
	b.SignUp(person)
	b.Submit(url.Values{"code": {apptest.MailboxOf(t, visitor(), issuer, person.Email, 1)[0].Code()}})
	first := b.Click("answer=allow")
	if !strings.Contains(first.Text(), "Hello, Mina Park") {
		t.Fatalf("not signed in at the sample application:\n%s", first)
	}
	idToken, access, info := claims(t, first, "id-token"), claims(t, first, "access-token"), claims(t, first, "userinfo")
	if idToken["iss"] != issuer || idToken["aud"] != "sample" || info["email"] != person.Email || access["sub"] != idToken["sub"] {
		t.Errorf("tokens: %v %v %v", idToken, access, info)
	}
	second := b.Click("action=refresh")
	if next := claims(t, second, "access-token"); next["jti"] == access["jti"] || claims(t, second, "id-token")["sub"] != idToken["sub"] {
		t.Errorf("refresh: %v", next)
	}
	out := b.Click("action=log-out")
	if out.URL.String() != sample+"/" || strings.Contains(out.Text(), "Hello") {
		t.Errorf("log out led to\n%s", out)
	}
	if page := b.Open("/account"); !page.Has("password") {
		t.Errorf("still signed in at the provider:\n%s", page)
	}

	for file, mode := range map[string]os.FileMode{".": 0o700, "master.key": 0o600, "signet.db": 0o600, "sample.secret": 0o600} {
		if st, err := os.Stat(filepath.Join(data, file)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", file, st.Mode(), err)
		}
	}
	if code := p.stop(t, os.Interrupt); code != 0 {
		t.Errorf("Ctrl-C: exit %d\n%s", code, p.stderr.String())
	}
	if n := strings.Count(p.stdout.String(), "\n"); n == 0 || n > 10 {
		t.Errorf("the start prints %d lines:\n%s", n, p.stdout.String())
	}
	for _, want := range []string{issuer, sample, data, "signet.db", issuer + "/signup"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("the start does not name %s:\n%s", want, p.stdout.String())
		}
	}
	if p.stderr.String() != "" {
		t.Errorf("a quiet run logs:\n%s", p.stderr.String())
	}

	p = launch(t, args...)
	p.answers(t, sample)
	p.answers(t, issuer+"/.well-known/openid-configuration")
	b = apptest.NewBrowser(t, issuer, visitor(), sample)
	b.Open(sample)
	b.Click("action=sign-in")
	if again := b.Login(person); !strings.Contains(again.Text(), "Hello, Mina Park") || claims(t, again, "id-token")["sub"] != idToken["sub"] {
		t.Errorf("after a restart:\n%s", again)
	}
	if code := p.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
}

func TestDev_Refusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	data := filepath.Join(t.TempDir(), "data")
	code, _, stderr := call(t, "dev", "--data", data, "--listen", taken.Addr().String())
	if code != 1 || !strings.Contains(stderr, "is taken") {
		t.Errorf("taken port: %d %s", code, stderr)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a failed start left a folder")
	}
	for _, args := range [][]string{
		{"dev", "--listen", "192.0.2.1:8080"}, {"dev", "--listen", "8080"}, {"dev", "--config", "x"},
		{"dev", "--log-level", "loud", "--listen", "127.0.0.1:0", "--sample-listen", "off", "--data", data}, {"dev", "extra"},
	} {
		if code, _, stderr := call(t, args...); code != 2 || stderr == "" {
			t.Errorf("%v: exit %d %s", args, code, stderr)
		}
	}
	lost := t.TempDir()
	if err := os.WriteFile(filepath.Join(lost, "signet.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, "dev", "--data", lost, "--listen", "127.0.0.1:0", "--sample-listen", "off"); code != 1 || !strings.Contains(stderr, "put the key back") {
		t.Errorf("a store without its key: %d %s", code, stderr)
	}
}

// serveConfig writes a configuration and a master key.
func serveConfig(t *testing.T, more string) (file, issuer, management string) {
	t.Helper()
	dir := t.TempDir()
	var key [32]byte
	for i := range key {
		key[i] = byte(i*37 + 11)
	}
	port, operators := freePort(t), "127.0.0.1:"+freePort(t)
	issuer = "http://localhost:" + port
	text := fmt.Sprintf("issuer: %s\nlisten: 127.0.0.1:%s\nmaster_key_file: master.key\nmanagement: {listen: %s}\nshutdown: {delay: 0s}\n%s", issuer, port, operators, more)
	for name, text := range map[string]string{"config.yaml": text, "master.key": base64.StdEncoding.EncodeToString(key[:])} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml"), issuer, "http://" + operators
}

func TestServe_OnBothEngines(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			more := ""
			if e == store.Postgres {
				more = "database: {url: \"" + storetest.NewURL(t, e) + "\"}\n"
			}
			file, issuer, management := serveConfig(t, more)
			p := launch(t, "serve", "--config", file, "--log-level", "info")
			p.answers(t, issuer+"/.well-known/openid-configuration")
			p.answers(t, management+"/readyz")
			if code := p.stop(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit %d\n%s", code, p.stderr.String())
			}
			var started bool
			for line := range strings.Lines(p.stderr.String()) {
				var m map[string]any
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Errorf("not JSON: %s", line)
				}
				started = started || m["msg"] == "signet serves" && m["issuer"] == issuer && m["version"] != nil && m["store"] == string(e)
			}
			if !started {
				t.Errorf("no start line:\n%s", p.stderr.String())
			}
		})
	}
}

func TestServe_RefusesWithOneClearLine(t *testing.T) {
	t.Parallel()
	good, _, _ := serveConfig(t, "")
	bad, _, _ := serveConfig(t, "databse: {}\n")
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no configuration": {[]string{"serve"}, 2, "which store?"},
		"data folder":      {[]string{"serve", "--data", "x"}, 2, "signet dev"},
		"no such file":     {[]string{"serve", "--config", "/nonexistent.yaml"}, 1, "no such file"},
		"unknown key":      {[]string{"serve", "--config", bad}, 1, "did you mean database?"},
		"unknown flag":     {[]string{"serve", "--lisen", "x"}, 2, "unknown flag"},
		"bad flag value":   {[]string{"serve", "--config", good, "--listen", "x"}, 1, "is not an address"},
		"secret in a flag": {[]string{"serve", "--config", good, "--set", "master_key=x"}, 1, "must not stand in a command line"},
		"both stores":      {[]string{"client", "list", "--config", good, "--data", "x"}, 2, "either --data or --config"},
		"nothing there":    {[]string{"client", "list", "--config", good}, 1, "run signet migrate"},
		"unknown command":  {[]string{"serv"}, 2, "unknown command"},
	} {
		code, stdout, stderr := call(t, tc.args...)
		if code != tc.code || !strings.Contains(stderr, tc.want) || stdout != "" {
			t.Errorf("%s: exit %d, want %d and %q:\n%s%s", name, code, tc.code, tc.want, stdout, stderr)
		}
	}
}

func TestMigrate_SaysWhatItDid(t *testing.T) {
	t.Parallel()
	file, _, _ := serveConfig(t, "")
	code, out, stderr := call(t, "migrate", "--config", file)
	if code != 0 || !strings.Contains(out, "applied 0001_init") {
		t.Errorf("first: %d %s%s", code, out, stderr)
	}
	if code, out, _ := call(t, "migrate", "--config", file); code != 0 || out != "the schema is up to date\n" {
		t.Errorf("second: %d %s", code, out)
	}
	if code, out, stderr := call(t, "client", "list", "--config", file); code != 0 {
		t.Errorf("client list: %d %s%s", code, out, stderr)
	}
}

func TestConfig_CheckAndExample(t *testing.T) {
	t.Parallel()
	file, issuer, _ := serveConfig(t, "clients:\n  - {id: spa, name: App, kind: spa, redirect_uris: ['https://app.example/cb']}\n")
	if code, out, stderr := call(t, "config", "check", "--config", file); code != 0 || !strings.Contains(out, issuer) || !strings.Contains(out, "1 clients") {
		t.Errorf("good: %d %s%s", code, out, stderr)
	}
	bad, _, _ := serveConfig(t, "listn: x\nclients:\n  - {id: a, kind: web}\ntokens: {code: 1d}\n")
	code, _, stderr := call(t, "config", "check", "--config", bad)
	if code != 1 || !strings.Contains(stderr, "did you mean listen?") || !strings.Contains(stderr, "tokens.code: must be between") {
		t.Errorf("bad: %d %s", code, stderr)
	}
	// Everything in one go, each with its line, and the same from serve before it makes a store.
	rules, _, _ := serveConfig(t, "tls: {cert_file: none.pem, key_file: none.key}\nclients:\n  - {id: a, kind: web, redirect_uris: ['http://a.example/#x']}\n  - {id: b, name: B, kind: machine, secret_sha256: zz}\n")
	for _, args := range [][]string{{"config", "check"}, {"serve"}} {
		code, _, stderr := call(t, append(args, "--config", rules)...)
		for _, want := range []string{"clients[0].name: ", "clients[0].redirect_uris: ", "clients[0].secret: ", "clients[1].secret_sha256: ", "tls.cert_file: "} {
			if !regexp.MustCompile(`config\.yaml:\d+: `+regexp.QuoteMeta(want)).MatchString(stderr) || code != 1 {
				t.Errorf("%s: %d, no %q with its line in\n%s", args, code, want, stderr)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(rules), storeFile)); err == nil {
		t.Error("serve made a store before it looked at the configuration")
	}
	code, out, _ := call(t, "config", "example")
	want, err := os.ReadFile("../../config.example.yaml")
	if code != 0 || err != nil || out != string(want) {
		t.Errorf("config example: %d %v", code, err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, out, _ := call(t, "version", "--json")
	var v map[string]string
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v["version"] == "" || v["go"] == "" {
		t.Errorf("%d %v %s", code, err, out)
	}
	if code, out, _ := call(t, "version"); code != 0 || !strings.HasPrefix(out, "signet ") {
		t.Errorf("%d %s", code, out)
	}
}

// TestHelp_EveryCommand: each has help, and an example where it does something.
func TestHelp_EveryCommand(t *testing.T) {
	t.Parallel()
	began := false
	root := rootCommand(&began)
	for _, c := range root.Commands() {
		if c.Short == "" {
			t.Errorf("%s has no description", c.Name())
		}
		if c.Runnable() && !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
	}
	var out bytes.Buffer
	if code := run([]string{"--help"}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "signet dev") {
		t.Errorf("%d %s", code, &out)
	}
}
