package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// FailFunc answers a request whose handler returned err and wrote nothing.
type FailFunc func(w http.ResponseWriter, r *http.Request, err error)

// Observer counts requests. Route is a pattern of the table or "none", so labels are bounded.
type Observer interface {
	ObserveHTTP(method, route string, status int, d time.Duration)
}

// Deps are what a Server needs.
type Deps struct {
	// Issuer is the public origin. Requests for another host are refused.
	Issuer string
	// Alias is another origin under which Protocol routes, and nothing else, are reached: where a
	// proxy asks clients for certificates. "" for none.
	Alias string
	// Management marks the server of the management listener: it serves Management routes
	// only and under any host name.
	Management bool
	// Trusted are the addresses of proxies whose word about the client is taken.
	Trusted []netip.Prefix
	// Forwarded names the header that those proxies set: X-Forwarded-For (default) or
	// Forwarded. Only one is read: the other would come from the client unchanged.
	Forwarded string
	Log       *slog.Logger
	Metrics   Observer
	// Timeout is the deadline that every request's context carries; 0 means 5 s.
	Timeout time.Duration
	// Fail answers errors per area; an area without one gets a plain answer.
	Fail map[Area]FailFunc
}

// Server is the handler of one listener. It is built once and never changes.
type Server struct {
	deps      Deps
	origin    *url.URL
	alias     *url.URL // nil for none
	mux       *http.ServeMux
	routes    []Route
	documents map[string]*Route // by path
	headers   map[Area][]header
	// onDocuments are the headers of documents.
	onDocuments []header
	quiet       sampler
	draining    atomic.Bool
}

// New builds the handler from the table. Anything wrong with the table is reported at start.
func New(d Deps, tables ...[]Route) (*Server, error) {
	s := &Server{deps: d, mux: http.NewServeMux(), documents: map[string]*Route{}}
	if d.Log == nil {
		return nil, errors.New("server: Deps.Log is missing")
	}
	if s.deps.Timeout == 0 {
		s.deps.Timeout = 5 * time.Second
	}
	if !slices.Contains([]string{"", headerXFF, headerForwarded}, d.Forwarded) {
		return nil, fmt.Errorf("server: Deps.Forwarded is %q", d.Forwarded)
	}
	var err error
	if !d.Management {
		if s.origin, err = url.Parse(d.Issuer); err != nil || s.origin.Host == "" {
			return nil, errors.New("server: Deps.Issuer is not an origin")
		}
	}
	if d.Alias != "" {
		if s.alias, err = url.Parse(d.Alias); err != nil || s.alias.Host == "" {
			return nil, errors.New("server: Deps.Alias is not an origin")
		}
	}
	s.headers = defaultHeaders(s.secure())
	s.onDocuments = documentHeaders(s.headers[Protocol])
	paths := map[string]*entry{}
	for _, r := range slices.Concat(tables...) {
		if err := s.check(r); err != nil {
			return nil, fmt.Errorf("server: route %s %s: %w", r.Method, r.Path, err)
		}
		e := paths[r.Path]
		if e == nil {
			e = &entry{s: s, methods: map[string]*Route{}}
			paths[r.Path] = e
			if err := s.mount(r.Path, e); err != nil {
				return nil, fmt.Errorf("server: route %s %s: %w", r.Method, r.Path, err)
			}
		}
		if e.methods[r.Method] != nil {
			return nil, fmt.Errorf("server: route %s %s is in the table twice", r.Method, r.Path)
		}
		e.add(r)
		s.routes = append(s.routes, r)
		if r.Document {
			s.documents[r.Path] = &r
		}
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.setHeaders(w, infoOf(r.Context()).area)
		s.fail(w, r, refuse(http.StatusNotFound, "there is nothing at this address"))
	})
	return s, nil
}

// Routes returns the table, from which tests are generated.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// Drain makes every answer from now on ask the client to open a new connection, which a
// balancer will send elsewhere.
func (s *Server) Drain() { s.draining.Store(true) }

func (s *Server) secure() bool { return s.origin != nil && s.origin.Scheme == "https" }

func (s *Server) check(r Route) error {
	switch {
	case r.Handler == nil:
		return errors.New("no handler")
	case !slices.Contains(methods, r.Method) || r.Method == http.MethodHead:
		return errors.New("no such method")
	case !strings.HasPrefix(r.Path, "/") || path.Clean(r.Path) != r.Path:
		return errors.New("the path is not canonical")
	case (r.Area == Management) != s.deps.Management:
		return errors.New("management routes live on the management listener only")
	case r.Document && (r.Area != Protocol || r.Method != http.MethodGet):
		return errors.New("only a protocol GET can be a document")
	case r.CrossSite && (r.Area != Browser || r.Method != http.MethodPost):
		return errors.New("only a browser POST can be open to other sites")
	}
	return nil
}

// mount registers one path; net/http reports bad and conflicting patterns by panicking.
func (s *Server) mount(p string, e *entry) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	if p == "/" {
		p = "/{$}"
	}
	s.mux.Handle(p, e)
	return nil
}

// entry is one path with the methods it has.
type entry struct {
	s       *Server
	methods map[string]*Route
	allow   string
}

func (e *entry) add(r Route) {
	e.methods[r.Method] = &r
	var list []string
	for m := range e.methods {
		list = append(list, m)
	}
	if e.methods[http.MethodGet] != nil {
		list = append(list, http.MethodHead)
	}
	slices.Sort(list)
	e.allow = strings.Join(list, ", ")
}

// ServeHTTP continues where Server.ServeHTTP left off, once the path is known.
func (e *entry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route := e.methods[method]
	if route == nil {
		for _, other := range e.methods { // the error page of the path's own area
			infoOf(r.Context()).area = other.Area
		}
		e.s.setHeaders(w, infoOf(r.Context()).area)
		w.Header().Set("Allow", e.allow)
		e.s.fail(w, r, refuse(http.StatusMethodNotAllowed, "this address does not answer that method"))
		return
	}
	in := infoOf(r.Context())
	in.route, in.area = route.Path, route.Area
	e.s.setHeaders(w, route.Area)
	for _, check := range routeChecks {
		if err := check(e.s, route, w, r); err != nil {
			e.s.fail(w, r, err)
			return
		}
	}
	if err := route.Handler(w, r); err != nil {
		e.s.fail(w, r, err)
	}
}
