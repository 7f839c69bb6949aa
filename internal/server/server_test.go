package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/telemetry"
)

const issuer = "https://id.example.com"

// echo answers with what the handler saw.
func echo(w http.ResponseWriter, r *http.Request) error {
	v, err := Form(r, "resource")
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"form": v, "cookie": r.Header.Get("Cookie"), "ip": ClientIP(r), "id": RequestID(r), "secure": Secure(r),
		"journey": r.PathValue("journey"),
	})
}

func testRoutes() []Route {
	boom := func(http.ResponseWriter, *http.Request) error { panic("hunter2 in a panic") }
	half := func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		panic("later")
	}
	fail := func(err error) HandlerFunc {
		return func(http.ResponseWriter, *http.Request) error { return err }
	}
	return []Route{
		{Method: "GET", Path: "/", Area: Browser, Handler: echo},
		{Method: "GET", Path: "/form/{journey}", Area: Browser, Handler: echo},
		{Method: "POST", Path: "/form/{journey}", Area: Browser, Handler: echo},
		{Method: "POST", Path: "/open", Area: Browser, CrossSite: true, Handler: echo},
		{Method: "POST", Path: "/token", Area: Protocol, Handler: echo},
		{Method: "GET", Path: "/token", Area: Protocol, Handler: echo},
		{Method: "POST", Path: "/small", Area: Protocol, MaxBody: 16, Handler: echo},
		{Method: "GET", Path: "/panic", Area: Browser, Handler: boom},
		{Method: "GET", Path: "/panic-api", Area: Protocol, Handler: boom},
		{Method: "GET", Path: "/half", Area: Protocol, Handler: half},
		{Method: "GET", Path: "/busy", Area: Protocol, Handler: fail(errs.Retry(errs.Busy, "busy", 1500*time.Millisecond))},
		{Method: "GET", Path: "/down", Area: Browser, Handler: fail(errs.New(errs.Unavailable, "", errors.New("dial tcp 10.0.0.9")))},
		{Method: "GET", Path: "/secret", Area: Protocol, Handler: fail(errors.New("column password_hash of table account"))},
		{Method: "GET", Path: "/slow", Area: Protocol, Handler: func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}},
	}
}

type observed struct {
	method, route string
	status        int
}

type recorder struct{ list []observed }

func (o *recorder) ObserveHTTP(method, route string, status int, _ time.Duration) {
	o.list = append(o.list, observed{method, route, status})
}

func newTest(t *testing.T, change func(*Deps)) (*Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	d := Deps{Issuer: issuer, Log: telemetry.NewLogger(&log, telemetry.LogOptions{Format: "json"})}
	if change != nil {
		change(&d)
	}
	s, err := New(d, testRoutes())
	if err != nil {
		t.Fatal(err)
	}
	return s, &log
}

// do sends one request straight to the handler.
func do(s *Server, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	r.Host, r.RequestURI = "id.example.com", target
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const formType = "application/x-www-form-urlencoded"

func TestServer_Statuses(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	ok := []string{"Content-Type", formType, "Origin", issuer}
	for name, tc := range map[string]struct {
		method, target, body string
		headers              []string
		want                 int
	}{
		"root":                            {"GET", "/", "", nil, 200},
		"HEAD of a GET":                   {"HEAD", "/", "", nil, 200},
		"unknown path":                    {"GET", "/nothing", "", nil, 404},
		"unknown suffix":                  {"GET", "/token/x.css", "", nil, 404},
		"trailing slash":                  {"GET", "/token/", "", nil, 404},
		"other case":                      {"GET", "/Token", "", nil, 404},
		"dot segments":                    {"GET", "/form/../token", "", nil, 404},
		"encoded dot segments":            {"GET", "/form/%2e%2e/token", "", nil, 404},
		"double slash":                    {"GET", "//token", "", nil, 404},
		"encoded slash":                   {"GET", "/form/a%2fb", "", nil, 404},
		"needless encoding":               {"GET", "/%74oken", "", nil, 404},
		"path parameter":                  {"GET", "/token;x=1", "", nil, 404},
		"NUL in the path":                 {"GET", "/form/%00", "", nil, 404},
		"backslash":                       {"GET", `/form/a%5Cb`, "", nil, 404},
		"wrong method":                    {"DELETE", "/token", "", nil, 405},
		"TRACE":                           {"TRACE", "/token", "", nil, 501},
		"made-up method":                  {"FROB", "/token", "", nil, 501},
		"override header means nothing":   {"GET", "/small", "", []string{"X-HTTP-Method-Override", "POST"}, 405},
		"foreign host":                    {"GET", "/", "", []string{"Host", "evil.example"}, 421},
		"host with default port":          {"GET", "/", "", []string{"Host", "id.example.com:443"}, 200},
		"host with another port":          {"GET", "/", "", []string{"Host", "id.example.com:8443"}, 421},
		"host in capitals":                {"GET", "/", "", []string{"Host", "ID.example.com"}, 200},
		"no host":                         {"GET", "/", "", []string{"Host", ""}, 421},
		"long address":                    {"GET", "/?a=" + strings.Repeat("x", MaxURLBytes), "", nil, 414},
		"duplicate parameter":             {"GET", "/token?a=1&a=2", "", nil, 400},
		"duplicate empty parameter":       {"GET", "/token?a&a=", "", nil, 400},
		"repeatable parameter":            {"GET", "/token?resource=1&resource=2", "", nil, 200},
		"NUL in a parameter":              {"GET", "/token?a=%00", "", nil, 400},
		"invalid UTF-8":                   {"GET", "/token?a=%ff", "", nil, 400},
		"bad escape":                      {"GET", "/token?a=%zz", "", nil, 400},
		"too many parameters":             {"GET", "/token?" + strings.Repeat("a&", MaxParams+1), "", nil, 400},
		"long name":                       {"GET", "/token?" + strings.Repeat("n", MaxParamName+1) + "=1", "", nil, 400},
		"nameless parameter":              {"GET", "/token?=1", "", nil, 400},
		"semicolon separates nothing":     {"GET", "/token?a=1;b=2", "", nil, 200},
		"form":                            {"POST", "/token", "a=1", []string{"Content-Type", formType}, 200},
		"form with charset":               {"POST", "/token", "a=1", []string{"Content-Type", formType + "; charset=utf-8"}, 200},
		"no body":                         {"POST", "/token", "", nil, 200},
		"JSON":                            {"POST", "/token", "{}", []string{"Content-Type", "application/json"}, 415},
		"plain text":                      {"POST", "/token", "a=1", []string{"Content-Type", "text/plain"}, 415},
		"no type":                         {"POST", "/token", "a=1", nil, 415},
		"multipart":                       {"POST", "/token", "--x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
		"gzip":                            {"POST", "/token", "a=1", []string{"Content-Type", formType, "Content-Encoding", "gzip"}, 415},
		"identity":                        {"POST", "/token", "a=1", []string{"Content-Type", formType, "Content-Encoding", "identity"}, 200},
		"long body":                       {"POST", "/token", strings.Repeat("a", DefaultMaxBody+1), []string{"Content-Type", formType}, 413},
		"long body of a small route":      {"POST", "/small", strings.Repeat("a", 17), []string{"Content-Type", formType}, 413},
		"our form by Origin":              {"POST", "/form/1", "a=1", ok, 200},
		"our form by Sec-Fetch-Site":      {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Sec-Fetch-Site", "same-origin", "Origin", "null"}, 200},
		"neither header":                  {"POST", "/form/1", "a=1", []string{"Content-Type", formType}, 403},
		"cross-site":                      {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Sec-Fetch-Site", "cross-site", "Origin", issuer}, 403},
		"sibling domain":                  {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Sec-Fetch-Site", "same-site", "Origin", "https://app.example.com"}, 403},
		"foreign Origin":                  {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Origin", "https://evil.example"}, 403},
		"our host over http":              {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Origin", "http://id.example.com"}, 403},
		"null Origin alone":               {"POST", "/form/1", "a=1", []string{"Content-Type", formType, "Origin", "null"}, 403},
		"cross-site to an open route":     {"POST", "/open", "a=1", []string{"Content-Type", formType, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 200},
		"cross-site to a protocol route":  {"POST", "/token", "a=1", []string{"Content-Type", formType, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 200},
		"navigation from another site":    {"GET", "/form/1", "", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		"panic":                           {"GET", "/panic", "", nil, 500},
		"store down":                      {"GET", "/down", "", nil, 503},
		"busy":                            {"GET", "/busy", "", nil, 503},
		"unknown error":                   {"GET", "/secret", "", nil, 500},
		"encoded body on a browser route": {"POST", "/form/1", "a=1", append([]string{"Content-Encoding", "br"}, ok...), 415},
	} {
		var body io.Reader
		if tc.body != "" {
			body = strings.NewReader(tc.body)
		}
		w := do(s, tc.method, tc.target, body, tc.headers...)
		if w.Code != tc.want {
			t.Errorf("%s: %s %.60s gives %d, want %d: %s", name, tc.method, tc.target, w.Code, tc.want, w.Body)
		}
	}
}

// TestServer_HeadersOnEveryAnswer covers success, redirect, refusal and panic in both areas.
func TestServer_HeadersOnEveryAnswer(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	always := []string{"X-Content-Type-Options", "X-Frame-Options", "Cache-Control", "Referrer-Policy", "Content-Security-Policy", "Strict-Transport-Security", "Cross-Origin-Resource-Policy", "X-Request-Id"}
	people := append([]string{"Cross-Origin-Opener-Policy", "Permissions-Policy"}, always...)
	for _, tc := range []struct {
		method, target string
		headers        []string
		want           []string
	}{
		{"GET", "/", nil, people}, {"GET", "/panic", nil, people}, {"GET", "/down", nil, people},
		{"POST", "/form/1", nil, people},
		{"GET", "/nothing", []string{"Accept", "text/html"}, people},
		{"GET", "/nothing", nil, always}, {"GET", "/token", nil, always}, {"DELETE", "/token", nil, always},
		{"GET", "/panic-api", nil, always}, {"TRACE", "/", nil, always},
		{"GET", "/", []string{"Host", "evil.example"}, always}, {"GET", "/token?a=%ff", nil, always},
	} {
		w := do(s, tc.method, tc.target, nil, tc.headers...)
		for _, h := range tc.want {
			if w.Header().Get(h) == "" {
				t.Errorf("%s %s (%d) lacks %s", tc.method, tc.target, w.Code, h)
			}
		}
		if strings.Contains(w.Header().Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s %s: CSP %s", tc.method, tc.target, w.Header().Get("Content-Security-Policy"))
		}
	}
	if w := do(s, "GET", "/token", nil); w.Header().Get("Cross-Origin-Opener-Policy") != "" {
		t.Error("protocol routes carry page headers")
	}
}

func TestServer_NoStrictTransportOverHTTP(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, func(d *Deps) { d.Issuer = "http://localhost:8080" })
	w := do(s, "GET", "/token", nil, "Host", "localhost:8080")
	if w.Code != 200 || w.Header().Get("Strict-Transport-Security") != "" { // RFC 6797 §7.2
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if strings.Contains(w.Body.String(), `"secure":true`) {
		t.Error("an http issuer counts as secure")
	}
}

func TestServer_ProtocolNeverSeesCookies(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	if w := do(s, "GET", "/token", nil, "Cookie", "__Host-signet_session=x"); !strings.Contains(w.Body.String(), `"cookie":""`) {
		t.Errorf("the handler saw a cookie: %s", w.Body)
	}
	if w := do(s, "GET", "/", nil, "Cookie", "a=x"); !strings.Contains(w.Body.String(), `"cookie":"a=x"`) {
		t.Errorf("a browser route lost its cookie: %s", w.Body)
	}
}

func TestServer_AllowAndRetryAfter(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	if got := do(s, "DELETE", "/token", nil).Header().Get("Allow"); got != "GET, HEAD, POST" { // RFC 9110 §15.5.6
		t.Errorf("Allow: %q", got)
	}
	if got := do(s, "GET", "/busy", nil).Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After of Busy: %q, want whole seconds rounded up", got)
	}
	if got := do(s, "GET", "/down", nil).Header().Get("Retry-After"); got == "" {
		t.Error("503 without Retry-After")
	}
}

// TestServer_ErrorsTellNothing: no cause, no panic value, no name of ours leaves the server.
func TestServer_ErrorsTellNothing(t *testing.T) {
	t.Parallel()
	s, log := newTest(t, nil)
	for _, path := range []string{"/secret", "/panic", "/panic-api", "/down"} {
		w := do(s, "GET", path, nil)
		for _, leak := range []string{"password_hash", "hunter2", "10.0.0.9", ".go:", "goroutine"} {
			if strings.Contains(w.Body.String(), leak) {
				t.Errorf("%s shows %q: %s", path, leak, w.Body)
			}
		}
		if !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
			t.Errorf("%s: the answer does not name the request: %s", path, w.Body)
		}
	}
	if !strings.Contains(log.String(), "10.0.0.9") || !strings.Contains(log.String(), "hunter2 in a panic") {
		t.Errorf("the log lacks the cause: %s", log)
	}
	var e struct{ Error string }
	w := do(s, "GET", "/busy", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error != "temporarily_unavailable" {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestServer_AccessLog(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	s, log := newTest(t, func(d *Deps) { d.Metrics = seen })
	w := do(s, "POST", "/form/abc?code=sgn_code_x", strings.NewReader("password=hunter2"),
		"Content-Type", formType, "Origin", issuer, "X-Request-Id", "chosen-by-client", "Cookie", "s=topsecret", "Authorization", "Bearer abc")
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	for k, want := range map[string]any{"method": "POST", "route": "/form/{journey}", "status": 200.0, "client_ip": "192.0.2.1", "request_id": w.Header().Get("X-Request-Id"), "msg": "request"} {
		if line[k] != want {
			t.Errorf("%s = %v, want %v", k, line[k], want)
		}
	}
	if line["duration"] == nil {
		t.Error("no duration")
	}
	for _, leak := range []string{"hunter2", "topsecret", "sgn_code", "abc", "chosen-by-client", "Bearer"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("the log shows %q: %s", leak, log)
		}
	}
	do(s, "FROB", "/x", nil)
	if len(seen.list) != 2 || seen.list[0] != (observed{"POST", "/form/{journey}", 200}) || seen.list[1] != (observed{"FROB", "none", 501}) {
		t.Errorf("metrics: %v", seen.list)
	}
}

func TestServer_ScannersDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	s, log := newTest(t, nil)
	for range 500 {
		do(s, "GET", "/wp-login.php", nil)
	}
	if n := strings.Count(log.String(), "\n"); n < 1 || n > 3*sampledPerSecond {
		t.Errorf("%d lines for 500 unknown addresses", n)
	}
}

func TestServer_Deadline(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, func(d *Deps) { d.Timeout = 20 * time.Millisecond })
	if w := do(s, "GET", "/slow", nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d after the deadline, want 503", w.Code)
	}
}

func TestServer_ClientGoneIsNoError(t *testing.T) {
	t.Parallel()
	s, log := newTest(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/slow", nil)
	r.Host = "id.example.com"
	s.ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(log.String(), `"status":499`) || strings.Contains(log.String(), `"ERROR"`) {
		t.Errorf("log: %s", log)
	}
}

func TestServer_PlainHTTPThroughTrustedProxy(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, func(d *Deps) { d.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	w := do(s, "GET", "/form/1?a=b", nil, "X-Forwarded-Proto", "http", "Accept", "text/html")
	if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != issuer+"/form/1?a=b" {
		t.Errorf("a person on http: %d %s", w.Code, w.Header().Get("Location"))
	}
	w = do(s, "POST", "/token", strings.NewReader("client_secret=x"), "X-Forwarded-Proto", "http", "Content-Type", formType)
	if w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("an application on http: %d %v", w.Code, w.Header())
	}
	if w := do(s, "GET", "/", nil, "X-Forwarded-Proto", "https"); w.Code != 200 {
		t.Errorf("https: %d", w.Code)
	}
	untrusted, _ := newTest(t, nil)
	if w := do(untrusted, "GET", "/", nil, "X-Forwarded-Proto", "http"); w.Code != 200 {
		t.Errorf("a stranger's X-Forwarded-Proto counts: %d", w.Code)
	}
}

func TestNew_RefusesWrongTables(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string][]Route{
		"no handler":         {{Method: "GET", Path: "/a"}},
		"no method":          {{Path: "/a", Handler: echo}},
		"HEAD":               {{Method: "HEAD", Path: "/a", Handler: echo}},
		"trailing slash":     {{Method: "GET", Path: "/a/", Handler: echo}},
		"relative":           {{Method: "GET", Path: "a", Handler: echo}},
		"twice":              {{Method: "GET", Path: "/a", Handler: echo}, {Method: "GET", Path: "/a", Handler: echo}},
		"open protocol":      {{Method: "POST", Path: "/a", CrossSite: true, Handler: echo}},
		"open GET":           {{Method: "GET", Path: "/a", Area: Browser, CrossSite: true, Handler: echo}},
		"management":         {{Method: "GET", Path: "/a", Area: Management, Handler: echo}},
		"conflicting":        {{Method: "GET", Path: "/{a}/x", Handler: echo}, {Method: "GET", Path: "/x/{b}", Handler: echo}},
		"malformed wildcard": {{Method: "GET", Path: "/{", Handler: echo}},
	} {
		if _, err := New(Deps{Issuer: issuer, Log: slog.New(slog.DiscardHandler)}, routes); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// serve runs the handler behind a real listener with all limits.
func serve(t *testing.T, s *Server, change func(*http.Server)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewHTTP(s, slog.New(slog.DiscardHandler))
	if change != nil {
		change(srv)
	}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}

// raw writes bytes to a new connection and reads one answer.
func raw(t *testing.T, addr, text string) (*http.Response, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(c), nil)
}

func TestHTTP_LimitsOnTheWire(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	addr := serve(t, s, nil)
	const host = "Host: id.example.com\r\n"
	for name, tc := range map[string]struct {
		text string
		want int
	}{
		"huge header":            {"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", MaxHeaderBytes+8<<10) + "\r\n\r\n", 431},
		"two hosts":              {"GET / HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n", 400},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", 400},
		"absolute foreign":       {"GET http://evil.example/ HTTP/1.1\r\n" + host + "\r\n", 421},
		"length and chunks":      {"POST /token HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Type: " + formType + "\r\n\r\n0\r\n\r\n", 200},
		"space before the colon": {"GET / HTTP/1.1\r\nHost : id.example.com\r\n\r\n", 400},
		"endless chunks":         {"POST /token HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Type: " + formType + "\r\n\r\n" + strings.Repeat("2000\r\n"+strings.Repeat("a", 0x2000)+"\r\n", 9), 413},
		"announced too long":     {"POST /token HTTP/1.1\r\n" + host + "Content-Length: 1073741824\r\nExpect: 100-continue\r\nContent-Type: " + formType + "\r\n\r\n", 413},
	} {
		resp, err := raw(t, addr, tc.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if resp.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tc.want)
		}
		if tc.want == 413 && !resp.Close {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}

func TestHTTP_SlowBodyIsCutOff(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	addr := serve(t, s, func(srv *http.Server) { srv.ReadTimeout = 500 * time.Millisecond })
	resp, err := raw(t, addr, "POST /token HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: 100\r\nContent-Type: "+formType+"\r\n\r\na=")
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%v %v, want 408", resp, err)
	}
}

func TestHTTP_HalfAnAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	resp, err := raw(t, serve(t, s, nil), "GET /half HTTP/1.1\r\nHost: id.example.com\r\n\r\n")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("an answer that ended in a panic reads as complete")
	}
}

func TestHTTP_AllTimeoutsAreSet(t *testing.T) {
	t.Parallel()
	srv := NewHTTP(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.WriteTimeout == 0 || srv.IdleTimeout == 0 || srv.MaxHeaderBytes != MaxHeaderBytes {
		t.Errorf("%+v", srv)
	}
}

func TestServer_DrainAsksForNewConnections(t *testing.T) {
	t.Parallel()
	s, _ := newTest(t, nil)
	s.Drain()
	if got := do(s, "GET", "/", nil).Header().Get("Connection"); got != "close" {
		t.Errorf("Connection: %q", got)
	}
}

func BenchmarkServer_Door(b *testing.B) {
	s, err := New(Deps{Issuer: issuer, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}, []Route{
		{Method: "GET", Path: "/doc", Area: Protocol, Handler: func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write([]byte("{}"))
			return err
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/doc", nil)
	r.Host = "id.example.com"
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestServer_Alias: under the name where a proxy asks for certificates there are protocol endpoints and
// nothing else: no pages, and no discovery of another issuer.
func TestServer_Alias(t *testing.T) {
	t.Parallel()
	doc := Route{Method: "GET", Path: "/doc", Area: Protocol, Document: true, Handler: echo}
	s, err := New(Deps{Issuer: issuer, Alias: "https://mtls.id.example.com", Log: slog.New(slog.DiscardHandler)}, append(testRoutes(), doc))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path, host string
		want               int
	}{
		{"POST", "/token", "mtls.id.example.com", 200}, {"POST", "/token", "MTLS.ID.EXAMPLE.COM:443", 200}, {"POST", "/token", "id.example.com", 200},
		{"GET", "/doc", "id.example.com", 200}, {"GET", "/doc", "mtls.id.example.com", 421},
		{"GET", "/", "mtls.id.example.com", 421}, {"POST", "/open", "mtls.id.example.com", 421}, {"GET", "/nowhere", "mtls.id.example.com", 404},
		{"POST", "/token", "mtls.id.example.com:8443", 421}, {"POST", "/token", "else.example.com", 421},
	} {
		if w := do(s, tc.method, tc.path, nil, "Host", tc.host); w.Code != tc.want {
			t.Errorf("%s %s at %s: %d, want %d", tc.method, tc.path, tc.host, w.Code, tc.want)
		}
	}
	if _, err := New(Deps{Issuer: issuer, Alias: "mtls", Log: slog.New(slog.DiscardHandler)}, testRoutes()); err == nil {
		t.Error("an alias that is no origin")
	}
}
