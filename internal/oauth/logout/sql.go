package logout

const (
	// The first sign-in of a session to an application says it all.
	sqlJoin = `INSERT INTO session_client (session_id, client_id, account_id, sub, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (session_id, client_id) DO NOTHING`

	sqlColumns    = `session_id, client_id, account_id, sub`
	sqlEndSession = `DELETE FROM session_client WHERE session_id = $1 RETURNING ` + sqlColumns
	sqlEndUser    = `DELETE FROM session_client WHERE account_id = $1 AND session_id <> $2 RETURNING ` + sqlColumns
	sqlEndClient  = `DELETE FROM session_client WHERE account_id = $1 AND client_id = $2 RETURNING ` + sqlColumns

	sqlSweep = `DELETE FROM session_client WHERE (session_id, client_id) IN (
		SELECT session_id, client_id FROM session_client WHERE created_at < $1 LIMIT $2)`
)
