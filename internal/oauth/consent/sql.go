package consent

const (
	sqlConsent = `SELECT scopes, resources, created_at, updated_at FROM consent WHERE account_id = $1 AND client_id = $2`

	sqlConsents = `SELECT client_id, scopes, resources, created_at, updated_at FROM consent WHERE account_id = $1 ORDER BY client_id`

	sqlSaveConsent = `INSERT INTO consent (account_id, client_id, scopes, resources, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (account_id, client_id) DO UPDATE SET
			scopes = excluded.scopes, resources = excluded.resources, updated_at = excluded.updated_at`

	sqlDeleteConsent = `DELETE FROM consent WHERE account_id = $1 AND client_id = $2`
)
