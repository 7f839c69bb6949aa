package oauth

// The statements of devices that wait for a person (RFC 8628).
const (
	sqlInsertDevice = `INSERT INTO device_request (id, code_hash, user_code, client_id, request, account_id, status, grant_id,
			poll_interval, polled_at, created_at, expires_at, decided_at)
		VALUES ($1, $2, $3, $4, $5, '', 'pending', '', $6, 0, $7, $8, 0)
		ON CONFLICT DO NOTHING RETURNING id`

	sqlWaitingDevice = `SELECT id, client_id, request, created_at, expires_at FROM device_request
		WHERE user_code = $1 AND status = 'pending' AND expires_at > $2`

	// sqlDecideDevice is the one transition: the first answer gets a row back, every other none. The
	// user code is free again with it.
	sqlDecideDevice = `UPDATE device_request SET status = $2, account_id = $3, grant_id = $4, decided_at = $5, user_code = NULL
		WHERE id = $1 AND status = 'pending' AND expires_at > $5 RETURNING code_hash`

	sqlPolledDevice = `SELECT client_id, status, expires_at FROM device_request WHERE code_hash = $1`
	sqlPollDevice   = `UPDATE device_request ` + inTime
	sqlSlowDevice   = `UPDATE device_request ` + tooOften

	sqlSweepDevice = `DELETE FROM device_request WHERE id IN (SELECT id FROM device_request WHERE ` + longOver + `)`
)
