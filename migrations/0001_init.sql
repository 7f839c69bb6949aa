-- Times are BIGINT microseconds UTC written by the application's clock (0 = never/not yet
-- where a column is NOT NULL). *_hash columns hold base64url SHA-256 of a 256-bit token.
-- JSON columns are opaque to SQL. Each table is written by exactly one package.

-- store
CREATE TABLE change_counter (topic TEXT PRIMARY KEY, value BIGINT NOT NULL);

-- identity/account
CREATE TABLE account (
	id TEXT PRIMARY KEY,
	status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
	username TEXT,            -- as typed
	username_key TEXT UNIQUE, -- comparison form
	profile TEXT NOT NULL,    -- JSON: the standard OIDC profile, phone and address claims
	source TEXT NOT NULL,     -- signup | cli | import:<name>
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE TABLE email_address (
	address_key TEXT PRIMARY KEY, -- canonical form
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	address TEXT NOT NULL,        -- as typed
	is_primary BOOLEAN NOT NULL,
	verified_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX email_address_account ON email_address (account_id);
CREATE TABLE password_credential (
	account_id TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
	hash TEXT NOT NULL, -- PHC string, or an imported notation until the first login
	changed_at BIGINT NOT NULL
);

-- identity/session (an ended session has no row)
CREATE TABLE session (
	id TEXT PRIMARY KEY,
	token_hash TEXT NOT NULL UNIQUE,
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	events TEXT NOT NULL,         -- JSON list of authentication events: method, time
	user_agent TEXT NOT NULL,
	source_ip TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL, -- idle expiry counts from here; moved at most once a minute
	expires_at BIGINT NOT NULL    -- absolute, never moves
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_idle ON session (last_seen_at);

-- signin
CREATE TABLE journey (
	id TEXT PRIMARY KEY,
	browser_hash TEXT NOT NULL,
	client_id TEXT NOT NULL, -- '' for our own account page
	source TEXT NOT NULL,    -- network of the visitor, for a limit of open journeys each
	request TEXT NOT NULL,   -- JSON: the frozen authorization request
	state TEXT NOT NULL,     -- JSON: what this journey has settled so far
	version BIGINT NOT NULL, -- compare-and-set on every transition
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	done_at BIGINT NOT NULL
);
CREATE INDEX journey_expiry ON journey (expires_at);
CREATE INDEX journey_open ON journey (source, done_at);

-- oauth/client
CREATE TABLE client (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('web', 'spa', 'native', 'machine')),
	status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
	managed_by TEXT NOT NULL, -- admin | file
	metadata TEXT NOT NULL,   -- JSON: redirect URIs, methods, scopes, lifetimes, …
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE TABLE client_secret (
	id TEXT PRIMARY KEY,
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	hash TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL -- 0 = current; set when a rotation replaces it
);
CREATE INDEX client_secret_client ON client_secret (client_id);
CREATE TABLE api (
	audience TEXT PRIMARY KEY, -- RFC 8707 resource indicator, an absolute URI
	name TEXT NOT NULL,
	scopes TEXT NOT NULL,      -- JSON: scope name to description
	managed_by TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

-- oauth/keys
CREATE TABLE signing_key (
	id TEXT PRIMARY KEY, -- kid
	alg TEXT NOT NULL,
	public_jwk TEXT NOT NULL,
	private_sealed BYTEA NOT NULL,
	created_at BIGINT NOT NULL,  -- published from here on
	activate_at BIGINT NOT NULL, -- signs from here on
	retire_at BIGINT NOT NULL,   -- 0 while no successor is planned
	remove_at BIGINT NOT NULL    -- leaves the JWKS; 0 while not retired
);

-- oauth/consent
CREATE TABLE consent (
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	scopes TEXT NOT NULL,    -- JSON list
	resources TEXT NOT NULL, -- JSON list
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (account_id, client_id)
);

-- oauth
-- What the engine may know of accounts, sessions and consents. It joins these views, never the
-- tables of their owners, so that issuing and checking a token stays one statement.
CREATE VIEW active_subject AS SELECT id FROM account WHERE status = 'active';
CREATE VIEW live_session AS SELECT id, account_id, expires_at FROM session; -- an ended session has no row
CREATE VIEW given_consent AS SELECT account_id, client_id, updated_at FROM consent;
CREATE TABLE oauth_grant ( -- one authorization of a client by a user, with its code: one row, one write
	id TEXT PRIMARY KEY,
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	session_id TEXT NOT NULL, -- kept after the session row is gone
	scopes TEXT NOT NULL,     -- JSON list
	resources TEXT NOT NULL,  -- JSON list
	auth_time BIGINT NOT NULL,
	acr TEXT NOT NULL,
	amr TEXT NOT NULL,        -- JSON list
	nonce TEXT NOT NULL,
	code_hash TEXT NOT NULL UNIQUE,
	code_challenge TEXT NOT NULL, -- '' where a confidential client may leave it out
	code_expires_at BIGINT NOT NULL,
	redirect_uri TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL, -- absolute, never moves; nothing issued under it lives longer
	revoked_at BIGINT NOT NULL
);
CREATE INDEX oauth_grant_account ON oauth_grant (account_id, client_id);
CREATE INDEX oauth_grant_session ON oauth_grant (session_id);
CREATE INDEX oauth_grant_expiry ON oauth_grant (expires_at);
CREATE TABLE refresh_token ( -- the steps of a grant: code to first token, token to next token
	token_hash TEXT PRIMARY KEY, -- 'spent:…' where a code was redeemed without a refresh token
	predecessor_hash TEXT NOT NULL UNIQUE, -- the code or token that this one replaced, once
	grant_id TEXT NOT NULL REFERENCES oauth_grant (id) ON DELETE CASCADE,
	sealed TEXT NOT NULL,        -- the token, sealed, where the client has a grace window; else ''
	created_at BIGINT NOT NULL,  -- when the predecessor was used; a later use of it is a replay
	expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_token_grant ON refresh_token (grant_id);
CREATE INDEX refresh_token_expiry ON refresh_token (expires_at);
CREATE TABLE access_token ( -- opaque access tokens only; JWTs have no row
	token_hash TEXT PRIMARY KEY,
	grant_id TEXT REFERENCES oauth_grant (id) ON DELETE CASCADE, -- NULL for machine clients
	client_id TEXT NOT NULL,
	scopes TEXT NOT NULL,   -- JSON list
	audience TEXT NOT NULL, -- JSON list
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	revoked_at BIGINT NOT NULL
);
CREATE INDEX access_token_grant ON access_token (grant_id);
CREATE INDEX access_token_expiry ON access_token (expires_at);
CREATE TABLE token_denylist ( -- single JWT access tokens revoked before their time, by jti
	jti TEXT PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX token_denylist_expiry ON token_denylist (expires_at);
CREATE TABLE client_assertion ( -- RFC 7523 §3: one use per (client, jti)
	client_id TEXT NOT NULL,
	jti_hash TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (client_id, jti_hash)
);
CREATE INDEX client_assertion_expiry ON client_assertion (expires_at);

-- platform/ratelimit
CREATE TABLE attempt_budget (
	key TEXT PRIMARY KEY,     -- keyed hash of kind and account or source
	tat BIGINT NOT NULL,      -- GCRA theoretical arrival time
	expires_at BIGINT NOT NULL
);
CREATE INDEX attempt_budget_expiry ON attempt_budget (expires_at);

-- platform/audit
CREATE TABLE audit_event (
	id TEXT PRIMARY KEY,
	at BIGINT NOT NULL,
	action TEXT NOT NULL,
	result TEXT NOT NULL,
	actor TEXT NOT NULL,
	target TEXT NOT NULL,
	client_id TEXT NOT NULL,
	source_ip TEXT NOT NULL,
	request_id TEXT NOT NULL,
	detail TEXT NOT NULL
);
CREATE INDEX audit_event_at ON audit_event (at);
CREATE INDEX audit_event_target ON audit_event (target, at);

-- app: background jobs shared by instances without a leader
CREATE TABLE job (
	name TEXT PRIMARY KEY,
	next_at BIGINT NOT NULL,    -- whoever moves this forward runs the job
	finished_at BIGINT NOT NULL
);
