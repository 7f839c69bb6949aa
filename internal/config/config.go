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
	Mail       Mail       `key:"mail" doc:"Mail to people. Without a server there is none: nothing is verified and nobody recovers by mail."`
	SignUp     SignUp     `key:"signup" doc:"Who may make an account."`
	Login      Login      `key:"login" doc:"Ways in besides the password."`
	Passwords  Passwords  `key:"passwords" doc:"Cost and rules of passwords."`
	MFA        MFA        `key:"mfa" doc:"Second factors."`
	Passkeys   Passkeys   `key:"passkeys" doc:"Passkeys (WebAuthn). They belong to a host name for ever: choose it once."`
	Accounts   Accounts   `key:"accounts" doc:"What people do with their accounts."`
	Branding   Branding   `key:"branding" doc:"How the pages look."`
	Sessions   Sessions   `key:"sessions" doc:"Browser sessions at this server."`
	Tokens     Tokens     `key:"tokens" doc:"Lifetimes. A client may have its own."`
	Keys       Keys       `key:"keys" doc:"Signing keys."`
	OAuth      OAuth      `key:"oauth" doc:"What the protocol endpoints offer. docs/profiles.md says which switch gives which profile."`
	Register   Register   `key:"registration" doc:"Clients that register themselves (RFC 7591)."`
	MTLS       MTLS       `key:"mtls" doc:"Certificates of clients (RFC 8705)."`
	Device     Device     `key:"device" doc:"Sign-in on devices without a browser (RFC 8628), for clients that have the grant type."`
	CIBA       CIBA       `key:"ciba" doc:"Applications that ask somebody who is not in front of them (OpenID Connect CIBA), if they have the grant type."`
	Audit      Audit      `key:"audit" doc:"The record of security-relevant acts."`
	Outbound   Outbound   `key:"outbound" doc:"Requests that this server makes (key sets of clients, upstream providers)."`

	APIs       []API       `key:"apis" doc:"APIs that tokens can be asked for (RFC 8707). What stands here is read-only elsewhere."`
	Upstreams  []Upstream  `key:"upstreams" doc:"Other providers that people may sign in with."`
	JWTIssuers []JWTIssuer `key:"jwt_issuers" doc:"Issuers whose assertions clients may exchange for tokens (RFC 7523), and who may sign software statements."`
	Clients    []Client    `key:"clients" doc:"Applications. What stands here is read-only elsewhere."`

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

	BreachFile    string        `key:"breach_file" path:"y" doc:"Sorted file of SHA-1 sums of leaked passwords (lines HASH:COUNT, as the public download). New passwords in it are refused."`
	BreachAPI     string        `key:"breach_api" doc:"Range API that is asked about new passwords, for example https://api.pwnedpasswords.com/range/. It learns five hexadecimal digits of a hash. Empty: off."`
	BreachTimeout time.Duration `key:"breach_timeout" default:"1s" min:"100ms" max:"3s" doc:"How long that may take; without an answer the password is accepted."`
}

// Mail is how mail leaves.
type Mail struct {
	From      string `key:"from" doc:"Sender, for example Example ID <no-reply@example.com>. Needed with a server."`
	SMTP      SMTP   `key:"smtp" doc:"The server that takes mail. Try it with: signet mail test ADDRESS"`
	dev       bool   // see KeepMail
	Templates string `key:"templates_dir" path:"y" doc:"Folder with templates of your own (docs/mail.md); those it lacks are ours."`
}

// SMTP is the server that takes mail.
type SMTP struct {
	Host     string        `key:"host" doc:"Empty: no mail."`
	Port     int           `key:"port" default:"587" min:"1" max:"65535" doc:"587 for starttls, 465 for implicit."`
	TLS      string        `key:"tls" default:"starttls" oneof:"starttls,implicit,none" doc:"starttls is never given up silently; none only for a server on this machine."`
	Username string        `key:"username" doc:"Empty: no authentication."`
	Password seal.Secret   `key:"password" doc:"Better as password_file."`
	Timeout  time.Duration `key:"timeout" default:"15s" min:"1s" max:"2m" doc:"For one attempt. Nobody waits for it; a failed one is repeated until the mail expires, four days at most."`
}

// SignUp says who may make an account.
type SignUp struct {
	Mode         string   `key:"mode" default:"open" oneof:"open,invite,domains,closed" doc:"open to anybody, by invitation (signet user invite), for the addresses of domains, or closed."`
	Domains      []string `key:"domains" doc:"For mode domains: example.com admits its addresses, not those of its subdomains."`
	TermsVersion string   `key:"terms_version" doc:"Version of the terms at branding.terms_url, for example 2026-01. Everybody is asked to accept it, and again when it changes. Empty: nobody is asked."`
}

// Login switches ways in.
type Login struct {
	MailCode bool `key:"mail_code" default:"false" doc:"Offer a code by mail instead of the password. As safe as people's mailboxes."`
}

// MFA is the rule for second factors.
type MFA struct {
	Mode        string        `key:"mode" default:"optional" oneof:"off,optional,required" doc:"off: never asked; optional: asked of those who set one up; required: everybody sets one up. A client may require it anyway (require_mfa), or ask by acr_values."`
	RememberFor time.Duration `key:"remember_for" default:"30d" min:"0s" max:"365d" doc:"How long a browser may be remembered, so that only the first factor is asked. 0: never."`
}

// Passkeys says whose passkeys they are.
type Passkeys struct {
	Enabled bool     `key:"enabled" default:"true" doc:"false: no passkeys."`
	RPID    string   `key:"rp_id" doc:"Host of the issuer, or a domain above it that you own. Empty: the host of the issuer. A change makes every passkey useless."`
	Origins []string `key:"related_origins" doc:"Other origins that may use these passkeys (WebAuthn Level 3 related origins)."`
	Offer   bool     `key:"offer" default:"true" doc:"After a sign-in with a password, offer to add a passkey."`
}

// Accounts says what happens to accounts.
type Accounts struct {
	DeletionGrace time.Duration `key:"deletion_grace" default:"14d" min:"0s" max:"365d" doc:"How long a deleted account can be had back by signing in."`
}

// Branding is how the pages look.
type Branding struct {
	LogoFile     string            `key:"logo_file" path:"y" doc:"PNG, or SVG of 32 kB at most, shown in the place of our mark; in that of the name as well if it is wide (docs/branding.md)."`
	LogoDarkFile string            `key:"logo_dark_file" path:"y" doc:"The same for dark pages. Empty: logo_file."`
	Accent       string            `key:"accent" doc:"Colour of buttons and links, for example #2a47b8. What stands on it is chosen so that it can be read."`
	HelpURL      string            `key:"help_url" doc:"Help, in the foot of every page; a web address or mailto:somebody@example.com."`
	PrivacyURL   string            `key:"privacy_url" doc:"Privacy policy, in the foot of every page and at sign-up."`
	TermsURL     string            `key:"terms_url" doc:"Terms, likewise."`
	Text         map[string]string `key:"text" doc:"A few lines of your own on the sign-in page, per language: {en: …, ko: …}."`
}

// Upstream is another provider that people may sign in with.
type Upstream struct {
	Name         string            `key:"name" doc:"Short name in addresses: lower-case letters, digits, -. Must never change: accounts are linked under it."`
	Label        string            `key:"label" doc:"What its button says, for example Example Corp."`
	Kind         string            `key:"kind" oneof:"oidc,github" doc:"oidc: any OpenID provider; github."`
	Issuer       string            `key:"issuer" doc:"For oidc: its issuer, exactly as it calls itself."`
	BaseURL      string            `key:"base_url" doc:"For github: of an Enterprise server; empty for github.com."`
	ClientID     string            `key:"client_id" doc:"Ours, as registered there, with the redirect URI <issuer>/upstream/<name>/callback."`
	ClientSecret seal.Secret       `key:"client_secret" doc:"Better as client_secret_file."`
	Scopes       []string          `key:"scopes" doc:"Unset: openid profile email, or user:email read:user."`
	Domains      []string          `key:"domains" doc:"People with addresses of these domains are sent there, never asked for a password."`
	Claims       map[string]string `key:"claims" doc:"Where its claims have other names: {email: mail, name: displayName}."`
	TrustEmail   bool              `key:"trust_email" doc:"Its email_verified is believed."`
	TrustMFA     bool              `key:"trust_mfa" doc:"Its amr mfa counts as two factors here."`
	Create       *bool             `key:"create" doc:"false: only people who have an account here already; default true, within signup.mode."`
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

// OAuth says what the protocol endpoints offer.
type OAuth struct {
	LegacyResponseTypes bool              `key:"legacy_response_types" default:"false" doc:"true: clients that registered them may use implicit and hybrid response types, which hand out tokens through the browser. RFC 9700 advises against it."`
	RequirePushed       bool              `key:"require_pushed_requests" default:"false" doc:"true: every authorization request must be pushed first (RFC 9126), not only those of clients that ask for it."`
	RequestObjects      string            `key:"request_objects" default:"signed" oneof:"off,signed,unsigned" doc:"Request objects (RFC 9101): off; signed ones; or unsigned ones too, for old clients."`
	RequestURIs         bool              `key:"request_uris" default:"false" doc:"true: request objects are fetched from the addresses that a client registered."`
	DPoPNonce           bool              `key:"dpop_nonce" default:"false" doc:"true: DPoP proofs must carry a nonce of ours (RFC 9449 §8), which costs clients a second request now and then."`
	TokenAudience       bool              `key:"token_endpoint_audience" default:"false" doc:"true: client assertions may be made out to the token endpoint, or that of backchannel authentication, instead of the issuer, as clients do that are older than RFC 10070; never those under FAPI."`
	SessionManagement   bool              `key:"session_management" default:"true" doc:"false: no check_session_iframe (OIDC Session Management)."`
	FrontchannelLogout  bool              `key:"frontchannel_logout" default:"true" doc:"false: no hidden frames at sign-out (OIDC Front-Channel Logout)."`
	DetailTypes         map[string]string `key:"authorization_details_types" doc:"Types of authorization_details (RFC 9396), each with what it allows, in words: {payment_initiation: Start a payment}."`
	ClientDocuments     bool              `key:"client_documents" default:"false" doc:"true: a client may be a URL under which its metadata stand (client ID metadata documents), as MCP clients are."`
	MaxClientDocuments  int               `key:"max_client_documents" default:"10000" min:"1" max:"1000000" doc:"Such clients that people use; beyond it the one goes that was not used for the longest time and of which nothing lives, and if there is none no other is let in."`
	DocumentsUnusedFor  time.Duration     `key:"client_documents_unused_for" default:"90d" min:"1d" max:"3650d" doc:"Such a client is deleted, with the consents to it, when nobody came in through it for so long and nothing of it lives."`
}

// Register is the policy for clients that register themselves.
type Register struct {
	Mode        string        `key:"mode" default:"off" oneof:"off,token,open" doc:"off; token: with an initial access token (signet registration-token create); open: anybody, in quarantine."`
	Scopes      []string      `key:"scopes" doc:"Scopes that such clients may have; unset: openid profile email offline_access."`
	Audiences   []string      `key:"audiences" doc:"APIs that such clients may ask tokens for, besides those whose scopes stand above."`
	RequirePKCE bool          `key:"require_pkce" default:"true" doc:"false: confidential clients that register themselves may leave PKCE out. Only for the OpenID conformance suite and clients as old as that."`
	PerNetwork  int           `key:"per_network" default:"20" min:"1" max:"100000" doc:"Open registrations per hour from one network."`
	MaxClients  int           `key:"max_clients" default:"1000" min:"1" max:"1000000" doc:"Clients in quarantine at once; beyond it the oldest go that nobody ever used, first those of the network with most of them."`
	UnusedFor   time.Duration `key:"unused_for" default:"7d" min:"1h" max:"365d" doc:"A client in quarantine through which nobody came in for so long is deleted."`
	Statements  string        `key:"software_statements" default:"refuse" oneof:"refuse,accept,require" doc:"Software statements (RFC 7591 §2.3) signed by one of jwt_issuers: refused, taken into account, or demanded."`
}

// MTLS says how certificates of clients arrive.
type MTLS struct {
	Listen string `key:"listen" doc:"Address of a listener that asks for certificates, for example :8443. Apart from the public one, where browsers would ask people for theirs."`
	URL    string `key:"url" doc:"Public origin of that listener, for example https://mtls.id.example.com:8443; mtls_endpoint_aliases name it."`
	Header string `key:"header" oneof:",Client-Cert,X-Client-Cert,X-Forwarded-Client-Cert" doc:"Instead: the header in which a proxy of proxy.trusted passes the certificate (Client-Cert of RFC 9440, X-Client-Cert with URL-encoded PEM as nginx writes it, X-Forwarded-Client-Cert as Envoy does)."`
	CAFile string `key:"ca_file" path:"y" doc:"Authorities whose certificates tls_client_auth accepts, PEM. Self-signed ones need none."`
}

// Device holds the terms of the device grant.
type Device struct {
	Lifetime time.Duration `key:"lifetime" default:"10m" min:"1m" max:"1h" doc:"How long a person has to enter the code."`
	Interval time.Duration `key:"interval" default:"5s" min:"1s" max:"1m" doc:"How often a device may ask."`
}

// CIBA holds the terms of backchannel authentication.
type CIBA struct {
	Lifetime    time.Duration `key:"lifetime" default:"5m" min:"1m" max:"24h" doc:"How long a person has to decide, where the application asks for no other time."`
	MaxLifetime time.Duration `key:"max_lifetime" default:"1h" min:"1m" max:"24h" doc:"The longest time that an application may ask for."`
	Interval    time.Duration `key:"interval" default:"5s" min:"1s" max:"1m" doc:"How often an application may ask for the decision."`
	Prompts     int           `key:"prompts" default:"12" min:"1" max:"10000" doc:"How often one application may ask one person in an hour; all applications together three times that."`
	Misses      int           `key:"misses" default:"60" min:"1" max:"100000" doc:"How many hints of one application may name nobody in an hour; then none is looked at. Raise it with the number of people who type their name into the application."`
	Registered  bool          `key:"registered_clients" default:"false" doc:"true: applications that register themselves may have the grant type, too. Whoever can register can then ask people."`
}

// JWTIssuer is somebody whose signed statements are believed.
type JWTIssuer struct {
	Name    string          `key:"name" doc:"Short name; clients list it in jwt_bearer_issuers."`
	Issuer  string          `key:"issuer" doc:"The iss of its assertions."`
	JWKS    json.RawMessage `key:"jwks" doc:"Its public keys."`
	JWKSURI string          `key:"jwks_uri" doc:"Or where to fetch them (https)."`
	Subject string          `key:"subject" oneof:",account,email,upstream,none" doc:"What the sub of an assertion is: account (default): the id of an account here; email: a verified address; upstream: a subject of the provider of that name in upstreams; none: its assertions speak of no people (software statements)."`
}

// Audit holds the retention.
type Audit struct {
	Retention time.Duration `key:"retention" default:"365d" min:"1d" max:"36500d" doc:"Older records are deleted."`
}

// Outbound limits what this server may fetch.
type Outbound struct {
	AllowHosts []string `key:"allow_hosts" doc:"Host names that a client's addresses (jwks_uri, request_uris, backchannel_logout_uri, …) may name although they lie in a private network."`
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
	ResponseTypes     []string        `key:"response_types" doc:"Unset: code. Others need oauth.legacy_response_types and the grant type implicit."`
	AuthMethod        string          `key:"token_endpoint_auth_method" oneof:",client_secret_basic,client_secret_post,client_secret_jwt,private_key_jwt,tls_client_auth,self_signed_tls_client_auth,none" doc:"Unset: what the kind needs."`
	Scopes            []string        `key:"scopes" doc:"Scopes it may ask for."`
	Audiences         []string        `key:"audiences" doc:"APIs it may ask tokens for."`
	JWKS              json.RawMessage `key:"jwks" doc:"Its public keys, for private_key_jwt."`
	JWKSURI           string          `key:"jwks_uri" doc:"Or where to fetch them (https)."`
	FirstParty        *bool           `key:"first_party" doc:"Yours: nobody is asked for consent."`
	RequireMFA        *bool           `key:"require_mfa" doc:"true: nobody gets in with less than two factors."`
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
	Metadata          json.RawMessage `key:"metadata" doc:"Everything else that a client may have (docs/clients.md): {profile: fapi2, backchannel_logout_uri: https://app.example.com/logout}."`
}

// Migrate reports whether an old schema is brought up to date at start.
func (d Database) Migrate() bool {
	if d.AutoMigrate != nil {
		return *d.AutoMigrate
	}
	return d.URL == ""
}
