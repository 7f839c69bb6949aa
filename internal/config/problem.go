package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	File string // "" for environment and flags
	Line int
	At   string // the key, the environment variable or the flag
	Text string
}

func (p Problem) String() string {
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.At, p.Text)
	case p.File != "":
		return fmt.Sprintf("%s: %s: %s", p.File, p.At, p.Text)
	}
	return fmt.Sprintf("%s: %s", p.At, p.Text)
}

// Problems is everything that is wrong with a configuration.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sorted orders problems as an editor would be walked through.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.File, a.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(ps)
}

// nearest returns the candidate that a mistyped key most likely means, or "".
func nearest(key string, candidates []string) string {
	best, bestDistance := "", 3 // more than two slips is another word
	if len(key) < 5 {
		bestDistance = 2
	}
	for _, c := range candidates {
		if d := distance(key, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the edit distance (insert, delete, replace, swap neighbours).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}
