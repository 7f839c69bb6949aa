// Package server is the HTTP skin: the route table as data, the limits that stand before any
// parser, the headers of every answer, the request record and the listeners. It holds no
// rules of identity or OAuth and no SQL; internal/server/oidc and internal/server/pages bring
// the routes, internal/app puts them together. Whatever is not in the table does not exist.
package server

import "net/http"

// Area says which rules a route lives under. There is no third way in.
type Area uint8

// The areas.
const (
	// Protocol routes answer applications. They never see a cookie: the header is removed
	// before the handler runs, so they cannot be used through a person's browser session.
	Protocol Area = iota
	// Browser routes answer people. Unsafe methods must prove that the form was ours, with
	// Sec-Fetch-Site or Origin (net/http.CrossOriginProtection).
	Browser
	// Management routes answer operators, on a listener of their own.
	Management
)

// HandlerFunc is a handler that may fail. An error which it returns before writing is
// answered by the area's Fail; after writing it is only logged.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// Route is one row of the table.
type Route struct {
	// Method is one HTTP method. GET answers HEAD too.
	Method string
	// Path is a net/http pattern without method and host, such as /signin/{journey}/login.
	Path string
	Area Area
	// MaxBody limits the request body in bytes; 0 means DefaultMaxBody.
	MaxBody int64
	Handler HandlerFunc
	// CrossSite marks a Browser route that may be posted to from another site: POST
	// authorize, POST logout. Such a route must only store or repeat its input and answer
	// 303 to a GET.
	CrossSite bool
	// Document marks a Protocol GET whose answer was rendered once and is the same for
	// everybody. It has a shorter way through the door (document.go).
	Document bool
}

// Limits at the door, all applied before a parser sees a byte.
const (
	DefaultMaxBody = 64 << 10
	MaxHeaderBytes = 32 << 10
	MaxURLBytes    = 16 << 10
	MaxParams      = 64
	MaxParamName   = 128
	MaxParamValue  = 16 << 10
)
