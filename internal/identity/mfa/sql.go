package mfa

const (
	sqlFactors = `SELECT (SELECT count(*) FROM totp_credential WHERE account_id = $1),
		(SELECT count(*) FROM recovery_code WHERE account_id = $1 AND used_at = 0)`

	sqlAddTOTP = `INSERT INTO totp_credential (account_id, seed_sealed, last_step, failures, created_at, last_used_at)
		VALUES ($1, $2, $3, 0, $4, $4)`
	sqlReplaceTOTP = ` ON CONFLICT (account_id) DO UPDATE SET seed_sealed = excluded.seed_sealed, last_step = excluded.last_step,
			failures = 0, created_at = excluded.created_at, last_used_at = excluded.last_used_at`

	sqlTOTPInfo = `SELECT created_at, last_used_at, failures FROM totp_credential WHERE account_id = $1`

	// The failure is counted before the code is looked at, and taken back by the statement that
	// accepts one: whatever happens in between, the count stands.
	sqlTryTOTP = `UPDATE totp_credential SET failures = failures + 1 WHERE account_id = $1 AND failures < $2
		RETURNING seed_sealed, last_step`

	// Of any number of uses of a code at once, on any number of instances, exactly one moves the
	// step forward. The seed is compared so that a code of an app replaced meanwhile is nothing.
	sqlAcceptTOTP = `UPDATE totp_credential SET last_step = $3, failures = 0, last_used_at = $4
		WHERE account_id = $1 AND seed_sealed = $2 AND last_step < $3 RETURNING account_id`

	sqlForgiveTOTP = `UPDATE totp_credential SET failures = 0 WHERE account_id = $1 AND failures > 0`
	sqlDeleteTOTP  = `DELETE FROM totp_credential WHERE account_id = $1`

	// Of two new sets at once the later one replaces the earlier one whole, place by place.
	sqlPutCodes     = `INSERT INTO recovery_code (account_id, slot, code_hash, created_at, used_at) VALUES `
	sqlReplaceCodes = ` ON CONFLICT (account_id, slot) DO UPDATE SET code_hash = excluded.code_hash, created_at = excluded.created_at, used_at = 0`
	sqlUseCode      = `UPDATE recovery_code SET used_at = $3 WHERE account_id = $1 AND code_hash = $2 AND used_at = 0 RETURNING slot`
	sqlSpentCode    = `SELECT 1 FROM recovery_code WHERE account_id = $1 AND code_hash = $2`
	sqlDeleteCodes  = `DELETE FROM recovery_code WHERE account_id = $1`
	sqlCodesMadeAt  = `SELECT COALESCE(max(created_at), 0) FROM recovery_code WHERE account_id = $1`
	sqlUnusedCodes  = `SELECT count(*) FROM recovery_code WHERE account_id = $1 AND used_at = 0`
)
