package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

// TestLog_Redacts: by key, by shape, in errors, in groups and in messages, in both formats.
func TestLog_Redacts(t *testing.T) {
	t.Parallel()
	token := id.NewToken(id.RefreshToken)
	type body struct{ Text string }
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := NewLogger(&out, LogOptions{Format: format, Level: slog.LevelDebug})
		log.Info("refresh with "+token,
			"password", "hunter2", "client_secret", "hunter2", "Authorization", "Basic hunter2", "X-Auth-Token", "hunter2", "code", "hunter2",
			"error", errors.New("bad token "+jwt+" at https://app.example/cb?code=hunter2&state=hunter2"),
			"url", "postgres://signet:hunter2@db/signet", "any", body{token}, "list", []string{token}, "sealed", seal.Secret("hunter2"),
			slog.Group("request", "cookie", "hunter2", "deep", token))
		log.With("refresh_token", "hunter2", "seen", token).WithGroup("g").Debug("x", "verifier", "hunter2")
		for _, leak := range []string{"hunter2", token, token[8:], jwt, "c2lnbmF0dXJl"} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%s shows %s:\n%s", format, leak, &out)
			}
		}
		for _, keep := range []string{"refresh with", "https://app.example/cb", "postgres://signet:", "bad token"} {
			if !strings.Contains(out.String(), keep) {
				t.Errorf("%s lost %q:\n%s", format, keep, &out)
			}
		}
	}
}

func TestLog_KeepsWhatIsNoSecret(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	NewLogger(&out, LogOptions{Format: "json"}).Info("ok", "status", 200, "route", "/oauth2/token", "token_type", "Bearer", "duration", time.Second, "kid", "01a1")
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"status": 200.0, "route": "/oauth2/token", "token_type": "Bearer", "kid": "01a1", "level": "INFO", "msg": "ok"} {
		if m[k] != want {
			t.Errorf("%s = %v, want %v", k, m[k], want)
		}
	}
}

func TestLog_RequestIDAndLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, LogOptions{Format: "json", Level: slog.LevelWarn})
	ctx := WithRequestID(t.Context(), "abc")
	log.InfoContext(ctx, "quiet")
	log.WarnContext(ctx, "loud")
	if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, `"request_id":"abc"`) || RequestID(ctx) != "abc" || RequestID(t.Context()) != "" {
		t.Errorf("%s", s)
	}
}

// FuzzRedact: a token of ours never survives, whatever stands around it.
func FuzzRedact(f *testing.F) {
	f.Add("", "")
	f.Add("sgn_", "_x")
	f.Add("https://u:", "@h")
	f.Fuzz(func(t *testing.T, before, after string) {
		token := id.NewToken(id.AccessToken)
		for _, secret := range []string{token, jwt} {
			if got := Redact(before + secret + after); strings.Contains(got, secret) {
				t.Fatalf("%q shows the secret", got)
			}
		}
	})
}

func TestMetrics_LabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.ObserveHTTP("GET", "/a/{b}", 200, time.Millisecond)
			}
		})
	}
	wg.Wait()
	for _, method := range []string{"FROB", "X", "PROPFIND"} {
		m.ObserveHTTP(method, "none", 501, time.Millisecond)
	}
	m.Outcome("job.cleanup", "ok")
	m.Gauge("signet_test_gauge", "A gauge.", func() float64 { return 7 })
	m.Counter("signet_test_total", "A counter.", func() float64 { return 8 })
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`signet_http_requests_total{method="GET",route="/a/{b}",status="200"} 800`,
		`signet_http_requests_total{method="OTHER",route="none",status="501"} 3`,
		`signet_outcomes_total{kind="job.cleanup",result="ok"} 1`, "signet_test_gauge 7", "signet_test_total 8", "go_goroutines",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(w.Body.String(), "PROPFIND") {
		t.Error("a client's method is a label")
	}
}
