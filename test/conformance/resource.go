package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Plans without OpenID have no userinfo to use their tokens at. Theirs is this API: it asks the
// provider about every token (RFC 7662) and wants to see what the token is bound to.
const (
	resourceListen   = "127.0.0.1:9445"
	resourceAudience = "https://" + issuerHost + ":9445/"
	resourceURL      = resourceAudience + "accounts"
	resourceScope    = "accounts"
	resourceID       = "accounts-api" // as the provider knows it
)

// resource is the API.
type resource struct {
	secret string
	asks   *http.Client
	proofs proofs
	person *approver
	server *http.Server
}

// startResource serves the API.
func startResource(ctx context.Context, a *authority, logs io.Writer) (*resource, error) {
	id, err := a.issue(issuerHost)
	if err != nil {
		return nil, err
	}
	cert, err := id.tls()
	if err != nil {
		return nil, err
	}
	r := &resource{secret: secret(), person: newApprover(a), proofs: proofs{seen: map[string]time.Time{}}, asks: &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}}}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", resourceListen)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", r)
	mux.Handle("POST "+decidePath, r.person)
	r.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(logs, "resource: ", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
			// Those of RFC 9325 §4.2, which FAPI 2.0 demands of resource servers, too.
			CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}},
	}
	go func() { _ = r.server.ServeTLS(l, "", "") }() // ends with close
	return r, nil
}

func (r *resource) close() {
	if r != nil {
		_ = r.server.Close()
	}
}

// registered is how the provider is told of the API, and of the client that asks for it.
func (r *resource) registered() (api, client map[string]any) {
	return map[string]any{"audience": resourceAudience, "name": "Accounts", "scopes": map[string]string{resourceScope: "See your accounts"}},
		map[string]any{"id": resourceID, "name": "Accounts API", "kind": "machine", "secret": r.secret,
			"token_endpoint_auth_method": "client_secret_basic", "audiences": []string{resourceAudience}}
}

func (r *resource) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := r.check(req); err != nil {
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// The caller's, or a new one (FAPI 1 Baseline §6.2.1 no. 11).
	w.Header().Set("X-Fapi-Interaction-Id", cmp.Or(req.Header.Get("X-Fapi-Interaction-Id"), uuid.NewString()))
	_, _ = io.WriteString(w, `{"accounts":[]}`)
}

// about is what the provider says of a token.
type about struct {
	Active  bool   `json:"active"`
	Scope   string `json:"scope"`
	Confirm struct {
		JKT  string `json:"jkt"`
		X5TS string `json:"x5t#S256"`
	} `json:"cnf"`
}

// check says why a request is refused (RFC 9449 §7.1, RFC 8705 §3). A token that is bound to nothing
// is refused as well: FAPI 2.0 knows none.
func (r *resource) check(req *http.Request) error {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if token == "" {
		return errors.New("no token")
	}
	t, err := r.ask(req.Context(), token)
	if err != nil {
		return err
	}
	switch certs := req.TLS.PeerCertificates; {
	case !t.Active || !slices.Contains(strings.Fields(t.Scope), resourceScope):
		return errors.New("not a token for this API")
	case t.Confirm.JKT != "" && strings.EqualFold(scheme, "DPoP"):
		return r.proofs.check(req, token, t.Confirm.JKT)
	case t.Confirm.X5TS != "" && strings.EqualFold(scheme, "Bearer") && len(certs) > 0:
		if sum := sha256.Sum256(certs[0].Raw); same(encode(sum[:]), t.Confirm.X5TS) {
			return nil
		}
	}
	return errors.New("the token is not used by the one that it is bound to")
}

// ask is a request for introspection.
func (r *resource) ask(ctx context.Context, token string) (t about, err error) {
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/oauth2/introspect", form)
	if err != nil {
		return t, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(resourceID, r.secret)
	res, err := r.asks.Do(req)
	if err != nil {
		return t, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return t, fmt.Errorf("introspection: %s", res.Status)
	}
	return t, json.NewDecoder(res.Body).Decode(&t)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
