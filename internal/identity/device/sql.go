package device

const (
	sqlColumns = `id, token_hash, user_agent, source_ip, created_at, last_seen_at, expires_at, trusted_until`

	sqlKnown = `SELECT ` + sqlColumns + ` FROM known_browser WHERE token_hash = $1 AND account_id = $2 AND expires_at > $3`
	sqlList  = `SELECT ` + sqlColumns + ` FROM known_browser WHERE account_id = $1 AND expires_at > $2
		ORDER BY last_seen_at DESC, id DESC`

	sqlSeen = `UPDATE known_browser SET user_agent = $3, source_ip = $4, last_seen_at = $5, expires_at = $6
		WHERE token_hash = $1 AND account_id = $2 AND expires_at > $5 RETURNING id`

	// Every account's entry of the browser moves to the new cookie.
	sqlRenew = `UPDATE known_browser SET token_hash = $2 WHERE token_hash = $1 AND expires_at > $3`

	sqlInsert = `INSERT INTO known_browser (id, token_hash, account_id, user_agent, source_ip, created_at, last_seen_at, expires_at, trusted_until)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, 0)`

	sqlDeleteOverCap = `DELETE FROM known_browser WHERE id IN (
		SELECT id FROM known_browser WHERE account_id = $1 ORDER BY last_seen_at DESC, id DESC LIMIT 1000 OFFSET $2)`

	sqlTrust = `UPDATE known_browser SET trusted_until = $4 WHERE token_hash = $1 AND account_id = $2 AND expires_at > $3 RETURNING id`

	sqlUntrustAll = `UPDATE known_browser SET trusted_until = 0 WHERE account_id = $1 AND trusted_until > 0`

	sqlDelete        = `DELETE FROM known_browser WHERE account_id = $1 AND id = $2 RETURNING id`
	sqlDeleteAll     = `DELETE FROM known_browser WHERE account_id = $1`
	sqlDeleteExpired = `DELETE FROM known_browser WHERE id IN (SELECT id FROM known_browser WHERE expires_at <= $1 LIMIT $2)`
)
