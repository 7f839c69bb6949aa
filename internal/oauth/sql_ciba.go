package oauth

// The statements of requests that wait for one person (CIBA).
const (
	// sqlInsertCIBA writes a request while its person is active, and while few of the same application
	// wait for them ($9): no row returned means that it is one of the two.
	sqlInsertCIBA = `INSERT INTO ciba_request (id, code_hash, client_id, account_id, request, ping, status, grant_id,
			poll_interval, polled_at, created_at, expires_at, decided_at)
		SELECT $1, $2, $3, u.id, $5, $6, 'pending', '', CAST($7 AS BIGINT), 0, CAST($8 AS BIGINT), CAST($10 AS BIGINT), 0
		FROM active_subject u
		WHERE u.id = $4 AND (SELECT COUNT(*) FROM ciba_request r
			WHERE r.account_id = $4 AND r.client_id = $3 AND r.status = 'pending' AND r.expires_at > CAST($8 AS BIGINT)) < CAST($9 AS BIGINT)
		RETURNING id`

	cibaColumns = `id, client_id, account_id, request, ping, created_at, expires_at`
	sqlAsked    = `SELECT ` + cibaColumns + ` FROM ciba_request
		WHERE account_id = $1 AND status = 'pending' AND expires_at > $2 ORDER BY created_at, id LIMIT 100`
	sqlAskedOne = `SELECT ` + cibaColumns + ` FROM ciba_request
		WHERE account_id = $1 AND status = 'pending' AND expires_at > $2 AND id = $3`
	sqlAskedCount = `SELECT COUNT(*) FROM ciba_request WHERE account_id = $1 AND status = 'pending' AND expires_at > $2`

	// sqlDecideCIBA is the one transition: the first answer gets a row back, every other none. How the
	// application is told is in the outbox with it.
	sqlDecideCIBA = `UPDATE ciba_request SET status = $2, grant_id = $4, decided_at = $5, ping = ''
		WHERE id = $1 AND account_id = $3 AND status = 'pending' AND expires_at > $5 RETURNING code_hash`

	// sqlPolledCIBA: whoever cannot sign in any more will not decide.
	sqlPolledCIBA = `SELECT client_id,
			CASE WHEN status = 'pending' AND NOT EXISTS (SELECT u.id FROM active_subject u WHERE u.id = account_id) THEN 'denied' ELSE status END,
			expires_at
		FROM ciba_request WHERE code_hash = $1`
	sqlPollCIBA = `UPDATE ciba_request ` + inTime
	sqlSlowCIBA = `UPDATE ciba_request ` + tooOften

	sqlSweepCIBA = `DELETE FROM ciba_request WHERE id IN (SELECT id FROM ciba_request WHERE ` + longOver + `)`
)
