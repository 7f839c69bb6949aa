package ratelimit

import (
	"fmt"
	"strings"
)

// tat is GCRA's theoretical arrival time: the instant at which the bucket is full again, and so
// the one at which its row is worth nothing any more. A new attempt moves it by one interval
// (excluded.tat is now + interval) and fits if it stays within now + Per, which is a parameter of
// each row. A row that does not fit is not updated and not returned.
func sqlReserve(n int) string { return sqlTake(n) + ` RETURNING key` }

func sqlCount() string { return sqlTake(1) }

func sqlTake(n int) string {
	var rows, ends strings.Builder
	for i := range n {
		key, tat, end := 2+3*i, 3+3*i, 4+3*i // $1 is now
		fmt.Fprintf(&rows, `%s($%d, $%d, $%d)`, comma(i), key, tat, tat)
		fmt.Fprintf(&ends, ` WHEN $%d THEN CAST($%d AS BIGINT)`, key, end)
	}
	return `INSERT INTO attempt_budget (key, tat, expires_at) VALUES ` + rows.String() + `
		ON CONFLICT (key) DO UPDATE SET tat = ` + next + `, expires_at = ` + next + `
		WHERE ` + next + ` <= CASE attempt_budget.key` + ends.String() + ` END`
}

const next = `CASE WHEN attempt_budget.tat > $1 THEN attempt_budget.tat + excluded.tat - $1 ELSE excluded.tat END`

// sqlReturn takes back: of each row the key, what to take and the present. A bucket deleted in
// between comes back as one that is full; cleanup takes it again.
func sqlReturn(n int) string {
	var rows strings.Builder
	for i := range n {
		fmt.Fprintf(&rows, `%s($%d, $%d, $%d)`, comma(i), 1+3*i, 2+3*i, 3+3*i)
	}
	return `INSERT INTO attempt_budget (key, tat, expires_at) VALUES ` + rows.String() + `
		ON CONFLICT (key) DO UPDATE SET tat = attempt_budget.tat - excluded.tat,
			expires_at = CASE WHEN attempt_budget.tat - excluded.tat > excluded.expires_at
				THEN attempt_budget.tat - excluded.tat ELSE excluded.expires_at END`
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

const (
	sqlReadBucket    = `SELECT tat FROM attempt_budget WHERE key = $1`
	sqlDeleteExpired = `DELETE FROM attempt_budget WHERE key IN (SELECT key FROM attempt_budget WHERE expires_at < $1 LIMIT $2)`
)
