package fetch

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"unicode/utf8"
)

// GetText returns a text from an address that the operator chose, under the guard of Call. The
// error does not name the address, of which a part may be nobody's business.
func (c *Client) GetText(ctx context.Context, address string, header http.Header) ([]byte, error) {
	if err := c.admit(); err != nil {
		return nil, err
	}
	defer c.leave()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	req, err := c.request(ctx, address, Request{Header: header})
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", text.accept)
	res, err := c.send(req, text)
	if err == nil && res.Status != http.StatusOK {
		err = fmt.Errorf("status %d", res.Status)
	}
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

func isText(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "text/plain"
}

func checkText(body []byte) error {
	if len(body) > MaxBody {
		return errors.New("the answer is too large")
	}
	if !utf8.Valid(body) {
		return errors.New("the answer is not text")
	}
	return nil
}
