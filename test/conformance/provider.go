package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Where the provider is. The second address asks clients for certificates.
const (
	issuerHost = "idp.test"
	issuer     = "https://" + issuerHost + ":9443"
	listen     = "127.0.0.1:9443"
	mtlsOrigin = "https://" + issuerHost + ":9444"
	mtlsListen = "127.0.0.1:9444"
)

// The person who signs in.
const (
	user     = "alice"
	password = "seven quiet rivers run north"
)

// profile, but for user name and address, has every standard claim (OpenID Connect Core §5.1): the modules about scopes ask for all. An
// import does not say that a telephone number is verified.
var profile = map[string]any{
	"password": password, "email_verified": true,
	"name": "Alice Maria Example", "given_name": "Alice", "family_name": "Example", "middle_name": "Maria",
	"nickname": "Ali", "profile": "https://example.com/alice", "picture": "https://example.com/alice.png",
	"website": "https://alice.example.com/", "gender": "female", "birthdate": "1990-02-28",
	"zoneinfo": "Europe/Berlin", "locale": "en-GB", "phone_number": "+491711234567",
	"address": map[string]string{"street_address": "1 Example Road", "locality": "Exampleton", "region": "Exampleshire",
		"postal_code": "EX1 1EX", "country": "Exampleland"},
}

// provider is one `signet serve` on a store of its own.
type provider struct {
	process        *process
	binary, config string
	env            []string
}

// given is what a provider is configured with.
type given struct {
	settings, api map[string]any
	clients       []map[string]any
	people        []string
}

// startProvider serves with the settings of a group, and the clients and people of its plans.
func startProvider(ctx context.Context, o options, a *authority, g given) (*provider, error) {
	dir := filepath.Join(o.work, "signet")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &provider{binary: o.signet, config: filepath.Join(dir, "signet.yaml"), env: []string{"SSL_CERT_FILE=" + a.file}}
	if err := p.configure(a, dir, g); err != nil {
		return nil, err
	}
	if err := p.importPeople(ctx, dir, g.people); err != nil {
		return nil, err
	}
	var err error
	if p.process, err = start(o.work, "signet", p.env, p.binary, "serve", "--config", p.config); err != nil {
		return nil, err
	}
	if err := p.process.until(ctx, time.Minute, answers(a)); err != nil {
		p.process.stop()
		return nil, err
	}
	return p, nil
}

// configure writes the configuration; JSON is YAML.
func (p *provider) configure(a *authority, dir string, g given) error {
	id, err := a.issue(issuerHost)
	if err != nil {
		return err
	}
	cert, key, err := id.write(dir, issuerHost)
	if err != nil {
		return err
	}
	c := map[string]any{
		"issuer": issuer, "listen": listen, "master_key": base64.StdEncoding.EncodeToString(random(32)),
		"tls":        map[string]string{"cert_file": absolute(cert), "key_file": absolute(key)},
		"database":   map[string]string{"path": absolute(filepath.Join(dir, "signet.db"))},
		"management": map[string]string{"listen": "off"},
		"shutdown":   map[string]string{"delay": "0s", "timeout": "5s"},
		"outbound":   map[string]any{"allow_hosts": []string{suiteHost}},
		"apis":       []any{g.api},
		"clients":    g.clients,
	}
	maps.Copy(c, g.settings)
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.config, b, 0o600)
}

// importPeople makes the store and the accounts in it.
func (p *provider) importPeople(ctx context.Context, dir string, names []string) error {
	file := filepath.Join(dir, "users.jsonl")
	var lines strings.Builder
	for _, name := range names {
		who := maps.Clone(profile)
		who["username"], who["email"] = name, name+"@example.com"
		lines.WriteString(text(who) + "\n")
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	if _, err := p.command(ctx, "migrate"); err != nil {
		return err
	}
	_, err := p.command(ctx, "user", "import", file)
	return err
}

// command runs a subcommand on the provider's store.
func (p *provider) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.binary, append(args, "--config", p.config)...)
	cmd.Env = append(os.Environ(), p.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("signet %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return out, nil
}

// rotate lets new keys sign, and returns when they do.
func (p *provider) rotate(ctx context.Context) error {
	if _, err := p.command(ctx, "key", "rotate", "--now"); err != nil {
		return err
	}
	for {
		out, err := p.command(ctx, "key", "list", "--json")
		if err != nil {
			return err
		}
		var keys []struct {
			State string `json:"state"`
		}
		if err := json.Unmarshal(out, &keys); err != nil {
			return err
		}
		waiting := false
		for _, k := range keys {
			waiting = waiting || k.State == "published"
		}
		if !waiting {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (p *provider) stop() {
	if p != nil {
		p.process.stop()
	}
}

// answers asks for the discovery document.
func answers(a *authority) func(context.Context) bool {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}}
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
		if err != nil {
			return false
		}
		res, err := c.Do(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func secret() string { return hex.EncodeToString(random(24)) }

// absolute, because the configuration's file names count from its own folder.
func absolute(name string) string {
	full, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return full
}
