package config

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"signet/internal/platform/seal"
)

// check looks at one thing; it returns the key at fault and what is wrong with it, or "".
type check func(c *Config) (path, text string)

// checks is what single values cannot say. The order is that of the file.
var checks = []check{
	checkIssuer, checkListen, checkManagement, checkMasterKey, checkTLS, checkDatabase,
	checkMail, checkSignUp, checkPasswords, checkBreach, checkBranding, checkSessions, checkRefresh, checkKeys, checkMTLS,
}

func (c *Config) validate(file string) Problems {
	var ps Problems
	add := func(path, text string) {
		if text != "" {
			ps = append(ps, c.problem(file, path, text))
		}
	}
	for _, chk := range checks {
		add(chk(c))
	}
	ids := map[string]bool{}
	for i, cl := range c.Clients {
		at := fmt.Sprintf("clients[%d]", i)
		switch {
		case cl.ID == "":
			add(at, "id is missing")
		case ids[cl.ID]:
			add(at, "the id "+strconv.Quote(cl.ID)+" is given twice")
		}
		ids[cl.ID] = true
		if cl.ID != "" && !reID.MatchString(cl.ID) {
			add(at+".id", strconv.Quote(cl.ID)+" is not 1 to 64 letters, digits, . _ or -, beginning with a letter or digit")
		}
		if strings.TrimSpace(cl.Name) == "" {
			add(at+".name", "is missing: people see it when they are asked for consent")
		}
		if cl.Kind == "" {
			add(at+".kind", "is missing: web, spa, native or machine")
		}
		for _, sum := range [][2]string{{"secret_sha256", cl.SecretSHA256}, {"next_secret_sha256", cl.NextSecretSHA256}} {
			if sum[1] != "" && !reSHA256.MatchString(sum[1]) {
				add(at+"."+sum[0], "is not 64 hexadecimal digits")
			}
		}
		if cl.Secret != "" && cl.SecretSHA256 != "" || cl.NextSecret != "" && cl.NextSecretSHA256 != "" {
			add(at, "give either a secret (or its file) or its SHA-256")
		}
		if cl.Secret != "" && len(cl.Secret) < 32 {
			add(at, "secret is too short: 32 random characters at least")
		}
	}
	names := map[string]bool{}
	for i, u := range c.Upstreams {
		at := fmt.Sprintf("upstreams[%d]", i)
		for _, p := range upstreamProblems(u) {
			add(at+p[0], p[1])
		}
		if names[u.Name] {
			add(at, "the name "+strconv.Quote(u.Name)+" is given twice")
		}
		names[u.Name] = true
	}
	for _, p := range issuerProblems(c) {
		add(p[0], p[1])
	}
	audiences := map[string]bool{}
	for i, a := range c.APIs {
		at := fmt.Sprintf("apis[%d]", i)
		switch {
		case a.Audience == "":
			add(at, "audience is missing")
		case audiences[a.Audience]:
			add(at, "the audience "+strconv.Quote(a.Audience)+" is given twice")
		}
		audiences[a.Audience] = true
		if u, err := url.Parse(a.Audience); a.Audience != "" && (err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "") {
			add(at+".audience", strconv.Quote(a.Audience)+" is not an absolute URI such as https://api.example.com")
		}
		if strings.TrimSpace(a.Name) == "" {
			add(at+".name", "is missing: people see it when they are asked for consent")
		}
		for _, scope := range slices.Sorted(maps.Keys(a.Scopes)) {
			if !reScope.MatchString(scope) {
				add(at+".scopes", strconv.Quote(scope)+" is not a scope (RFC 6749 §3.3)")
			}
		}
	}
	return ps
}

// The forms of what the registry of clients will ask for too: said here, it is said with its line.
var (
	reID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	reSHA256 = regexp.MustCompile(`^(sha256:)?[0-9A-Fa-f]{64}$`)
	reScope  = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)
)

// problem places a problem where the value came from: file and line, variable or flag.
func (c *Config) problem(file, path, text string) Problem {
	where, known := c.where[path]
	if item, _, nested := strings.Cut(path, "]."); !known && nested {
		where, known = c.where[item+"]"]
	}
	if !known {
		return Problem{File: file, At: path, Text: text}
	}
	if rest, ok := strings.CutPrefix(where, file+":"); ok && file != "" {
		if line, err := strconv.Atoi(rest); err == nil {
			return Problem{File: file, Line: line, At: path, Text: text}
		}
	}
	return Problem{At: where, Text: path + " " + text}
}

func checkIssuer(c *Config) (string, string) { return "issuer", IssuerProblem(c.Issuer) }

// IssuerProblem says what is wrong with an issuer, or "". It is an origin and nothing else
// (OIDC Discovery §3 allows a path; every component here is served at the root), in the one
// spelling that tokens, discovery and redirect checks then compare byte by byte.
func IssuerProblem(s string) string {
	if s == "" {
		return "is missing: the public origin of this server, such as https://id.example.com"
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "is not an origin such as https://id.example.com"
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must begin with https:// (http is for localhost only)"
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsAny(s, "#?"):
		return "must end after the host: no path, no trailing slash, no query"
	case s != strings.ToLower(s):
		return "must be in lower case"
	case u.Port() != "" && (u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80"):
		return "must leave out the default port"
	case strings.HasSuffix(u.Host, ":") || s != u.Scheme+"://"+u.Host:
		return "is not an origin such as https://id.example.com"
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func checkListen(c *Config) (string, string) { return "listen", addressProblem(c.Listen) }

func checkManagement(c *Config) (string, string) {
	if c.Management.Listen == "off" {
		return "", ""
	}
	return "management.listen", addressProblem(c.Management.Listen)
}

func addressProblem(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " \t/@") {
		return strconv.Quote(s) + " is not an address such as :8080 or 127.0.0.1:8080"
	}
	return ""
}

// checkMasterKey refuses what somebody typed instead of generating it.
func checkMasterKey(c *Config) (string, string) {
	const path = "master_key"
	text := c.MasterKey.Reveal()
	if text == "" {
		return path, "is missing: set master_key_file or SIGNET_MASTER_KEY_FILE; make one with: openssl rand -base64 32"
	}
	if _, err := seal.Parse(text); err != nil {
		return path, "is not 32 random bytes in base64; make one with: openssl rand -base64 32"
	}
	raw, _ := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "=")))
	distinct := map[byte]bool{}
	printable := true
	for _, b := range raw {
		distinct[b] = true
		printable = printable && b >= ' ' && b <= '~'
	}
	// Of 32 random bytes fewer than 16 distinct ones, or only printable ones, do not happen.
	if len(distinct) < 16 || printable {
		return path, "is not random; make one with: openssl rand -base64 32"
	}
	return "", ""
}

func checkTLS(c *Config) (string, string) {
	switch {
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		return "tls.cert_file", "needs tls.key_file"
	case c.TLS.KeyFile != "" && c.TLS.CertFile == "":
		return "tls.key_file", "needs tls.cert_file"
	case c.TLS.CertFile != "" && strings.HasPrefix(c.Issuer, "http://"):
		return "tls.cert_file", "does not fit an issuer that begins with http://"
	}
	return "", ""
}

func checkDatabase(c *Config) (string, string) {
	u := c.Database.URL.Reveal()
	if u != "" && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		return "database.url", "is not a postgres:// URL"
	}
	if u == "" && c.Database.Path == "" {
		return "database.path", "is missing: a file name for SQLite, or database.url for Postgres"
	}
	return "", ""
}

// checkPasswords bounds one hash: a login must not take seconds whatever the machine.
func checkPasswords(c *Config) (string, string) {
	if c.Passwords.MemoryKiB*c.Passwords.Time > 1<<20 {
		return "passwords.argon2_time", "times passwords.argon2_memory_kib must not be over 1048576"
	}
	return "", ""
}

func checkSessions(c *Config) (string, string) {
	if c.Sessions.Idle > c.Sessions.Absolute {
		return "sessions.idle", "must not be longer than sessions.absolute"
	}
	return "", ""
}

func checkRefresh(c *Config) (string, string) {
	if c.Tokens.RefreshIdle > c.Tokens.RefreshAbsolute {
		return "tokens.refresh_idle", "must not be longer than tokens.refresh_absolute"
	}
	return "", ""
}

func checkKeys(c *Config) (string, string) {
	if c.Keys.PublishBefore > c.Keys.RotateEvery/2 {
		return "keys.publish_before", "must not be longer than half of keys.rotate_every"
	}
	return "", ""
}
