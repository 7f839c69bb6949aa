-- Clients that nobody registered, and those that registered themselves, end when nobody uses them.

-- A client that goes takes with it what hangs on it, found by an index however much there is.
CREATE INDEX consent_client ON consent (client_id);
CREATE INDEX oauth_grant_client ON oauth_grant (client_id);
CREATE INDEX device_request_client ON device_request (client_id);
CREATE INDEX session_client_client ON session_client (client_id);
CREATE INDEX outbox_logout ON outbox (recipient) WHERE kind = 'logout' AND state = 'pending';

-- A first use within an hour of the registration was not noted before.
UPDATE client_registration SET used_at = created_at + 1 WHERE expires_at > 0 AND used_at = created_at
	AND client_id IN (SELECT client_id FROM consent);
CREATE INDEX client_registration_source ON client_registration (source) WHERE expires_at > 0;

-- What oauth/client may know of what others keep: whether anything of a client still lives.
CREATE VIEW standing_grant AS SELECT client_id, expires_at FROM oauth_grant WHERE revoked_at = 0;
CREATE VIEW awaited_notice AS SELECT client_id FROM session_client;
CREATE VIEW pending_notice AS SELECT recipient AS client_id FROM outbox WHERE kind = 'logout' AND state = 'pending';

-- Last, so that nobody who looks a client up waits for the indexes of the large tables above.
ALTER TABLE client ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0; -- of a document: last time that somebody came in through it, moved at most once an hour; 0 = not known
CREATE INDEX client_document_unused ON client (used_at) WHERE managed_by = 'document';
