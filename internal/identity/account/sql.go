package account

const (
	sqlColumns = `a.id, a.status, COALESCE(a.username, ''), a.profile, a.created_at, a.updated_at, COALESCE(e.address, ''), COALESCE(e.verified_at, 0),
		a.delete_at, a.terms_version, a.terms_at, a.proofs_since, a.source`

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

	sqlInsertAccount = `INSERT INTO account (id, status, username, username_key, profile, source, created_at, updated_at, terms_version, terms_at) VALUES `
	sqlInsertEmail   = `INSERT INTO email_address (address_key, account_id, address, is_primary, verified_at, created_at) VALUES `
	sqlInsertHash    = `INSERT INTO password_credential (account_id, hash, changed_at) VALUES `

	sqlEndProofs = `UPDATE account SET proofs_since = $2 WHERE id = $1`
	// Changes nothing, but waits for whoever ends them, and makes them wait.
	sqlHoldProof = `UPDATE account SET proofs_since = proofs_since WHERE id = $1 AND proofs_since <= $2 AND status = 'active'`

	sqlSetProfile  = `UPDATE account SET profile = $2, updated_at = $3 WHERE id = $1`
	sqlSetUsername = `UPDATE account SET username = $2, username_key = $3, updated_at = $4 WHERE id = $1`
	sqlSetStatus   = `UPDATE account SET status = $2, updated_at = $3 WHERE id = $1 AND status <> $2`
	sqlAcceptTerms = `UPDATE account SET terms_version = $2, terms_at = $3 WHERE id = $1`
	sqlDelete      = `DELETE FROM account WHERE id = $1`

	sqlSetHash = `INSERT INTO password_credential (account_id, hash, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`
	// Compare-and-set on the hash that was verified: whoever changed the password meanwhile wins.
	sqlChangeHash = `UPDATE password_credential SET hash = $2, changed_at = $3 WHERE account_id = $1 AND hash = $4`
	// Changes nothing, but waits for whoever is changing it, and makes them wait.
	sqlHoldHash    = `UPDATE password_credential SET hash = hash WHERE account_id = $1 AND hash = $2`
	sqlUpgradeHash = `UPDATE password_credential SET hash = $2 WHERE account_id = $1 AND hash = $3`

	// Who has an address, with the spelling that mail goes to.
	sqlOwner = `SELECT k.address, a.id, a.profile FROM email_address k JOIN account a ON a.id = k.account_id WHERE k.address_key = $1`

	sqlVerifiedOwner = `SELECT account_id FROM email_address WHERE address_key = $1 AND verified_at > 0 AND replaced_at = 0`

	sqlUsernameOwner = `SELECT id FROM account WHERE username_key = $1`

	// An address that was replaced signs nobody in: see sqlReplaceEmail.
	sqlAddresses = `SELECT address, address_key, is_primary, verified_at, created_at, replaced_at FROM email_address
		WHERE account_id = $1 ORDER BY is_primary DESC, created_at DESC, address_key`
	sqlContact = `SELECT e.address, a.profile FROM account a
		LEFT JOIN email_address e ON e.account_id = a.id AND e.verified_at > 0 AND e.replaced_at = 0
		WHERE a.id = $1 ORDER BY e.is_primary DESC, e.created_at`
	sqlTouch      = `UPDATE account SET updated_at = $2 WHERE id = $1`
	sqlProveEmail = `UPDATE email_address SET verified_at = CASE WHEN verified_at = 0 THEN $3 ELSE verified_at END
		WHERE address_key = $1 AND account_id = $2 AND replaced_at = 0`
	sqlAddressesSince = `SELECT count(*) FROM email_address WHERE account_id = $1 AND created_at > $2`

	// A change of address: the old one is kept from others if it was verified, so that its owner can
	// take the change back; the new one takes its place.
	sqlFreeEmail     = `DELETE FROM email_address WHERE address_key = $1 AND replaced_at > 0 AND (account_id = $2 OR replaced_at <= $3)`
	sqlReplaceEmail  = `UPDATE email_address SET is_primary = FALSE, replaced_at = $2 WHERE account_id = $1 AND is_primary = TRUE AND verified_at > 0`
	sqlDropPrimary   = `DELETE FROM email_address WHERE account_id = $1 AND is_primary = TRUE`
	sqlReplacedAt    = `SELECT replaced_at FROM email_address WHERE address_key = $1 AND account_id = $2 AND replaced_at > $3`
	sqlUndoNewer     = `DELETE FROM email_address WHERE account_id = $1 AND created_at >= $2 AND address_key <> $3`
	sqlUndoRestore   = `UPDATE email_address SET is_primary = TRUE, replaced_at = 0, created_at = $4 WHERE address_key = $1 AND account_id = $2 AND replaced_at = $3`
	sqlDropReplaced  = `DELETE FROM email_address WHERE address_key IN (SELECT address_key FROM email_address WHERE replaced_at > 0 AND replaced_at <= $1 LIMIT $2)`
	sqlRequestDelete = `UPDATE account SET delete_at = $2, updated_at = $3 WHERE id = $1 AND delete_at = 0`
	sqlKeep          = `UPDATE account SET delete_at = 0, updated_at = $2 WHERE id = $1 AND delete_at > 0`
	sqlDue           = `SELECT id FROM account WHERE delete_at > 0 AND delete_at <= $1 ORDER BY delete_at LIMIT $2`
	sqlDeleteDue     = `DELETE FROM account WHERE id = $1 AND delete_at > 0 AND delete_at <= $2`
	sqlPasswordAt    = `SELECT changed_at FROM password_credential WHERE account_id = $1`

	// Only if the password is older than the proof that stands for it.
	sqlResetHash = `INSERT INTO password_credential (account_id, hash, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at
		WHERE password_credential.changed_at <= $4`

	sqlTakenEmails    = `SELECT address_key, account_id FROM email_address WHERE address_key IN `
	sqlTakenUsernames = `SELECT username_key, id FROM account WHERE username_key IN `
)
