package outbox

const (
	sqlPut = `INSERT INTO outbox (id, kind, subject, recipient, payload, state, attempts, claimed, due_at, last_error, created_at, expires_at, done_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, FALSE, $7, '', $7, $8, $9)`

	// sqlAnyDue spares the writer of SQLite: most looks find nothing.
	sqlAnyDue = `SELECT id FROM outbox WHERE state = 'pending' AND due_at <= $1 AND kind = $2 LIMIT 1`

	// sqlClaim takes due rows until $3. The outer condition repeats the inner one: whoever waited
	// for another claim looks again and finds the rows taken. What expires first goes first: a code
	// that somebody waits for before a notice.
	sqlClaim = `UPDATE outbox SET claimed = TRUE, due_at = $3, attempts = attempts + 1
		WHERE id IN (
			SELECT id FROM outbox WHERE state = 'pending' AND due_at <= $1 AND kind = $2
			ORDER BY expires_at, id LIMIT $4)
		AND state = 'pending' AND due_at <= $1
		RETURNING id, recipient, payload, attempts, created_at, expires_at, done_at`

	// sqlHold renews a claim.
	sqlHold = `UPDATE outbox SET due_at = $3 WHERE id = $1 AND state = 'pending' AND claimed AND due_at = $2 RETURNING id`

	// sqlBury ends what has expired, and what took the process with it too often.
	sqlBury = `UPDATE outbox SET state = 'dead', claimed = FALSE, done_at = $1,
			payload = CASE WHEN expires_at <= $1 THEN $4 ELSE payload END,
			last_error = CASE WHEN expires_at <= $1 THEN 'expired' ELSE 'gave up' END
				|| CASE WHEN last_error = '' THEN '' ELSE ': ' || last_error END
		WHERE state = 'pending' AND due_at <= $1 AND kind = $2 AND (expires_at <= $1 OR attempts >= $3)
		RETURNING id`

	// A delivery that succeeded is done even if its claim has ended meanwhile.
	sqlDone = `UPDATE outbox SET state = 'done', claimed = FALSE, done_at = $2, last_error = '', payload = $3
		WHERE id = $1 AND state <> 'done'`
	sqlDoneKept = `UPDATE outbox SET state = 'done', claimed = FALSE, done_at = $2, last_error = ''
		WHERE id = $1 AND state <> 'done'`

	// One that failed says so only while its claim ($2) is the row's. Until the end, done_at is when the
	// recipient last answered.
	sqlLater = `UPDATE outbox SET claimed = FALSE, due_at = $3, last_error = $4, done_at = $5
		WHERE id = $1 AND state = 'pending' AND claimed AND due_at = $2`
	sqlDead = `UPDATE outbox SET state = 'dead', claimed = FALSE, done_at = $3, last_error = $4
		WHERE id = $1 AND state = 'pending' AND claimed AND due_at = $2`

	sqlList = `SELECT id, kind, subject, recipient, state, attempts, claimed, due_at, last_error, created_at, expires_at, done_at
		FROM outbox WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR state = $2) AND recipient <> '' AND ($3 = '' OR recipient = $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`
	sqlByID = `SELECT id, kind, subject, recipient, state, attempts, claimed, due_at, last_error, created_at, expires_at, done_at
		FROM outbox WHERE id = $1`
	sqlKept = `SELECT id, recipient, payload, attempts, created_at, expires_at, done_at
		FROM outbox WHERE kind = $1 AND state = 'done' AND recipient <> '' AND payload <> $2
		ORDER BY created_at DESC, id DESC LIMIT $3`

	sqlTallies = `SELECT recipient, COUNT(CASE WHEN state = 'pending' THEN 1 END), COUNT(CASE WHEN state = 'dead' THEN 1 END),
			COUNT(CASE WHEN state = 'done' THEN 1 END), COALESCE(MIN(CASE WHEN state = 'pending' THEN created_at END), 0),
			COALESCE(MAX(CASE WHEN state = 'done' THEN done_at END), 0)
		FROM outbox WHERE kind = $1 AND recipient <> '' GROUP BY recipient ORDER BY recipient`

	// A claim that has not ended is somebody's: its message must not go out twice.
	sqlRetry = `UPDATE outbox SET state = 'pending', claimed = FALSE, due_at = $2, attempts = 0,
			done_at = CASE WHEN state = 'dead' THEN $2 ELSE done_at END
		WHERE id = $1 AND state <> 'done' AND expires_at > $2 AND (NOT claimed OR due_at <= $2)
		RETURNING kind`
	sqlDrop = `DELETE FROM outbox WHERE id = $1 AND state <> 'done' AND (NOT claimed OR due_at <= $2) RETURNING kind`

	sqlDepth = `SELECT COUNT(CASE WHEN state = 'pending' THEN 1 END), COUNT(CASE WHEN state = 'dead' THEN 1 END),
			COALESCE(MIN(CASE WHEN state = 'pending' THEN created_at END), 0)
		FROM outbox WHERE state IN ('pending', 'dead')`

	sqlEmpty      = `UPDATE outbox SET payload = $2 WHERE state = 'dead' AND expires_at <= $1 AND payload <> $2`
	sqlDeleteDone = `DELETE FROM outbox WHERE id IN (
		SELECT id FROM outbox WHERE state IN ('done', 'dead') AND done_at < $1 LIMIT $2)`
)
