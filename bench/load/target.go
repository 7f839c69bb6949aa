package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Target is a provider and what is needed to use it. Open fills the rest.
type Target struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	AuthMethod   string // basic (default with a secret), post, none
	RedirectURI  string // registered for the client; nothing needs to listen there
	Scope        string // of user flows; default "openid"
	Extra        url.Values
	Users        Users
	AllowRemote  bool // without it every connection outside loopback is refused
	// ForwardedFor makes every browser come from another address, for providers that are
	// told to trust the generator as a proxy and limit attempts per address.
	ForwardedFor bool

	// Observe, if set, sees the body of every successful answer of a single-request flow. It
	// must not be changed while operations run.
	Observe func(endpoint string, body []byte)

	Meta  Metadata
	plain *http.Client
}

// Users yields the account that the n-th browser signs in with.
type Users func(n int) (name, password string)

// Metadata is the part of the provider's discovery document that flows use.
type Metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Discovery     string `json:"-"`
}

const (
	requestTimeout = 30 * time.Second
	maxBody        = 4 << 20
)

// Open reads the discovery document of the issuer.
func (t *Target) Open(ctx context.Context) error {
	if t.Issuer == "" {
		return errors.New("no issuer given")
	}
	t.plain = &http.Client{
		Transport: transport(t.AllowRemote),
		Timeout:   requestTimeout,
		// Redirects are part of what is measured: each flow follows its own.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	discovery := strings.TrimSuffix(t.Issuer, "/") + "/.well-known/openid-configuration"
	body, err := t.fetch(ctx, discovery)
	if err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if err := json.Unmarshal(body, &t.Meta); err != nil {
		return fmt.Errorf("discovery document: %w", err)
	}
	// OpenID Connect Discovery §4.3: the document must name the issuer it was asked for.
	if t.Meta.Issuer != t.Issuer {
		return fmt.Errorf("discovery document is of issuer %q, asked for %q", t.Meta.Issuer, t.Issuer)
	}
	t.Meta.Discovery = discovery
	return nil
}

// transport opens no connection outside loopback unless remote is true. The check sits
// where the address is dialled, so neither a name nor a redirect can lead around it.
func transport(remote bool) *http.Transport {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if !remote {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !ap.Addr().Unmap().IsLoopback() {
				return fmt.Errorf("%s is not a loopback address; remote targets must be allowed explicitly", address)
			}
			return nil
		}
	}
	return &http.Transport{
		DialContext:         d.DialContext,
		MaxIdleConns:        4096,
		MaxIdleConnsPerHost: 4096,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
}

// Close lets go of idle connections.
func (t *Target) Close() {
	if t.plain != nil {
		t.plain.CloseIdleConnections()
	}
}

// fetch returns the body of a 200 answer to a GET.
func (t *Target) fetch(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	status, body, err := t.do(req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, statusFailure(status, body)
	}
	t.observe(u, body)
	return body, nil
}

func (t *Target) observe(endpoint string, body []byte) {
	if t.Observe != nil {
		t.Observe(endpoint, body)
	}
}

func (t *Target) do(req *http.Request) (status int, body []byte, err error) {
	resp, err := t.plain.Do(req)
	if err != nil {
		return 0, nil, &Failure{Kind: "network", Err: err}
	}
	body, err = readBody(resp)
	return resp.StatusCode, body, err
}

func readBody(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	if n := resp.ContentLength; n > 0 && n <= maxBody {
		body := make([]byte, n)
		if _, err := io.ReadFull(resp.Body, body); err != nil {
			return nil, &Failure{Kind: "network", Err: err}
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, &Failure{Kind: "network", Err: err}
	}
	return body, nil
}

// statusFailure names an answer by its OAuth error code where it has one.
func statusFailure(status int, body []byte) *Failure {
	var e struct {
		Error string `json:"error"`
		Text  string `json:"error_description"`
	}
	kind := fmt.Sprintf("http %d", status)
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return failure(kind+" "+e.Error, "%s", e.Text)
	}
	if i := bytes.IndexByte(body, '\n'); i > 0 {
		body = body[:i]
	}
	return failure(kind, "%.200s", body)
}
