package mfa

const (
	sqlFactors = `SELECT (SELECT count(*) FROM totp_credential WHERE account_id = $1),
		(SELECT count(*) FROM recovery_code WHERE account_id = $1 AND used_at = 0)`
)
