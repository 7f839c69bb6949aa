package password

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
)

// web is a Fetcher that answers with body, and remembers what it was asked.
type web struct {
	body   string
	err    error
	hang   bool
	asked  []string
	header http.Header
}

func (w *web) GetText(ctx context.Context, address string, h http.Header) ([]byte, error) {
	w.asked, w.header = append(w.asked, address), h
	if w.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(w.body), w.err
}

const (
	leakedWords = seal.Secret("otters below the old mill")
	freshWords  = seal.Secret("tulips and herons again")
)

func rangeOf(pw seal.Secret, count string) string {
	return "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n" + breachSum(pw)[prefixLen:] + ":" + count + "\r\nFFFFA45C4D1DEF81644B54AB7F969B88D65:0"
}

func withBreaches(t *testing.T, log *bytes.Buffer, seen *[]string, lists ...Breaches) *Service {
	t.Helper()
	s, err := New(Deps{
		Params: Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, Breaches: lists, Log: slog.New(slog.NewTextHandler(log, nil)),
		Observe: func(kind, result string) { *seen = append(*seen, kind+" "+result) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A leaked password never becomes anybody's; what answers nothing keeps nobody from a password.
func TestHash_RefusesLeakedPasswords(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		web     *web
		pw      seal.Secret
		refused bool
		seen    string
	}{
		"found":          {&web{body: rangeOf(leakedWords, "3")}, leakedWords, true, "breach_check.api found"},
		"not found":      {&web{body: rangeOf(leakedWords, "3")}, freshWords, false, "breach_check.api clean"},
		"padding":        {&web{body: rangeOf(leakedWords, "0")}, leakedWords, false, "breach_check.api clean"},
		"down":           {&web{err: errors.New("connection refused")}, leakedWords, false, "breach_check.api unanswered"},
		"slow":           {&web{hang: true}, leakedWords, false, "breach_check.api unanswered"},
		"another page":   {&web{body: "<!doctype html>\n" + rangeOf(leakedWords, "3")}, leakedWords, false, "breach_check.api unanswered"},
		"nothing":        {&web{body: "\r\n"}, leakedWords, false, "breach_check.api unanswered"},
		"composed the é": {&web{body: rangeOf("caf\u00e9 by the quiet river", "1")}, "cafe\u0301 by the quiet river", true, "breach_check.api found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, err := NewRangeAPI("https://breaches.example/range/", 50*time.Millisecond, tt.web)
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			var seen []string
			s := withBreaches(t, &log, &seen, api)
			hash, err := s.Hash(t.Context(), tt.pw)
			if e := errs.As(err); tt.refused != (err != nil) || err != nil && (hash != "" || e.Key != KeyBreached || e.Field != Field) {
				t.Errorf("%q, %v", hash, err)
			}
			if !slices.Equal(seen, []string{tt.seen}) {
				t.Errorf("observed %v", seen)
			}
			if logged := strings.Contains(log.String(), "without a look"); logged != strings.HasSuffix(tt.seen, "unanswered") {
				t.Errorf("log: %s", &log)
			}
			// Five digits leave, and nothing else, neither to the service nor to the log.
			sum := breachSum(tt.pw)
			if !slices.Equal(tt.web.asked, []string{"https://breaches.example/range/" + sum[:5]}) || tt.web.header.Get("Add-Padding") != "true" || len(tt.web.header) != 1 {
				t.Errorf("asked %v with %v", tt.web.asked, tt.web.header)
			}
			if strings.Contains(log.String(), sum[:5]) {
				t.Errorf("the log has a part of the sum: %s", &log)
			}
			// A password that is in use stays in use.
			if _, err := s.Rehash(t.Context(), tt.pw); err != nil || len(tt.web.asked) != 1 {
				t.Errorf("rehash: %v, asked %d times", err, len(tt.web.asked))
			}
		})
	}
}

func TestHash_VisitorLeavesDuringTheCheck(t *testing.T) {
	t.Parallel()
	api, err := NewRangeAPI("https://breaches.example/range", time.Minute, &web{hang: true})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := withBreaches(t, &log, &[]string{}, api)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Hash(ctx, freshWords); !errors.Is(err, context.Canceled) || log.Len() > 0 {
		t.Errorf("%v %s", err, &log)
	}
}

// More people than a slow service can serve are not made to wait for it.
func TestRangeAPI_BoundsWhatWaits(t *testing.T) {
	t.Parallel()
	api, err := NewRangeAPI("https://breaches.example/range/", time.Minute, &web{})
	if err != nil {
		t.Fatal(err)
	}
	for range maxRangeCalls {
		api.slots <- struct{}{}
	}
	if _, err := api.Holds(t.Context(), breachSum(freshWords)); err == nil {
		t.Error("waits")
	}
}

func TestNewRangeAPI_RefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"", "range", "https://", "https://u:p@example.com/", "https://example.com/?q=", "https://example.com/#x", ":"} {
		if _, err := NewRangeAPI(a, 0, &web{}); err == nil {
			t.Errorf("%q accepted", a)
		}
	}
	if _, err := NewRangeAPI("https://example.com/", -1, &web{}); err == nil {
		t.Error("negative timeout accepted")
	}
	if _, err := NewRangeAPI("https://example.com/", 0, nil); err == nil {
		t.Error("no fetcher accepted")
	}
}

// write makes a breach file of lines and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sums.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, text string) *BreachFile {
	t.Helper()
	b, err := OpenBreachFile(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// Every line of every size of file is found, and nothing between, before or after them.
func TestBreachFile_FindsEveryLine(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 7, 64, 300} {
		for name, form := range map[string]string{"crlf": "%s:%d\r\n", "lf": "%s:%d\n", "bare": "%s\n", "lower": "%s:%d\n"} {
			var sums, absent []string
			for i := range n {
				sums = append(sums, breachSum(seal.Secret(fmt.Sprintf("leaked %d", i))))
				absent = append(absent, breachSum(seal.Secret(fmt.Sprintf("fresh %d", i))))
			}
			absent = append(absent, strings.Repeat("0", sumLen), strings.Repeat("F", sumLen))
			slices.Sort(sums)
			var text strings.Builder
			for i, sum := range sums {
				if name == "lower" {
					sum = strings.ToLower(sum)
				}
				args := []any{sum, 1 + i*i*i*7}
				fmt.Fprintf(&text, form, args[:strings.Count(form, "%")]...)
			}
			for _, end := range []string{text.String(), strings.TrimRight(text.String(), "\r\n")} {
				b := open(t, end)
				for _, sum := range sums {
					if found, err := b.Holds(t.Context(), sum); err != nil || !found {
						t.Fatalf("%s, %d lines: %s not found, %v", name, n, sum, err)
					}
				}
				for _, sum := range absent {
					if found, err := b.Holds(t.Context(), sum); err != nil || found {
						t.Fatalf("%s, %d lines: %s found, %v", name, n, sum, err)
					}
				}
			}
		}
	}
}

// What is not such a list is refused at the start, not silently useless.
func TestOpenBreachFile_RefusesOthers(t *testing.T) {
	t.Parallel()
	var ascending []string
	for i := range 400 {
		ascending = append(ascending, breachSum(seal.Secret(fmt.Sprint(i)))+":1")
	}
	unsorted := strings.Join(ascending, "\n")
	for name, text := range map[string]string{
		"empty": "", "blank": "\n\n\n", "words": "password\n123456\n", "one long line": strings.Repeat("A", 5000),
		"NTLM": strings.Repeat("A", 32) + ":1\n", "by count": unsorted, "twice": strings.Repeat(ascending[0]+"\n", 300),
		"count": ascending[0] + "x\n", "no digits": strings.Repeat("Z", sumLen) + ":1\n",
	} {
		if _, err := OpenBreachFile(write(t, text)); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
	if _, err := OpenBreachFile(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file accepted")
	}
	if _, err := OpenBreachFile(t.TempDir()); err == nil {
		t.Error("a folder accepted")
	}
}

// A file that breaks while it is in use keeps nobody from a password.
func TestHash_BrokenFile(t *testing.T) {
	t.Parallel()
	path := write(t, breachSum(leakedWords)+":9\n")
	b, err := OpenBreachFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	var log bytes.Buffer
	var seen []string
	s := withBreaches(t, &log, &seen, b)
	if _, err := s.Hash(t.Context(), leakedWords); errs.As(err).Key != KeyBreached {
		t.Errorf("leaked: %v", err)
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hash(t.Context(), leakedWords); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
	if want := []string{"breach_check.file found", "breach_check.file unanswered"}; !slices.Equal(seen, want) {
		t.Errorf("observed %v", seen)
	}
}

// FuzzBreachFile: whatever a file holds, opening and searching end, and what is found is there.
func FuzzBreachFile(f *testing.F) {
	f.Add([]byte(breachSum("a")+":1\r\n"), "a")
	f.Add([]byte("\n\n"), "b")
	f.Fuzz(func(t *testing.T, text []byte, pw string) {
		b := &BreachFile{f: bytes.NewReader(text), size: int64(len(text))}
		sum := breachSum(seal.Secret(pw))
		if found, err := b.Holds(t.Context(), sum); err == nil && found && !strings.Contains(strings.ToUpper(string(text)), sum) {
			t.Errorf("%s found in %q", sum, text)
		}
		_ = b.check()
	})
}

// FuzzInRange: whatever a service answers is an answer with the sum in it, or one without, or none.
func FuzzInRange(f *testing.F) {
	f.Add(rangeOf(leakedWords, "3"), "otters below the old mill")
	f.Add("x:1", "")
	f.Fuzz(func(t *testing.T, body, pw string) {
		rest := breachSum(seal.Secret(pw))[prefixLen:]
		if found, err := inRange(body, rest); found && (err != nil || !strings.Contains(strings.ToUpper(body), rest)) {
			t.Errorf("found in %q, %v", body, err)
		}
	})
}
