package rig

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Password is long enough, on no list of common ones, and says nothing about anybody.
const Password = "correct-heron-battery-lamp"

// Provider is one issuer: a store, and the instances that serve it.
type Provider struct {
	Issuer    string
	Instances []*Instance
	// Sample is the sample application of `signet dev`, empty for `signet serve`.
	Sample string

	t     testing.TB
	where []string // the flags that name the store
}

// Instance is one process of a provider.
type Instance struct {
	*Process
	Served atomic.Int64 // requests that the proxy gave it

	t      testing.TB
	host   string // of the issuer: the provider answers to no other
	listen *url.URL
	args   []string
}

// Dev is `signet dev` on an empty folder.
func Dev(t testing.TB) *Provider {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	issuer := fmt.Sprintf("http://localhost:%d", FreePort(t))
	sample := fmt.Sprintf("http://localhost:%d", FreePort(t))
	p := &Provider{Issuer: issuer, Sample: sample, t: t, where: []string{"--data", data}}
	p.add("dev", "--data", data, "--listen", loopback(issuer), "--sample-listen", loopback(sample), "--mail", "off")
	return p
}

func loopback(issuer string) string {
	return strings.TrimPrefix(strings.Replace(issuer, "localhost", "127.0.0.1", 1), "http://")
}

// Cluster is n times `signet serve` over one database, behind a proxy that gives each request
// to the next instance, whoever sends it.
func Cluster(t testing.TB, database string, n int) *Provider {
	t.Helper()
	p := &Provider{t: t}
	var turn atomic.Uint64
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to := p.Instances[turn.Add(1)%uint64(len(p.Instances))]
			to.Served.Add(1)
			r.SetURL(to.listen)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		// A dead instance: the client hears 502 and cannot know whether its request was served.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy := httptest.NewServer(forward)
	t.Cleanup(proxy.Close)
	p.Issuer = strings.Replace(proxy.URL, "127.0.0.1", "localhost", 1)

	dir := t.TempDir()
	key := make([]byte, 32)
	rand.Read(key)
	write(t, filepath.Join(dir, "master.key"), base64.StdEncoding.EncodeToString(key)+"\n")
	for i := range n {
		listen := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
		file := filepath.Join(dir, fmt.Sprintf("signet-%d.yaml", i))
		write(t, file, fmt.Sprintf(`issuer: %s
listen: %s
management:
  listen: "off"
proxy:
  trusted: [127.0.0.1/32]
master_key_file: %s
database:
  url: %s
shutdown:
  delay: 0s
`, p.Issuer, listen, filepath.Join(dir, "master.key"), database))
		if i == 0 {
			p.where = []string{"--config", file}
			p.CLI("migrate")
		}
		p.add("serve", "--config", file).listen = &url.URL{Scheme: "http", Host: listen}
	}
	return p
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *Provider) add(args ...string) *Instance {
	p.t.Helper()
	i := &Instance{t: p.t, host: strings.TrimPrefix(p.Issuer, "http://"), args: args}
	for n, a := range args {
		if a == "--listen" {
			i.listen = &url.URL{Scheme: "http", Host: args[n+1]}
		}
	}
	p.Instances = append(p.Instances, i)
	return i
}

// Start starts every instance and waits until each is ready.
func (p *Provider) Start() *Provider {
	p.t.Helper()
	for _, i := range p.Instances {
		i.Start()
	}
	return p
}

// Start starts the instance, again after Kill or Stop, and waits until it answers.
func (i *Instance) Start() {
	i.t.Helper()
	i.Process = Start(i.t, Binary(i.t), i.args...)
	i.Answers(i.listen.String()+"/.well-known/openid-configuration", i.host)
}

// CLI runs a subcommand against the provider's store and returns what it printed.
func (p *Provider) CLI(args ...string) string {
	p.t.Helper()
	cmd := exec.Command(Binary(p.t), append(args, p.where...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("signet %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// Client is what `signet client create --json` printed.
type Client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// CreateClient registers an application.
func (p *Provider) CreateClient(args ...string) Client {
	p.t.Helper()
	var c Client
	if err := json.Unmarshal([]byte(p.CLI(append([]string{"client", "create", "--json"}, args...)...)), &c); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// ImportUsers makes accounts with Password, as `signet user import` does from a CSV file.
func (p *Provider) ImportUsers(emails ...string) {
	p.t.Helper()
	var rows strings.Builder
	rows.WriteString("email,name,password\n")
	for _, e := range emails {
		fmt.Fprintf(&rows, "%s,Person %s,%s\n", e, e, Password)
	}
	file := filepath.Join(p.t.TempDir(), "users.csv")
	write(p.t, file, rows.String())
	p.CLI("user", "import", file)
}

// Folder is the data folder of `signet dev`.
func (p *Provider) Folder() string { return p.where[1] }
