package ratelimit

import (
	"fmt"
	"strings"
)

// tat is GCRA's theoretical arrival time: the instant at which the bucket is full again. A new
// attempt moves it by one interval and fits if it stays within now + Per. In the statement below
// excluded.tat is now + interval and excluded.expires_at is now + Per, so one text serves
// buckets of different budgets. A row that does not fit is not updated and not returned.
func sqlReserve(n int) string {
	return `INSERT INTO attempt_budget (key, tat, expires_at) VALUES ` + values(n, 2) + `
		ON CONFLICT (key) DO UPDATE SET
			tat = CASE WHEN attempt_budget.tat > $1 THEN attempt_budget.tat + excluded.tat - $1 ELSE excluded.tat END,
			expires_at = excluded.expires_at
		WHERE attempt_budget.tat <= $1 OR attempt_budget.tat + excluded.tat - $1 <= excluded.expires_at
		RETURNING key`
}

// A bucket deleted in between comes back as one that is full; cleanup takes it again.
func sqlReturn(n int) string {
	return `INSERT INTO attempt_budget (key, tat, expires_at) VALUES ` + values(n, 1) + `
		ON CONFLICT (key) DO UPDATE SET tat = attempt_budget.tat - excluded.tat`
}

const (
	sqlReadBucket    = `SELECT tat FROM attempt_budget WHERE key = $1`
	sqlDeleteExpired = `DELETE FROM attempt_budget WHERE key IN (SELECT key FROM attempt_budget WHERE expires_at < $1 LIMIT $2)`
)

// values renders n parameter triples that start at $first.
func values(n, first int) string {
	rows := make([]string, n)
	for i := range rows {
		p := first + 3*i
		rows[i] = fmt.Sprintf("($%d, $%d, $%d)", p, p+1, p+2)
	}
	return strings.Join(rows, ", ")
}
