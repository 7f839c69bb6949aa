package password

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine bounds a line of a breach file: a sum, a count, the end of the line.
const maxLine = 64

// BreachFile is a list of leaked passwords on disk: lines SUM:COUNT or SUM, ascending by sum, as
// the downloader of Have I Been Pwned writes them. It is searched where it is, with some thirty
// small reads for a billion lines, and takes no memory. A new version is put in its place by
// renaming; the running process keeps reading the old one until it is started again.
type BreachFile struct {
	f    io.ReaderAt
	size int64
	shut func() error
}

// OpenBreachFile opens a list and looks whether it is one: a file in another order would find
// nothing and never complain.
func OpenBreachFile(path string) (*BreachFile, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("breach file: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	b := &BreachFile{f: f, shut: f.Close}
	if err == nil {
		b.size = st.Size()
		err = b.check()
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("breach file %s: %w", path, err)
	}
	return b, nil
}

// Close releases the file.
func (b *BreachFile) Close() error { return b.shut() }

// Name implements Breaches.
func (*BreachFile) Name() string { return "file" }

// samples is how many places of a file are looked at when it is opened.
const samples = 256

func (b *BreachFile) check() error {
	if b.size == 0 {
		return errors.New("it is empty")
	}
	last, at := "", int64(-1)
	for i := range int64(samples + 1) {
		sum, start, _, err := b.line(i * (b.size - 1) / samples)
		if err != nil {
			return err
		}
		if start > at && sum <= last {
			return fmt.Errorf("not in ascending order of the sums at byte %d", start)
		}
		last, at = sum, start
	}
	return nil
}

// Holds implements Breaches by binary search.
func (b *BreachFile) Holds(_ context.Context, want string) (bool, error) {
	low, high := int64(0), b.size // starts of lines
	for low < high {
		sum, start, next, err := b.line(low + (high-low)/2)
		switch {
		case err != nil:
			return false, err
		case sum == want:
			return true, nil
		case sum < want:
			low = next
		default:
			high = start
		}
	}
	return false, nil
}

// line reads the line that the byte at off belongs to: its sum, its start, and the start of the next.
func (b *BreachFile) line(off int64) (sum string, start, next int64, err error) {
	var buf [2 * maxLine]byte
	from := max(0, off-maxLine)
	n, err := b.f.ReadAt(buf[:min(int64(len(buf)), b.size-from)], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, 0, err
	}
	text, at := buf[:n], int(off-from)
	if at >= n {
		return "", 0, 0, errors.New("it has become shorter")
	}
	begin := bytes.LastIndexByte(text[:at], '\n') + 1
	end := bytes.IndexByte(text[at:], '\n')
	if end < 0 {
		end = n - at - 1 // the last line may have no end
	}
	end += at + 1
	if begin == 0 && from > 0 || end == n && from+int64(n) < b.size && text[n-1] != '\n' {
		return "", 0, 0, fmt.Errorf("no line SUM:COUNT at byte %d", off)
	}
	sum, _, ok := sumOf(string(text[begin:end]), sumLen)
	if !ok {
		return "", 0, 0, fmt.Errorf("no line SUM:COUNT at byte %d", from+int64(begin))
	}
	return sum, from + int64(begin), from + int64(end), nil
}
