package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api is the suite's REST interface.
type api struct{ http *http.Client }

func newAPI(a *authority) *api {
	d := &net.Dialer{Timeout: 5 * time.Second}
	return &api{http: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}}
}

// moduleRef is one entry of a plan: a module and what the plan fixes of its variant.
type moduleRef struct {
	Module  string  `json:"testModule"`
	Variant choices `json:"variant"`
}

// moduleInfo is what the suite says about a module that runs or ran.
type moduleInfo struct {
	Status string `json:"status"`
	Result string `json:"result"`
}

// logEntry is a line of a module's log, as far as it is of interest here.
type logEntry struct {
	Source       string   `json:"src"`
	Result       string   `json:"result"`
	Message      string   `json:"msg"`
	Error        string   `json:"error"`
	Requirements []string `json:"requirements"`
}

// version names the running suite.
func (a *api) version(ctx context.Context) (string, error) {
	var info struct {
		Version string `json:"version"`
	}
	if err := a.json(ctx, http.MethodGet, "/api/server", nil, nil, &info); err != nil {
		return "", err
	}
	if info.Version == "" {
		return "", errors.New("the suite names no version")
	}
	return info.Version, nil
}

// createPlan returns the id of a new plan and its modules.
func (a *api) createPlan(ctx context.Context, name string, variant choices, config any) (string, []moduleRef, error) {
	query := url.Values{"planName": {name}}
	if len(variant) > 0 {
		query.Set("variant", text(variant))
	}
	var made struct {
		ID      string      `json:"id"`
		Modules []moduleRef `json:"modules"`
	}
	err := a.json(ctx, http.MethodPost, "/api/plan", query, config, &made)
	return made.ID, made.Modules, err
}

// createModule makes an instance of a module, which the suite begins by itself (but for one).
func (a *api) createModule(ctx context.Context, planID string, m moduleRef) (string, error) {
	query := url.Values{"test": {m.Module}, "plan": {planID}}
	if len(m.Variant) > 0 {
		query.Set("variant", text(m.Variant))
	}
	var made struct {
		ID string `json:"id"`
	}
	err := a.json(ctx, http.MethodPost, "/api/runner", query, nil, &made)
	return made.ID, err
}

// waitFor waits until the module has one of the states, at most a short while: "" if it has not.
func (a *api) waitFor(ctx context.Context, id string, states ...string) (string, error) {
	var at struct {
		State string `json:"state"`
	}
	query := url.Values{"states": {strings.Join(states, ",")}, "timeoutMs": {"10000"}}
	err := a.json(ctx, http.MethodGet, "/api/runner/"+id+"/wait-state", query, nil, &at)
	return at.State, err
}

func (a *api) startModule(ctx context.Context, id string) error {
	return a.json(ctx, http.MethodPost, "/api/runner/"+id, nil, nil, nil)
}

func (a *api) cancelModule(ctx context.Context, id string) error {
	return a.json(ctx, http.MethodDelete, "/api/runner/"+id, nil, nil, nil)
}

func (a *api) info(ctx context.Context, id string) (moduleInfo, error) {
	var info moduleInfo
	err := a.json(ctx, http.MethodGet, "/api/info/"+id, nil, nil, &info)
	return info, err
}

func (a *api) log(ctx context.Context, id string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, "/api/log/"+id, nil, nil)
}

// export is the plan's results as the suite itself exports them: a zip with signed logs.
func (a *api) export(ctx context.Context, planID string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, "/api/plan/export/"+planID, nil, nil)
}

func (a *api) json(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	got, err := a.do(ctx, method, path, query, sent)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(got, answer)
}

func (a *api) do(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	address := suiteURL + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, got)
	}
	return got, nil
}

// text is v as JSON; for values that cannot fail.
func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
