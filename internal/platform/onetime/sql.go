package onetime

const (
	sqlColumns = `id, purpose, subject, binding, payload, tries, created_at, expires_at, used_at`

	sqlInsert = `INSERT INTO one_time (id, purpose, token_hash, code_mac, binding, subject, payload, tries, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, 0)`

	sqlByToken = `SELECT ` + sqlColumns + ` FROM one_time WHERE token_hash = $1 AND purpose = $2`
	sqlByID    = `SELECT ` + sqlColumns + ` FROM one_time WHERE id = $1 AND purpose = $2`

	// Of any number of uses at once, on any number of instances, exactly one gets a row back.
	sqlTakeToken = `UPDATE one_time SET used_at = $4 WHERE token_hash = $1 AND purpose = $2 AND (binding = '' OR binding = $3)
		AND used_at = 0 AND expires_at > $4 RETURNING ` + sqlColumns
	sqlTakeID = `UPDATE one_time SET used_at = $4 WHERE id = $1 AND purpose = $2 AND (binding = '' OR binding = $3)
		AND used_at = 0 AND expires_at > $4 RETURNING ` + sqlColumns

	// The try is counted before the code is looked at.
	sqlTry = `UPDATE one_time SET tries = tries + 1 WHERE id = $1 AND purpose = $2 AND (binding = '' OR binding = $3)
		AND code_mac <> '' AND used_at = 0 AND expires_at > $4 AND tries < $5 RETURNING code_mac`

	sqlSpend = `INSERT INTO one_time (id, purpose, token_hash, code_mac, binding, subject, payload, tries, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, '', '', '', $4, 0, $5, $6, $5) ON CONFLICT (token_hash) DO NOTHING`

	sqlVoid = `UPDATE one_time SET used_at = $3 WHERE subject = $1 AND purpose = $2 AND used_at = 0`

	sqlOpen = `SELECT ` + sqlColumns + ` FROM one_time WHERE purpose = $1 AND used_at = 0 AND expires_at > $2 AND id > $3 ORDER BY id LIMIT 500`

	sqlDeleteExpired = `DELETE FROM one_time WHERE id IN (SELECT id FROM one_time WHERE expires_at <= $1 LIMIT $2)`
)
