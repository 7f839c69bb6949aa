package audit

import (
	"strconv"
	"strings"

	"signet/internal/platform/store"
)

const (
	sqlInsertEvent = `INSERT INTO audit_event (id, at, action, result, actor, target, client_id, source_ip, user_agent, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

	sqlSelectEvents = `SELECT id, at, action, result, actor, target, client_id, source_ip, user_agent, request_id, detail FROM audit_event`

	sqlDeleteBefore = `DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event WHERE at < $1 ORDER BY at LIMIT $2)`
)

// sql is the statement of f: only the conditions that are asked for, so that the planner sees
// which index serves it.
func (f Filter) sql(limit int) (string, []any) {
	var where []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	for _, c := range []struct{ column, value string }{
		{"target", f.Target}, {"actor", f.Actor}, {"action", f.Action}, {"result", f.Result}, {"client_id", string(f.Client)},
	} {
		if c.value != "" {
			where = append(where, c.column+" = "+arg(c.value))
		}
	}
	if !f.Since.IsZero() {
		where = append(where, "at >= "+arg(store.Micros(f.Since)))
	}
	if !f.Until.IsZero() {
		where = append(where, "at < "+arg(store.Micros(f.Until)))
	}
	if f.After != (Cursor{}) {
		where = append(where, "(at, id) < ("+arg(store.Micros(f.After.At))+", "+arg(f.After.ID)+")")
	}
	text := sqlSelectEvents
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	return text + " ORDER BY at DESC, id DESC LIMIT " + arg(limit), args
}
