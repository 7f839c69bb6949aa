package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of budgets names each one that there is, with its limit.
func TestAbuse_ListsEveryBudget(t *testing.T) {
	t.Parallel()
	text, found := read(t, "abuse.md"), 0
	budget := regexp.MustCompile(`Budget\{Name: "([a-z-]+)", Limit: (\d+),`)
	walk(t, ".go", func(rel string) {
		if strings.HasSuffix(rel, "_test.go") {
			return
		}
		for _, m := range budget.FindAllStringSubmatch(read(t, filepath.Join("..", rel)), -1) {
			found++
			limit := m[2]
			if len(limit) > 3 {
				limit = limit[:len(limit)-3] + "," + limit[len(limit)-3:]
			}
			row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| `%s` \\|.*\\| %s(,| per) ", m[1], limit))
			if !row.MatchString(text) {
				t.Errorf("abuse.md has no row for %s of %s with %s attempts", m[1], rel, limit)
			}
		}
	})
	if found < 10 {
		t.Errorf("found only %d budgets", found)
	}
}
