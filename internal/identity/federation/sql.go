package federation

const (
	sqlColumns = `provider, issuer, subject, account_id, label, created_at, last_login_at`

	sqlByIdentity = `SELECT ` + sqlColumns + ` FROM upstream_identity WHERE provider = $1 AND issuer = $2 AND subject = $3`
	sqlByAccount  = `SELECT ` + sqlColumns + ` FROM upstream_identity WHERE account_id = $1 ORDER BY created_at, provider, subject`

	// An identity belongs to one account. Whoever links it first has it; for the same account
	// again nothing changes.
	sqlInsert = `INSERT INTO upstream_identity (` + sqlColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (provider, issuer, subject) DO NOTHING`
	sqlTouch = `UPDATE upstream_identity SET last_login_at = $5, label = $6
		WHERE provider = $1 AND issuer = $2 AND subject = $3 AND account_id = $4`
	// Changes nothing, but makes everybody who would take a way in of this account away wait.
	sqlHold   = `UPDATE upstream_identity SET label = label WHERE account_id = $1`
	sqlDelete = `DELETE FROM upstream_identity WHERE provider = $1 AND issuer = $2 AND subject = $3 AND account_id = $4`
)
