package password

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Fetcher reads a text from the network; fetch.Client is one.
type Fetcher interface {
	GetText(ctx context.Context, address string, header http.Header) ([]byte, error)
}

// DefaultBreachTimeout is how long a person waits for a range API at most.
const DefaultBreachTimeout = time.Second

// maxRangeCalls bounds the questions at once: when the service is slow, the ones beyond are not
// worth waiting for.
const maxRangeCalls = 16

// RangeAPI asks a service of the kind that Have I Been Pwned has made common: it is told the first
// five digits of a sum and answers with the rest of every sum that begins so, some of them made up.
// It learns neither the password nor which of some thousand sums was meant, nor, by the length of
// the answer, anybody on the way.
type RangeAPI struct {
	base    string
	timeout time.Duration
	fetch   Fetcher
	slots   chan struct{}
}

// NewRangeAPI returns the list at an address to which five digits are appended, for example
// https://api.pwnedpasswords.com/range/.
func NewRangeAPI(address string, timeout time.Duration, f Fetcher) (*RangeAPI, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("password: the address of the range API must be a plain URL")
	}
	if f == nil || timeout < 0 {
		return nil, errors.New("password: the range API needs a Fetcher and a timeout")
	}
	if timeout == 0 {
		timeout = DefaultBreachTimeout
	}
	return &RangeAPI{
		base: strings.TrimSuffix(u.String(), "/") + "/", timeout: timeout, fetch: f, slots: make(chan struct{}, maxRangeCalls),
	}, nil
}

// Name implements Breaches.
func (*RangeAPI) Name() string { return "api" }

// Holds implements Breaches.
func (a *RangeAPI) Holds(ctx context.Context, sum string) (bool, error) {
	if len(sum) != sumLen {
		return false, errors.New("not a SHA-1 sum")
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return false, errors.New("too many questions at once")
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	body, err := a.fetch.GetText(ctx, a.base+sum[:prefixLen], http.Header{"Add-Padding": {"true"}})
	if err != nil {
		return false, err
	}
	return inRange(string(body), sum[prefixLen:])
}

// inRange looks for the rest of a sum in an answer. One that is not what it should be, such as a
// page of a proxy, is no answer.
func inRange(body, rest string) (found bool, err error) {
	n := 0
	for line := range strings.Lines(body) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		sum, padding, ok := sumOf(line, sumLen-prefixLen)
		if !ok {
			return false, fmt.Errorf("line %d of the answer is not SUM:COUNT", n+1)
		}
		n++
		found = found || sum == rest && !padding
	}
	if n == 0 {
		return false, errors.New("the answer is empty")
	}
	return found, nil
}
