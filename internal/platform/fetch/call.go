package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Request is a request to somebody whom the operator chose, such as an upstream provider. With a
// Form or a JSON document it is a POST of it, else a GET.
type Request struct {
	Form   url.Values
	JSON   []byte
	Header http.Header
}

// Response is the answer to a Request: a JSON document with any status.
type Response struct {
	Status int
	Body   []byte
	header http.Header
}

// Call sends r under the same guard as GetJSON: the address, the certificate, the time, the size and
// the type of the answer. It differs in what is for strangers' addresses only: the caller gets the
// cause and need not wait for it, nothing is shared between callers and no failure is remembered,
// because the request is one of a kind.
func (c *Client) Call(ctx context.Context, address string, r Request) (Response, error) {
	if err := c.admit(); err != nil {
		return Response{}, err
	}
	defer c.leave()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	req, err := c.request(ctx, address, r)
	if err != nil {
		return Response{}, err
	}
	res, err := c.send(req, JSON)
	if err != nil {
		return Response{}, fmt.Errorf("%s: %w", redact(address), err)
	}
	return res, nil
}

// maxCalls bounds the Calls at once: a slow provider must not take every goroutine there is.
const maxCalls = 64

func (c *Client) admit() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls >= maxCalls {
		return errors.New("too many outbound requests at once")
	}
	c.calls++
	return nil
}

func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
}

func (c *Client) request(ctx context.Context, address string, r Request) (*http.Request, error) {
	if _, err := c.checkURL(address); err != nil {
		return nil, err
	}
	method, body, content := http.MethodGet, io.Reader(nil), ""
	switch {
	case r.Form != nil:
		method, body, content = http.MethodPost, strings.NewReader(r.Form.Encode()), "application/x-www-form-urlencoded"
	case r.JSON != nil:
		method, body, content = http.MethodPost, bytes.NewReader(r.JSON), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if content != "" {
		req.Header.Set("Content-Type", content)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "signet")
	return req, nil
}

// send does the request and reads the whole answer, which must be what was wanted.
func (c *Client) send(req *http.Request, want Kind) (Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		var quoting *url.Error // repeats the URL with its query, which is not for the log
		if errors.As(err, &quoting) {
			err = quoting.Err
		}
		return Response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return Response{}, errors.New("the answer is compressed")
	}
	if !want.is(res.Header.Get("Content-Type")) {
		return Response{}, fmt.Errorf("status %d, content type %q", res.StatusCode, res.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return Response{}, err
	}
	return Response{Status: res.StatusCode, Body: body, header: res.Header}, want.check(body)
}
