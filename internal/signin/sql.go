package signin

const (
	// Counted and written in one statement, and only as far as the limit. Requests at the very same
	// moment may exceed it by their number; it bounds the table, nothing depends on it exactly.
	sqlInsertJourney = `INSERT INTO journey (id, browser_hash, client_id, source, request, state, version, created_at, expires_at, done_at)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), '{}', 1, CAST($6 AS BIGINT), CAST($7 AS BIGINT), 0
		WHERE (SELECT count(*) FROM (SELECT 1 FROM journey WHERE source = $4 AND done_at = 0 AND expires_at > $6 LIMIT $8) AS open_ones) < $8
		RETURNING version`

	sqlSelectJourney = `SELECT browser_hash, request, state, version, created_at, expires_at, done_at FROM journey WHERE id = $1`

	// The one transition. Of any number of requests that read the same version, on any number
	// of instances, exactly one gets a row back; done_at = 0 makes the end final.
	sqlStepJourney = `UPDATE journey SET state = $3, done_at = $4, version = version + 1
		WHERE id = $1 AND version = $2 AND done_at = 0 AND expires_at > $5 RETURNING version`

	// Finished journeys stay until they would have expired, so that a reload is recognised.
	sqlDeleteExpired = `DELETE FROM journey WHERE id IN (SELECT id FROM journey WHERE expires_at <= $1 LIMIT $2)`
)
