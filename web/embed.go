// Package web holds what people see, as files: the page templates, one style sheet,
// the scripts, and every sentence in English and Korean. It contains no code; server/pages parses
// and renders it.
package web

import "embed"

// Files has the folders templates, static, locales and mail. A language is a folder of locales, with one
// file per area of the site.
//
//go:embed templates/*.html static/*.css static/*.js static/classic/*.js locales/*/*.json mail/layout.* mail/*/*
var Files embed.FS
