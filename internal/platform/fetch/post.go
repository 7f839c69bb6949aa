package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Post sends a form to an address that a client registered, under the guard of Call, and returns the
// status of the answer. What else the answer says is not read: the status is all that was asked for.
// The error does not name the address.
func (c *Client) Post(ctx context.Context, address string, form url.Values) (status int, err error) {
	if form == nil {
		return 0, errors.New("there is no form to post")
	}
	return c.post(ctx, address, Request{Form: form})
}

// PostJSON does the same with a JSON document.
func (c *Client) PostJSON(ctx context.Context, address string, header http.Header, body []byte) (status int, err error) {
	if len(body) == 0 {
		return 0, errors.New("there is no document to post")
	}
	return c.post(ctx, address, Request{JSON: body, Header: header})
}

func (c *Client) post(ctx context.Context, address string, r Request) (status int, err error) {
	if err := c.admit(); err != nil {
		return 0, err
	}
	defer c.leave()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	req, err := c.request(ctx, address, r)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "*/*")
	res, err := c.http.Do(req)
	if err != nil {
		var quoting *url.Error // repeats the URL with its query, which is not for the log
		if errors.As(err, &quoting) {
			err = quoting.Err
		}
		return 0, fmt.Errorf("post: %w", err)
	}
	_ = res.Body.Close()
	return res.StatusCode, nil
}
