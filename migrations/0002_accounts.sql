-- Accounts that people trust: proofs by mail, second factors, passkeys, known browsers, upstream
-- identities, and the outbox.

-- identity/account
ALTER TABLE account ADD COLUMN delete_at BIGINT NOT NULL DEFAULT 0;    -- asked for by its owner; 0 = stays
ALTER TABLE account ADD COLUMN terms_version TEXT NOT NULL DEFAULT ''; -- last accepted
ALTER TABLE account ADD COLUMN terms_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN proofs_since BIGINT NOT NULL DEFAULT 0; -- first factors proven before are worth nothing
ALTER TABLE account ADD COLUMN choices TEXT NOT NULL DEFAULT '{}';     -- JSON: small choices of the person, such as offers declined
-- A replaced address signs nobody in and gets no mail; it is kept from others until it is too late
-- to take the change back.
ALTER TABLE email_address ADD COLUMN replaced_at BIGINT NOT NULL DEFAULT 0; -- 0 = in use
CREATE INDEX email_address_replaced ON email_address (replaced_at) WHERE replaced_at > 0;
CREATE INDEX account_deletion ON account (delete_at) WHERE delete_at > 0;
DROP VIEW active_subject;
CREATE VIEW active_subject AS SELECT id FROM account WHERE status = 'active' AND delete_at = 0;

-- platform/onetime
CREATE TABLE one_time (
	id TEXT PRIMARY KEY,
	purpose TEXT NOT NULL,
	token_hash TEXT UNIQUE,   -- NULL: found by id only
	code_mac TEXT NOT NULL,   -- '' without a code; keyed by the id
	binding TEXT NOT NULL,    -- the journey, session or browser it belongs to; '' for any
	subject TEXT NOT NULL,    -- what it is about: an account id, an address
	payload BYTEA NOT NULL,   -- sealed JSON
	tries BIGINT NOT NULL,    -- of the code
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL   -- used or voided; kept until expiry, so that a replay is recognised
);
CREATE INDEX one_time_subject ON one_time (subject, purpose);
CREATE INDEX one_time_expiry ON one_time (expires_at);

-- platform/outbox
CREATE TABLE outbox (
	id TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	subject TEXT NOT NULL,      -- the account it is about, or ''
	recipient TEXT NOT NULL,
	payload BYTEA NOT NULL,     -- sealed; emptied once there is no more use for it
	state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'dead')),
	attempts BIGINT NOT NULL,
	claimed BOOLEAN NOT NULL,   -- an attempt is under way, or its instance died in it
	due_at BIGINT NOT NULL,     -- when the next attempt may begin; claimed: when that claim ends
	last_error TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL, -- worthless afterwards
	done_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, due_at);

-- identity/mfa
CREATE TABLE totp_credential (
	account_id TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
	seed_sealed BYTEA NOT NULL,
	last_step BIGINT NOT NULL,  -- of the last code that was accepted; only moves forward
	failures BIGINT NOT NULL,   -- in a row, over all time
	created_at BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL
);
CREATE TABLE recovery_code (
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	slot BIGINT NOT NULL, -- place in the set: a new set takes the places of the old one
	code_hash TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	PRIMARY KEY (account_id, slot)
);

-- identity/passkey
CREATE TABLE passkey (
	id TEXT PRIMARY KEY,
	credential_id TEXT NOT NULL UNIQUE, -- base64url
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	public_key BYTEA NOT NULL,          -- COSE
	alg BIGINT NOT NULL,
	aaguid TEXT NOT NULL,
	transports TEXT NOT NULL,           -- JSON list
	sign_count BIGINT NOT NULL,
	backup_eligible BOOLEAN NOT NULL,   -- never changes (WebAuthn Level 3 §6.1.3)
	backed_up BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL
);
CREATE INDEX passkey_account ON passkey (account_id);

-- identity/device
CREATE TABLE known_browser ( -- a browser in which an account has signed in
	id TEXT PRIMARY KEY,
	token_hash TEXT NOT NULL,      -- of the browser's cookie, shared by the accounts used in it
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	user_agent TEXT NOT NULL,
	source_ip TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	trusted_until BIGINT NOT NULL, -- the second factor is not asked before; 0 = always asked
	UNIQUE (token_hash, account_id)
);
CREATE INDEX known_browser_account ON known_browser (account_id);
CREATE INDEX known_browser_expiry ON known_browser (expires_at);

-- identity/federation
CREATE TABLE upstream_identity (
	provider TEXT NOT NULL, -- name in the configuration
	issuer TEXT NOT NULL,
	subject TEXT NOT NULL,
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	label TEXT NOT NULL,    -- as the provider shows the person: an address or a name
	created_at BIGINT NOT NULL,
	last_login_at BIGINT NOT NULL,
	PRIMARY KEY (provider, issuer, subject)
);
CREATE INDEX upstream_identity_account ON upstream_identity (account_id);

-- platform/audit
ALTER TABLE audit_event ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
