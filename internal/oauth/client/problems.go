package client

import (
	"errors"
	"fmt"
	"strings"

	"signet/internal/platform/errs"
)

// Problem is one thing that is wrong with what an operator wrote.
type Problem struct {
	Field string // wire name, as in JSON and in the configuration file
	Text  string
}

// String reads "field: text".
func (p Problem) String() string { return p.Field + ": " + p.Text }

// Problems is everything that is wrong at once. It is the cause of an errs.Invalid.
type Problems []Problem

// Error lists the problems on one line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "; ")
}

func (p *Problems) add(field, format string, args ...any) {
	*p = append(*p, Problem{field, fmt.Sprintf(format, args...)})
}

// err returns p as an error, or nil if there is no problem.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return errs.New(errs.Invalid, "", p)
}

// ProblemsOf returns the list in err's chain.
func ProblemsOf(err error) Problems {
	var p Problems
	_ = errors.As(err, &p)
	return p
}

// Refused is why an operation on an existing row is not possible, in words for the operator.
type Refused struct{ Text string }

// Error returns the words.
func (r *Refused) Error() string { return r.Text }

// refuse returns an error of the kind whose text is meant for the operator.
func refuse(kind errs.Kind, format string, args ...any) error {
	return errs.New(kind, "", &Refused{fmt.Sprintf(format, args...)})
}
