// Package web holds what people see, as files: the page templates, one style sheet, one
// script, and every sentence in English and Korean. It contains no code; server/pages parses
// and renders it.
package web

import "embed"

// Files has the folders templates, static and locales.
//
//go:embed templates/*.html static/signet.css static/signet.js locales/*.json
var Files embed.FS
