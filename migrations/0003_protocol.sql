-- Every profile of OpenID Connect, FAPI 2.0, and the grants beyond the code.

-- oauth/client
ALTER TABLE client_secret ADD COLUMN sealed TEXT NOT NULL DEFAULT ''; -- the secret, where client_secret_jwt needs it in clear
CREATE TABLE client_registration ( -- RFC 7591, 7592: what a client that registered itself holds
	client_id TEXT PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
	token_hash TEXT NOT NULL UNIQUE, -- its registration access token
	software TEXT NOT NULL,          -- JSON: the verified software statement, or {}
	source TEXT NOT NULL,            -- network that registered it, for a limit
	created_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,         -- last time that a person came in through it; moved at most once an hour
	expires_at BIGINT NOT NULL       -- 0 = stays; a quarantined client that nobody used goes
);
CREATE INDEX client_registration_expiry ON client_registration (expires_at) WHERE expires_at > 0;
CREATE TABLE registration_token ( -- initial access tokens (RFC 7591 §1.2)
	id TEXT PRIMARY KEY,
	token_hash TEXT NOT NULL UNIQUE,
	note TEXT NOT NULL,
	uses_left BIGINT NOT NULL,       -- -1 = any number
	policy TEXT NOT NULL,            -- JSON: what its holder may register
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE TABLE client_document ( -- client ID metadata documents, and logos copied from applications
	kind TEXT NOT NULL,              -- metadata | logo
	uri TEXT NOT NULL,
	content_type TEXT NOT NULL,
	body BYTEA NOT NULL,
	etag TEXT NOT NULL,
	fetched_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	PRIMARY KEY (kind, uri)
);
CREATE INDEX client_document_used ON client_document (used_at);

-- oauth
-- params holds what only few grants have: the claims request, authorization details, the key that a
-- code is bound to, who acts. A JSON object, opaque to SQL.
ALTER TABLE oauth_grant ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
ALTER TABLE access_token ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
ALTER TABLE refresh_token ADD COLUMN confirmation TEXT NOT NULL DEFAULT ''; -- key or certificate that its holder must prove, jkt:… or x5t:…
CREATE TABLE proof_mark ( -- one use per proof or assertion key, shared by all instances (RFC 9449 §11.1)
	mark TEXT PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX proof_mark_expiry ON proof_mark (expires_at);
CREATE TABLE device_request ( -- RFC 8628: a device that waits for a person to decide
	id TEXT PRIMARY KEY,
	code_hash TEXT NOT NULL UNIQUE,  -- of the device code
	user_code TEXT UNIQUE,           -- keyed hash of its letters; NULL once decided
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	request TEXT NOT NULL,           -- JSON: what is asked for, and from where
	account_id TEXT NOT NULL,        -- who decided; '' before
	status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied')),
	grant_id TEXT NOT NULL,          -- made by the approval; ''
	poll_interval BIGINT NOT NULL,   -- seconds; grows with each slow_down
	polled_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	decided_at BIGINT NOT NULL
);
CREATE INDEX device_request_expiry ON device_request (expires_at);

-- oauth/logout: who is told when a session ends. A row is the promise to tell; the outbox keeps it.
CREATE TABLE session_client ( -- clients that a session signed somebody in to
	session_id TEXT NOT NULL,
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	account_id TEXT NOT NULL,
	sub TEXT NOT NULL,               -- as the client knows the person
	created_at BIGINT NOT NULL,
	PRIMARY KEY (session_id, client_id)
);
CREATE INDEX session_client_account ON session_client (account_id);
CREATE INDEX session_client_created ON session_client (created_at);
