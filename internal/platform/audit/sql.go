package audit

const (
	sqlInsertEvent = `INSERT INTO audit_event (id, at, action, result, actor, target, client_id, source_ip, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	sqlListEvents = `SELECT id, at, action, result, actor, target, client_id, source_ip, request_id, detail
		FROM audit_event
		WHERE ($1 = '' OR target = $1) AND ($2 = '' OR action = $2) AND at >= $3
		ORDER BY at DESC, id DESC LIMIT $4`

	sqlDeleteBefore = `DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event WHERE at < $1 ORDER BY at LIMIT $2)`
)
