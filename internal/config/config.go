// Package config reads the configuration: a YAML file, then environment variables, then
// flags, strictly. Whatever is wrong is reported at once, each problem with its place and the
// nearest valid key. The struct tags below are the only table of keys: they give defaults,
// environment names, flags, config.example.yaml and the error texts. cmd/signet and
// internal/app read it; every other package is given values.
package config

import (
	"encoding/json"
	"net/netip"
	"time"

	"signet/internal/platform/seal"
)

// Config is everything an operator decides. Tags: key (YAML name), default, doc (why one
// would change it), oneof, min and max (inclusive), flag (has a flag of its own), path (a
// file name, relative to the configuration file). A seal.Secret also exists as key_file.
type Config struct {
	Issuer    string      `key:"issuer" flag:"y" doc:"Public origin of this server, for example https://id.example.com. Tokens name it; it must never change."`
	Listen    string      `key:"listen" default:":8080" flag:"y" doc:"Address of the public listener."`
	MasterKey seal.Secret `key:"master_key" doc:"32 random bytes in base64 that seal signing keys in the store: openssl rand -base64 32. Keep a copy apart from the database."`

	Name   string `key:"name" default:"Signet" doc:"What the service calls itself on its pages."`
	Locale string `key:"locale" default:"en" oneof:"en,ko" doc:"Language of the pages for people who ask for none that they speak."`

	TLS        TLS        `key:"tls" doc:"Leave out behind a proxy that ends TLS."`
	Proxy      Proxy      `key:"proxy" doc:"Proxies in front of this server."`
	Management Management `key:"management" doc:"Health and metrics, for operators only."`
	Database   Database   `key:"database" doc:"Where everything is kept."`
	Log        Log        `key:"log" doc:"Logs go to standard error."`
	Shutdown   Shutdown   `key:"shutdown" doc:"What happens on SIGTERM."`
	Passwords  Passwords  `key:"passwords" doc:"Cost and rules of passwords."`
	Sessions   Sessions   `key:"sessions" doc:"Browser sessions at this server."`
	Tokens     Tokens     `key:"tokens" doc:"Lifetimes. A client may have its own."`
	Keys       Keys       `key:"keys" doc:"Signing keys."`
	Audit      Audit      `key:"audit" doc:"The record of security-relevant acts."`
	Outbound   Outbound   `key:"outbound" doc:"Requests that this server makes (key sets of clients)."`

	APIs    []API    `key:"apis" doc:"APIs that tokens can be asked for (RFC 8707). What stands here is read-only elsewhere."`
	Clients []Client `key:"clients" doc:"Applications. What stands here is read-only elsewhere."`

	where map[string]string // path of a key → where its value came from
}

// TLS names the certificate of the public listener.
type TLS struct {
	CertFile string `key:"cert_file" path:"y" doc:"Certificate chain, PEM. A changed file is taken up without a restart."`
	KeyFile  string `key:"key_file" path:"y" doc:"Private key, PEM."`
}

// Proxy says whose word about the client is taken.
type Proxy struct {
	Trusted []netip.Prefix `key:"trusted" doc:"Addresses or networks of your proxies. From anybody else the header below is ignored."`
	Header  string         `key:"header" default:"X-Forwarded-For" oneof:"X-Forwarded-For,Forwarded" doc:"The header in which they name the client. The other one is never read."`
}

// Management is the listener for operators.
type Management struct {
	Listen string `key:"listen" default:"127.0.0.1:9090" flag:"y" doc:"Address for /healthz, /readyz and /metrics; off for none. Never reachable from outside."`
}

// Database says where the store is: url for Postgres, else the SQLite file at path.
type Database struct {
	URL          seal.Secret   `key:"url" doc:"postgres://user:password@host/database. Empty: SQLite."`
	Path         string        `key:"path" default:"signet.db" path:"y" doc:"SQLite file, used when url is empty. On a local disk."`
	MaxConns     int           `key:"max_conns" default:"16" min:"2" max:"1000" doc:"Postgres connections per instance; times instances below the server's max_connections."`
	AutoMigrate  *bool         `key:"auto_migrate" doc:"Bring an old schema up to date at start. Unset: true on SQLite, false on Postgres (run signet migrate)."`
	StartTimeout time.Duration `key:"start_timeout" default:"30s" min:"0s" max:"10m" doc:"How long to wait for the database at start before giving up."`
}

// Log chooses form and amount of the log.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug,info,warn,error" flag:"y" doc:"Least level that is written."`
	Format string `key:"format" default:"json" oneof:"json,text" flag:"y" doc:"One line per event, for machines or for people."`
}

// Shutdown is the drain.
type Shutdown struct {
	Delay   time.Duration `key:"delay" default:"5s" min:"0s" max:"5m" doc:"Not ready but still accepting, so that balancers notice first."`
	Timeout time.Duration `key:"timeout" default:"30s" min:"1s" max:"10m" doc:"Then requests in flight may take this long to finish."`
}

// Passwords holds cost and rules.
type Passwords struct {
	MinLength    int           `key:"min_length" default:"15" min:"8" max:"128" doc:"Least characters of a new password (NIST SP 800-63B-4: 15 where it is the only factor)."`
	MemoryKiB    int           `key:"argon2_memory_kib" default:"19456" min:"7168" max:"262144" doc:"argon2id memory of one hash. Old hashes follow at the next login."`
	Time         int           `key:"argon2_time" default:"2" min:"1" max:"64" doc:"argon2id passes."`
	Parallelism  int           `key:"argon2_parallelism" default:"1" min:"1" max:"16" doc:"argon2id lanes."`
	Slots        int           `key:"slots" default:"0" min:"0" max:"1024" doc:"Hashes computed at the same time; 0 means one per core. Memory needed: slots × argon2_memory_kib."`
	QueueTimeout time.Duration `key:"queue_timeout" default:"2s" min:"0s" max:"4s" doc:"How long a login waits for a slot before it is told to come back (503)."`
}

// Sessions holds lifetimes.
type Sessions struct {
	Idle       time.Duration `key:"idle" default:"1d" min:"5m" max:"90d" doc:"A session ends when it was not used for so long."`
	Absolute   time.Duration `key:"absolute" default:"30d" min:"5m" max:"365d" doc:"And after this, used or not."`
	PerAccount int           `key:"per_account" default:"100" min:"1" max:"10000" doc:"Sessions of one account at once; the oldest gives way."`
}

// Tokens holds lifetimes.
type Tokens struct {
	Code            time.Duration `key:"code" default:"60s" min:"10s" max:"10m" doc:"Authorization codes (RFC 6749 §4.1.2 recommends 10 minutes at most)."`
	Access          time.Duration `key:"access" default:"10m" min:"1m" max:"1d" doc:"Access tokens. A JWT cannot be called back before it expires."`
	ID              time.Duration `key:"id" default:"10m" min:"1m" max:"1d" doc:"ID tokens."`
	RefreshIdle     time.Duration `key:"refresh_idle" default:"30d" min:"5m" max:"365d" doc:"A refresh token that was not used for so long expires."`
	RefreshAbsolute time.Duration `key:"refresh_absolute" default:"90d" min:"5m" max:"1825d" doc:"Nothing is refreshed longer than this after the login."`
}

// Keys holds the schedule of signing keys.
type Keys struct {
	RotateEvery   time.Duration `key:"rotate_every" default:"90d" min:"1d" max:"1825d" doc:"A signing key signs for so long."`
	PublishBefore time.Duration `key:"publish_before" default:"24h" min:"10m" max:"30d" doc:"Its successor is in the JWKS so long before it signs, so that every cache knows it."`
}

// Audit holds the retention.
type Audit struct {
	Retention time.Duration `key:"retention" default:"365d" min:"1d" max:"36500d" doc:"Older records are deleted."`
}

// Outbound limits what this server may fetch.
type Outbound struct {
	AllowHosts []string `key:"allow_hosts" doc:"Host names that a client's jwks_uri may name although they lie in a private network."`
}

// API is an API that tokens can be asked for.
type API struct {
	Audience string            `key:"audience" doc:"Absolute URI; the aud of its tokens."`
	Name     string            `key:"name" doc:"Shown to people who are asked for consent."`
	Scopes   map[string]string `key:"scopes" doc:"Scope: what it allows, in words."`
}

// Client is an application that the file owns. Names are those of RFC 7591 where it has one.
type Client struct {
	ID                string          `key:"id" doc:"The client_id."`
	Name              string          `key:"name" doc:"Shown to people."`
	Kind              string          `key:"kind" oneof:"web,spa,native,machine" doc:"web, spa, native or machine: decides the safe defaults."`
	Secret            seal.Secret     `key:"secret" doc:"For kinds that keep one, 32 characters or more; better as secret_file."`
	SecretSHA256      string          `key:"secret_sha256" doc:"Or only its SHA-256, 64 hexadecimal digits."`
	NextSecret        seal.Secret     `key:"next_secret" doc:"Also accepted, while a secret is being replaced."`
	NextSecretSHA256  string          `key:"next_secret_sha256" doc:"Or only its SHA-256."`
	Disabled          bool            `key:"disabled" doc:"true: refused everywhere, but kept."`
	RedirectURIs      []string        `key:"redirect_uris" doc:"Compared byte by byte."`
	PostLogoutURIs    []string        `key:"post_logout_redirect_uris" doc:"Where a person may be sent after logout."`
	GrantTypes        []string        `key:"grant_types" doc:"Unset: what the kind needs."`
	AuthMethod        string          `key:"token_endpoint_auth_method" oneof:",client_secret_basic,client_secret_post,private_key_jwt,none" doc:"Unset: what the kind needs."`
	Scopes            []string        `key:"scopes" doc:"Scopes it may ask for."`
	Audiences         []string        `key:"audiences" doc:"APIs it may ask tokens for."`
	JWKS              json.RawMessage `key:"jwks" doc:"Its public keys, for private_key_jwt."`
	JWKSURI           string          `key:"jwks_uri" doc:"Or where to fetch them (https)."`
	FirstParty        *bool           `key:"first_party" doc:"Yours: nobody is asked for consent."`
	RequirePKCE       *bool           `key:"require_pkce" doc:"false only for a confidential client that cannot do PKCE."`
	AccessTokenFormat string          `key:"access_token_format" oneof:",jwt,opaque" doc:"jwt (default) or opaque."`
	IDTokenAlg        string          `key:"id_token_signed_response_alg" oneof:",ES256,RS256,PS256,EdDSA" doc:"Default ES256."`
	AccessTokenTTL    *time.Duration  `key:"access_token_ttl" min:"1m" max:"1d" doc:"Instead of tokens.access."`
	RefreshIdle       *time.Duration  `key:"refresh_idle_ttl" min:"1m" max:"366d" doc:"Instead of tokens.refresh_idle."`
	RefreshAbsolute   *time.Duration  `key:"refresh_absolute_ttl" min:"1m" max:"1825d" doc:"Instead of tokens.refresh_absolute."`
	RefreshGrace      *time.Duration  `key:"refresh_grace" min:"0s" max:"60s" doc:"A repeated refresh within this time gets the same successor instead of ending the family; default 10s."`
	AllowedOrigins    []string        `key:"allowed_origins" doc:"Origins whose scripts may call us; unset: those of an spa's redirect URIs."`
	ClientURI         string          `key:"client_uri" doc:"Its home page."`
	LogoURI           string          `key:"logo_uri" doc:"Its logo."`
	PolicyURI         string          `key:"policy_uri" doc:"Its privacy policy."`
	TOSURI            string          `key:"tos_uri" doc:"Its terms."`
}

// Migrate reports whether an old schema is brought up to date at start.
func (d Database) Migrate() bool {
	if d.AutoMigrate != nil {
		return *d.AutoMigrate
	}
	return d.URL == ""
}
