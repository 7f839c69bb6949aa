package oauth

// The statements of grants without a browser session, and what those share that are polled for: by a
// device, and by an application that asked somebody.
const (
	// inTime takes note of a poll that comes late enough; tooOften of one that does not, and makes the
	// interval longer, up to five minutes (RFC 8628 §3.5). Half a second is forgiven: who polls counts
	// from the answer, we from the request.
	inTime = `SET polled_at = $2
		WHERE code_hash = $1 AND status = 'pending' AND polled_at + poll_interval * 1000000 - 500000 <= $2 RETURNING id`
	tooOften = `SET polled_at = $2, poll_interval = CASE WHEN poll_interval < 295 THEN poll_interval + 5 ELSE 300 END
		WHERE code_hash = $1 AND status = 'pending' RETURNING id`

	// sqlPolledGrant finds the grant that a code stands for, and whether it was redeemed.
	sqlPolledGrant = `SELECT ` + grantColumns + `, COALESCE(n.token_hash, '')
		FROM oauth_grant g` + grantJoins + `
		LEFT JOIN refresh_token n ON n.predecessor_hash = g.code_hash
		WHERE g.code_hash = $1`

	// sqlInsertApproved writes the grant of a device, or of an application that asked: approved in a live
	// session ($4) of an active user, but no part of that session.
	sqlInsertApproved = `INSERT INTO oauth_grant (` + looseColumns + `)
		SELECT $1, $2, u.id, '', ` + looseValues + `
		FROM active_subject u JOIN live_session s ON s.account_id = u.id
		WHERE u.id = $3 AND s.id = $4 AND s.expires_at > CAST($13 AS BIGINT)
			AND ` + looseConsent + `
		RETURNING id`

	// sqlInsertAsserted writes the grant of an assertion. The code hash stands for issuer and jti, so
	// that each assertion makes one grant at most. $4 is '': no session is behind it.
	sqlInsertAsserted = `INSERT INTO oauth_grant (` + looseColumns + `)
		SELECT $1, $2, u.id, $4, ` + looseValues + `
		FROM active_subject u
		WHERE u.id = $3 AND ` + looseConsent + `
		ON CONFLICT (code_hash) DO NOTHING
		RETURNING id`

	looseColumns = `id, client_id, account_id, session_id, scopes, resources, auth_time, acr, amr, nonce,
			code_hash, code_challenge, code_expires_at, redirect_uri, created_at, expires_at, revoked_at, params`
	looseValues = `$5, $6, CAST($7 AS BIGINT), $8, $9, '',
			$10, $11, CAST($12 AS BIGINT), '', CAST($13 AS BIGINT), CAST($14 AS BIGINT), 0, $16`
	looseConsent = `(CAST($15 AS BIGINT) = 0 OR EXISTS (
				SELECT 1 FROM given_consent c WHERE c.account_id = $3 AND c.client_id = $2 AND c.updated_at = CAST($15 AS BIGINT)))`

	// longOver: what has expired is still known for ten minutes, so that who polls hears expired_token.
	longOver = `expires_at < CAST($1 AS BIGINT) - 600000000 LIMIT $2`
)
