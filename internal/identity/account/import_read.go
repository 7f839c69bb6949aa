package account

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"signet/internal/platform/errs"
)

// The limits of an import: a row or field beyond them is rejected, whatever the file's size.
const (
	maxRow     = 64 << 10
	maxField   = 16 << 10
	maxColumns = 256
)

// Row is one row of a source: values by column name, or why it cannot be read.
type Row struct {
	Line    int
	Fields  map[string]string
	Problem string
}

// Rows is a source of an import. Next returns io.EOF after the last row; any other error means
// that the source cannot be read further.
type Rows interface {
	Columns() []string
	Next() (Row, error)
}

// Table adapts a source of value lists, such as an SQLite table, to Rows.
func Table(columns []string, next func() ([]string, error)) Rows {
	return &table{columns: columns, next: next}
}

type table struct {
	columns []string
	next    func() ([]string, error)
	n       int
}

func (t *table) Columns() []string { return t.columns }

func (t *table) Next() (Row, error) {
	values, err := t.next()
	if err != nil {
		return Row{}, err
	}
	t.n++
	return rowOf(t.n, t.columns, values), nil
}

func rowOf(line int, columns, values []string) Row {
	if len(values) != len(columns) {
		return Row{Line: line, Problem: fmt.Sprintf("%d values for %d columns", len(values), len(columns))}
	}
	r := Row{Line: line, Fields: make(map[string]string, len(columns))}
	for i, c := range columns {
		r.Fields[c] = values[i]
	}
	return r
}

// lineReader yields the lines of a file, each bounded, with their numbers.
type lineReader struct {
	r    *bufio.Reader
	line int
	back []physicalLine // lines to be read once more
}

type physicalLine struct {
	n    int
	text string
	long bool // cut: beyond maxRow
}

func newLineReader(r io.Reader) *lineReader {
	br := bufio.NewReaderSize(r, maxRow)
	if bom, err := br.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3)
	}
	return &lineReader{r: br}
}

// next returns the next line with its end, or io.EOF.
func (l *lineReader) next() (physicalLine, error) {
	if len(l.back) > 0 {
		p := l.back[0]
		l.back = l.back[1:]
		return p, nil
	}
	text, err := l.r.ReadSlice('\n')
	p := physicalLine{n: l.line + 1, text: string(text)}
	for errors.Is(err, bufio.ErrBufferFull) { // skip the rest of an endless line
		p.long = true
		text, err = l.r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return p, err
	}
	if errors.Is(err, io.EOF) && len(text) == 0 && p.text == "" {
		return p, io.EOF
	}
	l.line++
	return p, nil
}

// CSV reads comma-separated values (RFC 4180) with a header row; a header with semicolons or
// tabs instead of commas is understood. A row with an unclosed quote is rejected alone: reading
// goes on at the line after the one where it began.
func CSV(r io.Reader) (Rows, error) {
	c := &csvRows{lines: newLineReader(r), comma: ','}
	first, err := c.lines.next()
	if errors.Is(err, io.EOF) {
		return nil, errs.New(errs.Invalid, "", errors.New("the file is empty"))
	}
	if err != nil {
		return nil, err
	}
	for _, comma := range []rune{';', '\t'} {
		if strings.ContainsRune(first.text, comma) && !strings.ContainsRune(first.text, ',') {
			c.comma = comma
		}
	}
	c.columns, err = c.parse(first.text)
	if first.long || err != nil {
		return nil, errs.New(errs.Invalid, "", errors.New("the first line is not a row of column names"))
	}
	return c, checkColumns(c.columns)
}

func checkColumns(columns []string) error {
	if len(columns) > maxColumns {
		return errs.New(errs.Invalid, "", fmt.Errorf("more than %d columns", maxColumns))
	}
	seen := map[string]bool{}
	for i, c := range columns {
		columns[i] = strings.TrimSpace(c)
		if seen[columns[i]] && columns[i] != "" {
			return errs.New(errs.Invalid, "", fmt.Errorf("two columns are called %q", columns[i]))
		}
		seen[columns[i]] = true
	}
	return nil
}

type csvRows struct {
	lines   *lineReader
	comma   rune
	columns []string
}

func (c *csvRows) Columns() []string { return c.columns }

func (c *csvRows) Next() (Row, error) {
	for {
		taken, problem, err := c.record()
		if err != nil {
			return Row{}, err
		}
		var b strings.Builder
		for _, t := range taken {
			b.WriteString(t.text)
		}
		if problem == "" && strings.Trim(b.String(), "\r\n") == "" {
			continue
		}
		var values []string
		if problem == "" {
			if values, err = c.parse(b.String()); err == nil {
				return rowOf(taken[0].n, c.columns, values), nil
			}
			problem = "not valid CSV"
		}
		// Only the line where it began is to blame: the others may be good rows of their own.
		c.lines.back = append(taken[1:], c.lines.back...)
		return Row{Line: taken[0].n, Problem: problem}, nil
	}
}

// record takes lines until every quote is closed; of what it takes the first is to blame for a
// problem.
func (c *csvRows) record() (taken []physicalLine, problem string, err error) {
	size, quotes := 0, 0
	for {
		p, err := c.lines.next()
		if errors.Is(err, io.EOF) && len(taken) > 0 {
			return taken, "a quote is never closed", nil
		}
		if err != nil {
			return nil, "", err
		}
		taken = append(taken, p)
		size += len(p.text)
		quotes += strings.Count(p.text, `"`)
		switch {
		case p.long && len(taken) == 1:
			return taken, fmt.Sprintf("longer than %d bytes", maxRow), nil
		case p.long || size > maxRow:
			return taken, "a quote is not closed, or the row is too long", nil
		case quotes%2 == 0:
			return taken, "", nil
		}
	}
}

func (c *csvRows) parse(record string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(record))
	r.Comma = c.comma
	r.FieldsPerRecord = -1
	values, err := r.Read()
	if err != nil {
		return nil, err
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one record")
	}
	return values, nil
}

// jsonAhead rows are looked at to learn the columns, as each may leave some out.
const jsonAhead = 100

// JSONLines reads one JSON object per line. Values are strings, numbers, booleans or null; the
// parts of a nested "address" object (OIDC Core §5.1.1) count as columns of their own.
func JSONLines(r io.Reader) (Rows, error) {
	j := &jsonRows{lines: newLineReader(r)}
	seen := map[string]bool{}
	for len(j.ahead) < jsonAhead {
		row, keys, err := j.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		j.ahead = append(j.ahead, row)
		for _, k := range keys {
			if !seen[k] && len(j.columns) < maxColumns {
				j.columns = append(j.columns, k)
			}
			seen[k] = true
		}
	}
	if len(j.columns) == 0 {
		return nil, errs.New(errs.Invalid, "", errors.New("there is no JSON object with values in the first lines"))
	}
	return j, nil
}

type jsonRows struct {
	lines   *lineReader
	ahead   []Row
	columns []string
}

func (j *jsonRows) Columns() []string { return j.columns }

func (j *jsonRows) Next() (Row, error) {
	if len(j.ahead) > 0 {
		row := j.ahead[0]
		j.ahead = j.ahead[1:]
		return row, nil
	}
	row, _, err := j.read()
	return row, err
}

// read returns the next row and its keys as written.
func (j *jsonRows) read() (Row, []string, error) {
	for {
		p, err := j.lines.next()
		if err != nil {
			return Row{}, nil, err
		}
		if strings.TrimSpace(p.text) == "" {
			continue
		}
		if p.long {
			return Row{Line: p.n, Problem: fmt.Sprintf("longer than %d bytes", maxRow)}, nil, nil
		}
		o := object{d: json.NewDecoder(strings.NewReader(p.text)), fields: map[string]string{}}
		o.d.UseNumber()
		// Not the decoder's own message: it quotes the input.
		if err := o.read(); err != nil {
			return Row{Line: p.n, Problem: "not one JSON object of plain values"}, nil, nil
		}
		return Row{Line: p.n, Fields: o.fields}, o.keys, nil
	}
}

var errNotPlain = errors.New("not a plain object")

// object reads one JSON object into text values.
type object struct {
	d      *json.Decoder
	fields map[string]string
	keys   []string
}

func (o *object) read() error {
	if t, err := o.d.Token(); err != nil || t != json.Delim('{') {
		return errNotPlain
	}
	if err := o.members(true); err != nil {
		return err
	}
	if _, err := o.d.Token(); !errors.Is(err, io.EOF) {
		return errNotPlain
	}
	return nil
}

// members reads up to the closing brace. A key that comes twice is refused: readers disagree on
// which one counts.
func (o *object) members(outer bool) error {
	for o.d.More() {
		t, err := o.d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return errNotPlain
		}
		value, err := o.d.Token()
		if err != nil {
			return errNotPlain
		}
		if value == json.Delim('{') && key == "address" && outer {
			if err := o.members(false); err != nil {
				return err
			}
			continue
		}
		text, ok := plainValue(value)
		if _, dup := o.fields[key]; dup || !ok {
			return errNotPlain
		}
		o.fields[key] = text
		o.keys = append(o.keys, key)
	}
	_, err := o.d.Token() // the closing brace
	return err
}

func plainValue(t json.Token) (string, bool) {
	switch v := t.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
