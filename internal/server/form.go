package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// Form reads the parameters of a request once and strictly: the query of GET and HEAD, the
// application/x-www-form-urlencoded body of anything else (never both, RFC 6749 §2.3.1). A
// parameter that occurs twice is refused (RFC 6749 §3.1, §3.2) unless it is named in
// repeatable. Errors are *Refusal.
func Form(r *http.Request, repeatable ...string) (url.Values, error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return parseForm(r.URL.RawQuery, repeatable)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return url.Values{}, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, BodyError(err)
	}
	if len(body) == 0 {
		return url.Values{}, nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, refuse(http.StatusUnsupportedMediaType, "the request body must be application/x-www-form-urlencoded")
	}
	return parseForm(string(body), repeatable)
}

// BodyError turns a failed read of the body into a refusal: too long, too slow, or cut off.
func BodyError(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return refuse(http.StatusRequestEntityTooLarge, "the request body is too long")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(http.StatusRequestTimeout, "the request body came too slowly")
	}
	return refuse(http.StatusBadRequest, "the request body could not be read")
}

// parseForm is stricter than url.ParseQuery: it counts before it decodes, and refuses what
// two parsers could read differently.
func parseForm(s string, repeatable []string) (url.Values, error) {
	bad := func(text string) (url.Values, error) { return nil, refuse(http.StatusBadRequest, text) }
	v := url.Values{}
	if strings.Count(s, "&") > MaxParams {
		return bad("too many parameters")
	}
	n := 0
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		if n++; n > MaxParams {
			return bad("too many parameters")
		}
		name, value, _ := strings.Cut(pair, "=")
		if len(name) > 3*MaxParamName || len(value) > 3*MaxParamValue {
			return bad("a parameter is too long")
		}
		name, err := url.QueryUnescape(name)
		if err != nil {
			return bad("a parameter is not URL-encoded")
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return bad("a parameter is not URL-encoded")
		}
		switch {
		case name == "":
			return bad("a parameter has no name")
		case len(name) > MaxParamName || len(value) > MaxParamValue:
			return bad("a parameter is too long")
		case !text(name) || !text(value):
			return bad("a parameter is not valid UTF-8 text")
		case v.Has(name) && !slices.Contains(repeatable, name):
			return bad("a parameter occurs more than once")
		}
		v[name] = append(v[name], value)
	}
	return v, nil
}

func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
