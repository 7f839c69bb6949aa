package passkey

const (
	sqlColumns = `id, credential_id, account_id, name, public_key, alg, aaguid, transports, sign_count, backup_eligible, backed_up, created_at, last_used_at`

	sqlByKey  = `SELECT ` + sqlColumns + ` FROM passkey WHERE credential_id = $1`
	sqlByUser = `SELECT ` + sqlColumns + ` FROM passkey WHERE account_id = $1 ORDER BY created_at, id`
	sqlByID   = `SELECT ` + sqlColumns + ` FROM passkey WHERE id = $1 AND account_id = $2`
	sqlCount  = `SELECT count(*) FROM passkey WHERE account_id = $1`

	sqlInsert = `INSERT INTO passkey (` + sqlColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)`

	// A counter only moves forward, unless the authenticator keeps none; eligibility for backup
	// never changes (WebAuthn Level 3 §6.1.1, §6.1.3). Of two answers with one count, one wins.
	sqlUse = `UPDATE passkey SET sign_count = $2, backed_up = $4, last_used_at = $5
		WHERE id = $1 AND backup_eligible = $3 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))`

	sqlRename = `UPDATE passkey SET name = $3 WHERE id = $1 AND account_id = $2`
	// Changes nothing, but makes everybody who would remove a passkey of this account wait.
	sqlHold   = `UPDATE passkey SET name = name WHERE account_id = $1`
	sqlDelete = `DELETE FROM passkey WHERE id = $1 AND account_id = $2`
)
