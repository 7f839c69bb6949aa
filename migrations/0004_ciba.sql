-- Applications that ask somebody who is not in front of them (OpenID Connect CIBA).

-- oauth
CREATE TABLE ciba_request ( -- a backchannel authentication request that waits for its person to decide
	id TEXT PRIMARY KEY,             -- in the address of the page; no secret
	code_hash TEXT NOT NULL UNIQUE,  -- of the auth_req_id
	client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
	account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE, -- who is asked, and nobody else
	request TEXT NOT NULL,           -- JSON: what is asked for, and from where
	ping TEXT NOT NULL,              -- sealed: how the application is told of the decision; '' in poll mode, and once decided
	status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied')),
	grant_id TEXT NOT NULL,          -- made by the approval; ''
	poll_interval BIGINT NOT NULL,   -- seconds; grows with each slow_down
	polled_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	decided_at BIGINT NOT NULL
);
CREATE INDEX ciba_request_account ON ciba_request (account_id, status);
CREATE INDEX ciba_request_client ON ciba_request (client_id);
CREATE INDEX ciba_request_expiry ON ciba_request (expires_at);
