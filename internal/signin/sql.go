package signin

const (
	sqlInsertJourney = `INSERT INTO journey (id, browser_hash, client_id, request, state, version, created_at, expires_at, done_at)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $7, 0)`

	sqlSelectJourney = `SELECT browser_hash, request, state, version, created_at, expires_at, done_at FROM journey WHERE id = $1`

	// The one transition. Of any number of requests that read the same version, on any number
	// of instances, exactly one gets a row back; done_at = 0 makes the end final.
	sqlStepJourney = `UPDATE journey SET state = $3, done_at = $4, version = version + 1
		WHERE id = $1 AND version = $2 AND done_at = 0 AND expires_at > $5 RETURNING version`

	// Finished journeys stay until they would have expired, so that a reload is recognised.
	sqlDeleteExpired = `DELETE FROM journey WHERE id IN (SELECT id FROM journey WHERE expires_at <= $1 LIMIT $2)`
)
