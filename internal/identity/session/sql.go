package session

const (
	sqlColumns = `id, account_id, events, user_agent, source_ip, created_at, last_seen_at, expires_at`

	sqlInsert = `INSERT INTO session (id, token_hash, account_id, events, user_agent, source_ip, created_at, last_seen_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	sqlByToken = `SELECT ` + sqlColumns + ` FROM session WHERE token_hash = $1`
	sqlByID    = `SELECT ` + sqlColumns + `, token_hash FROM session WHERE id = $1`

	sqlTouch = `UPDATE session SET last_seen_at = $3 WHERE id = $1 AND token_hash = $2 AND last_seen_at <= $4`

	// Compare-and-set on the old token: of two rotations at once the second reads again, so
	// that neither event is lost.
	sqlRotate = `UPDATE session SET token_hash = $3, events = $4, last_seen_at = $5 WHERE id = $1 AND token_hash = $2`

	sqlDelete    = `DELETE FROM session WHERE id = $1 RETURNING account_id`
	sqlDeleteAll = `DELETE FROM session WHERE account_id = $1 AND id <> $2 RETURNING id`

	sqlDeleteOverCap = `DELETE FROM session WHERE id IN (
		SELECT id FROM session WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $2) RETURNING id`

	sqlList = `SELECT ` + sqlColumns + ` FROM session
		WHERE account_id = $1 AND expires_at > $2 AND last_seen_at > $3
		ORDER BY last_seen_at DESC, id DESC LIMIT $4`

	sqlActive = `SELECT 1 FROM session WHERE id = $1 AND expires_at > $2 AND last_seen_at > $3`

	sqlDeleteExpired = `DELETE FROM session WHERE id IN (SELECT id FROM session WHERE last_seen_at <= $1 LIMIT $2)`
)
