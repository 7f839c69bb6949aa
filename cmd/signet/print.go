package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"signet/internal/oauth/client"
)

// printJSON writes v, indented, with a newline.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printTable writes rows under their headings, aligned; with no rows it writes the words of none.
// Columns with names of people or applications come last: letters may be two columns wide.
func printTable(w io.Writer, none string, head []string, rows [][]string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range append([][]string{head}, rows...) {
		if _, err := fmt.Fprintln(t, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// field is one line of a printed record.
type field struct{ name, value string }

// printFields writes the fields that have a value, aligned and indented.
func printFields(w io.Writer, list []field) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range list {
		if f.value == "" {
			continue
		}
		if _, err := fmt.Fprintf(t, "  %s\t%s\n", f.name, f.value); err != nil {
			return err
		}
	}
	return t.Flush()
}

// when writes an instant for people; the zero time is "-".
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// merged is a JSON object made of the members of several.
type merged []any

// MarshalJSON writes the members in order.
func (m merged) MarshalJSON() ([]byte, error) {
	var parts [][]byte
	for _, v := range m {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("{")), []byte("}")); len(b) > 0 {
			parts = append(parts, b)
		}
	}
	return append(append([]byte("{"), bytes.Join(parts, []byte(","))...), '}'), nil
}

// plain turns an error of the client registry into words for the operator: every problem on a
// line of its own, or the reason of a refusal without the vocabulary of the log.
func plain(what string, err error) error {
	if err == nil {
		return nil
	}
	if problems := client.ProblemsOf(err); len(problems) > 0 {
		lines := []string{what + ":"}
		for _, p := range problems {
			lines = append(lines, "  "+p.String())
		}
		return errors.New(strings.Join(lines, "\n"))
	}
	var refused *client.Refused
	if errors.As(err, &refused) {
		return refused
	}
	return fmt.Errorf("%s: %w", what, err)
}
