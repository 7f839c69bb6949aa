package account

const (
	sqlColumns = `a.id, a.status, COALESCE(a.username, ''), a.profile, a.created_at, a.updated_at, COALESCE(e.address, ''), COALESCE(e.verified_at, 0),
		a.delete_at, a.terms_version, a.terms_at`

	sqlPrimary = ` LEFT JOIN email_address e ON e.account_id = a.id AND e.is_primary = TRUE`
	sqlWithPw  = ` LEFT JOIN password_credential p ON p.account_id = a.id`

	sqlByID = `SELECT ` + sqlColumns + ` FROM account a` + sqlPrimary + ` WHERE a.id = $1`

	sqlLoginByID       = `SELECT ` + sqlColumns + `, COALESCE(p.hash, '') FROM account a` + sqlPrimary + sqlWithPw + ` WHERE a.id = $1`
	sqlLoginByUsername = `SELECT ` + sqlColumns + `, COALESCE(p.hash, '') FROM account a` + sqlPrimary + sqlWithPw + ` WHERE a.username_key = $1`
	sqlLoginByEmail    = `SELECT ` + sqlColumns + `, COALESCE(p.hash, '') FROM email_address k JOIN account a ON a.id = k.account_id` +
		sqlPrimary + sqlWithPw + ` WHERE k.address_key = $1 AND k.replaced_at = 0`

	sqlList   = `SELECT ` + sqlColumns + ` FROM account a` + sqlPrimary + ` WHERE a.id > $1 ORDER BY a.id LIMIT $2`
	sqlSearch = `SELECT ` + sqlColumns + ` FROM account a` + sqlPrimary + ` WHERE a.id > $1 AND (a.username_key LIKE $3 ESCAPE '\'
		OR EXISTS (SELECT 1 FROM email_address s WHERE s.account_id = a.id AND s.replaced_at = 0 AND s.address_key LIKE $3 ESCAPE '\'))
		ORDER BY a.id LIMIT $2`

	sqlInsertAccount = `INSERT INTO account (id, status, username, username_key, profile, source, created_at, updated_at) VALUES `
	sqlInsertEmail   = `INSERT INTO email_address (address_key, account_id, address, is_primary, verified_at, created_at) VALUES `
	sqlInsertHash    = `INSERT INTO password_credential (account_id, hash, changed_at) VALUES `

	sqlSetProfile  = `UPDATE account SET profile = $2, updated_at = $3 WHERE id = $1`
	sqlSetUsername = `UPDATE account SET username = $2, username_key = $3, updated_at = $4 WHERE id = $1`
	sqlSetStatus   = `UPDATE account SET status = $2, updated_at = $3 WHERE id = $1 AND status <> $2`
	sqlDelete      = `DELETE FROM account WHERE id = $1`

	sqlSetHash = `INSERT INTO password_credential (account_id, hash, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`
	// Compare-and-set on the hash that was verified: whoever changed the password meanwhile wins.
	sqlChangeHash = `UPDATE password_credential SET hash = $2, changed_at = $3 WHERE account_id = $1 AND hash = $4`
	// Changes nothing, but waits for whoever is changing it, and makes them wait.
	sqlHoldHash    = `UPDATE password_credential SET hash = hash WHERE account_id = $1 AND hash = $2`
	sqlUpgradeHash = `UPDATE password_credential SET hash = $2 WHERE account_id = $1 AND hash = $3`

	sqlTakenEmails    = `SELECT address_key, account_id FROM email_address WHERE address_key IN `
	sqlTakenUsernames = `SELECT username_key, id FROM account WHERE username_key IN `
)
