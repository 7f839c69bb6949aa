package server

import (
	"net/http"
	"time"
)

// document returns the document that r asks for, if the request is as plain as requests for
// documents are: then the path is one of the table's to the letter, and none of the door's
// checks could refuse it. Anything unusual returns nil and goes the whole way.
func (s *Server) document(r *http.Request) *Route {
	d := s.documents[r.URL.Path]
	if d == nil || r.Method != http.MethodGet || r.URL.RawPath != "" || len(r.RequestURI) > MaxURLBytes ||
		r.Host != s.origin.Host || r.ContentLength != 0 || s.draining.Load() {
		return nil
	}
	if s.secure() && len(s.deps.Trusted) > 0 {
		if _, plain := clientOf(r.RemoteAddr, r.Header, s.deps.Forwarded, s.deps.Trusted); plain {
			return nil
		}
	}
	return d
}

// serveDocument answers. Relying parties and gateways fetch discovery and keys more often than
// they ask anything else, and all get the same bytes: who did is worth a count, not a line of
// the log, and there is nothing to wait for that would need a deadline. The headers are those
// that mean something to JSON that any origin may read.
func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request, d *Route, began time.Time) {
	x := &exchange{ResponseWriter: w, info: info{route: d.Path, area: d.Area}}
	h := w.Header()
	for _, line := range s.onDocuments {
		h[line.key] = line.value
	}
	err := d.Handler(x, r)
	took := time.Since(began)
	if err != nil && x.status == 0 { // else it is the client that has gone
		s.fail(x, r, err)
		s.log(x, r, took)
	}
	if s.deps.Metrics != nil {
		s.deps.Metrics.ObserveHTTP(http.MethodGet, d.Path, x.status, took)
	}
}

// documentHeaders are those of every answer, without the ones that are about pages, credentials
// and log lines.
func documentHeaders(all []header) []header {
	var out []header
	for _, line := range all {
		switch line.key {
		case "X-Content-Type-Options", "Content-Security-Policy", "Strict-Transport-Security", "Cache-Control":
			out = append(out, line)
		}
	}
	return out
}
