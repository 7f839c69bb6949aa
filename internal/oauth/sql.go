package oauth

// Every statement of the engine. Times are microseconds. $n is cast where the statement's own
// shape does not tell its type.

// grantColumns is what every check of a grant reads, in the order of grantRow.scan. The last two
// say whether the user is still active and which consent stands, so that no check needs a second
// statement.
const grantColumns = `g.id, g.client_id, g.account_id, g.session_id, g.scopes, g.resources, g.auth_time, g.acr, g.amr, g.nonce,
	g.code_challenge, g.code_expires_at, g.redirect_uri, g.created_at, g.expires_at, g.revoked_at, g.params,
	COALESCE(u.id, ''), COALESCE(c.updated_at, 0)`

const grantJoins = `
	LEFT JOIN active_subject u ON u.id = g.account_id
	LEFT JOIN given_consent c ON c.account_id = g.account_id AND c.client_id = g.client_id`

const (
	// sqlInsertGrant writes a grant with its code only while the user is active, the session is
	// live and belongs to the user, and the consent that was judged still stands ($17 = 0: none
	// is needed). No row returned means that one of them changed.
	sqlInsertGrant = `INSERT INTO oauth_grant (id, client_id, account_id, session_id, scopes, resources, auth_time, acr, amr, nonce,
			code_hash, code_challenge, code_expires_at, redirect_uri, created_at, expires_at, revoked_at, params)
		SELECT $1, $2, u.id, s.id, $5, $6, CAST($7 AS BIGINT), $8, $9, $10,
			$11, $12, CAST($13 AS BIGINT), $14, CAST($15 AS BIGINT), CAST($16 AS BIGINT), 0, $18
		FROM active_subject u JOIN live_session s ON s.account_id = u.id
		WHERE u.id = $3 AND s.id = $4 AND s.expires_at > CAST($15 AS BIGINT)
			AND (CAST($17 AS BIGINT) = 0 OR EXISTS (
				SELECT 1 FROM given_consent c WHERE c.account_id = $3 AND c.client_id = $2 AND c.updated_at = CAST($17 AS BIGINT)))
		RETURNING id`

	// sqlCode finds a grant by its code, whether the code was redeemed (then a step has it as
	// predecessor), and its session if that did not end since.
	sqlCode = `SELECT ` + grantColumns + `, COALESCE(n.token_hash, ''), COALESCE(s.id, '')
		FROM oauth_grant g` + grantJoins + `
		LEFT JOIN refresh_token n ON n.predecessor_hash = g.code_hash
		LEFT JOIN live_session s ON s.id = g.session_id
		WHERE g.code_hash = $1`

	// sqlRefresh finds a refresh token, its grant, and its successor if it was used.
	sqlRefresh = `SELECT ` + grantColumns + `, r.expires_at, COALESCE(n.token_hash, ''), COALESCE(n.sealed, ''), COALESCE(n.created_at, 0), r.confirmation
		FROM refresh_token r JOIN oauth_grant g ON g.id = r.grant_id` + grantJoins + `
		LEFT JOIN refresh_token n ON n.predecessor_hash = r.token_hash
		WHERE r.token_hash = $1`

	// sqlInsertStep spends a code or a refresh token: the successor's unique predecessor lets
	// exactly one insert return a row, of any number at once, on any number of instances. Without
	// a target the clause covers token_hash too: the marks of one code are alike in both columns.
	sqlInsertStep = `INSERT INTO refresh_token (token_hash, predecessor_hash, grant_id, sealed, created_at, expires_at, confirmation)
		SELECT $1, $2, g.id, $4, CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7
		FROM oauth_grant g WHERE g.id = $3 AND g.revoked_at = 0
		ON CONFLICT DO NOTHING
		RETURNING token_hash`

	sqlInsertAccess = `INSERT INTO access_token (token_hash, grant_id, client_id, scopes, audience, created_at, expires_at, revoked_at, params)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)`

	sqlRevokeGrant = `UPDATE oauth_grant SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0 RETURNING id`

	sqlRevokeSession = `UPDATE oauth_grant SET revoked_at = $2 WHERE session_id = $1 AND revoked_at = 0`

	sqlRevokeUser = `UPDATE oauth_grant SET revoked_at = $2 WHERE account_id = $1 AND (session_id <> $3 OR session_id = '') AND revoked_at = 0`

	sqlRevokeClient = `UPDATE oauth_grant SET revoked_at = $3 WHERE account_id = $1 AND client_id = $2 AND revoked_at = 0`

	// sqlGrantState is all that a JWT access token of a user needs checked ($2 is its jti). As
	// subqueries both look-ups run faster than as joins; introspection does little else.
	sqlGrantState = `SELECT g.client_id, g.account_id, g.session_id, g.revoked_at, g.expires_at, g.params,
			COALESCE((SELECT u.id FROM active_subject u WHERE u.id = g.account_id), ''),
			COALESCE((SELECT d.jti FROM token_denylist d WHERE d.jti = $2), '')
		FROM oauth_grant g WHERE g.id = $1`

	sqlGrantUser = `SELECT account_id FROM oauth_grant WHERE id = $1`

	sqlDenied = `SELECT jti FROM token_denylist WHERE jti = $1`

	// sqlAccess finds an opaque access token; for a machine's token the grant columns are empty.
	sqlAccess = `SELECT a.client_id, a.scopes, a.audience, a.created_at, a.expires_at, a.revoked_at, COALESCE(a.grant_id, ''),
			COALESCE(g.account_id, ''), COALESCE(g.session_id, ''), COALESCE(g.revoked_at, 0), COALESCE(g.expires_at, 0),
			COALESCE(g.auth_time, 0), COALESCE(g.acr, ''), COALESCE(g.amr, '[]'), COALESCE(u.id, ''), a.params, COALESCE(g.params, '{}'), COALESCE(g.client_id, '')
		FROM access_token a LEFT JOIN oauth_grant g ON g.id = a.grant_id LEFT JOIN active_subject u ON u.id = g.account_id
		WHERE a.token_hash = $1`

	sqlRevokeAccess = `UPDATE access_token SET revoked_at = $3 WHERE token_hash = $1 AND client_id = $2 AND revoked_at = 0`

	sqlDeny = `INSERT INTO token_denylist (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING`

	// sqlSpendAssertion admits each (client, jti) once (RFC 7523 §3): no row back means replay.
	sqlSpendAssertion = `INSERT INTO client_assertion (client_id, jti_hash, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (client_id, jti_hash) DO NOTHING RETURNING jti_hash`

	// sqlApplications lists what a user's grants allow now, newest use last.
	sqlApplications = `SELECT g.client_id, g.scopes, g.created_at, COALESCE(MAX(r.created_at), g.created_at)
		FROM oauth_grant g LEFT JOIN refresh_token r ON r.grant_id = g.id
		WHERE g.account_id = $1 AND g.revoked_at = 0 AND g.expires_at > $2
		GROUP BY g.id, g.client_id, g.scopes, g.created_at
		ORDER BY g.created_at`
)

// The sweeps, in order: what hangs on a grant before the grant, which takes the rest with it.
const (
	sqlSweepAccess = `DELETE FROM access_token WHERE token_hash IN (SELECT token_hash FROM access_token WHERE expires_at < $1 LIMIT $2)`
	// A step is the evidence that its predecessor was used: it stays while that could still be
	// presented, which is longer than its own life if lifetimes were cut meanwhile. Subqueries,
	// because they are index look-ups for sure; an anti-join may read the whole table.
	sqlSweepRefresh = `DELETE FROM refresh_token WHERE token_hash IN (SELECT token_hash FROM refresh_token s WHERE s.expires_at < $1
		AND COALESCE((SELECT p.expires_at FROM refresh_token p WHERE p.token_hash = s.predecessor_hash), 0) < $1
		AND COALESCE((SELECT g.code_expires_at FROM oauth_grant g WHERE g.code_hash = s.predecessor_hash), 0) < $1 LIMIT $2)`
	sqlSweepGrant     = `DELETE FROM oauth_grant WHERE id IN (SELECT id FROM oauth_grant WHERE expires_at < $1 LIMIT $2)`
	sqlSweepDenied    = `DELETE FROM token_denylist WHERE jti IN (SELECT jti FROM token_denylist WHERE expires_at < $1 LIMIT $2)`
	sqlSweepAssertion = `DELETE FROM client_assertion WHERE (client_id, jti_hash) IN (SELECT client_id, jti_hash FROM client_assertion WHERE expires_at < $1 LIMIT $2)`
	sqlSweepProof     = `DELETE FROM proof_mark WHERE mark IN (SELECT mark FROM proof_mark WHERE expires_at < $1 LIMIT $2)`
)
