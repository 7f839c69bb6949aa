// Package migrations embeds the schema's timeline. README.md beside this file says which
// SQL both engines share.
package migrations

import "embed"

// Files holds NNNN_what.sql, read by store.Migrations.
//
//go:embed *.sql
var Files embed.FS
