package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writeReportFile writes the report of the results that runs left in a folder.
func writeReportFile(file, results string, explained []explanation) error {
	plans, err := readResults(results)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	writeReport(&b, plans, explained)
	return os.WriteFile(file, b.Bytes(), 0o644) //nolint:gosec // a document for everybody
}

// readResults reads the saved results, in the order of the plans.
func readResults(dir string) ([]planResult, error) {
	var plans []planResult
	for _, g := range groups {
		for _, p := range g.plans {
			b, err := os.ReadFile(filepath.Join(dir, p.key, "plan.json"))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			var r planResult
			if err := json.Unmarshal(b, &r); err != nil {
				return nil, fmt.Errorf("%s: %w", p.key, err)
			}
			plans = append(plans, r)
		}
	}
	if len(plans) == 0 {
		return nil, fmt.Errorf("there are no results in %s", dir)
	}
	return plans, nil
}

func writeReport(w io.Writer, plans []planResult, explained []explanation) {
	fmt.Fprintf(w, `# Conformance

For operators and developers: what the OpenID Foundation's conformance suite, version %s, finds when it tests this server, on one
machine, with the configurations that [profiles.md](profiles.md) names. This is not a certification. The page is written by the
driver from the suite's logs and never by hand; [test/conformance](../test/conformance/README.md) says how to repeat it.

`, versions(plans))
	for _, g := range groups {
		own := slices.DeleteFunc(slices.Clone(plans), func(p planResult) bool { return p.Group != g.name })
		if len(own) == 0 {
			continue
		}
		fmt.Fprintf(w, "## %s\n\nServer: %s.\n\n| Plan | Modules | Passed | Warning | Skipped | Failed |\n|---|---|---|---|---|---|\n",
			strings.ToUpper(g.name[:1])+g.name[1:], g.about)
		for _, p := range own {
			fmt.Fprintln(w, row(p))
		}
		fmt.Fprintln(w)
	}
	writeExplained(w, plans, explained)
	writeOpen(w, plans, explained)
}

// versions are those of the suite; more than one if its results are of several runs.
func versions(plans []planResult) string {
	var list []string
	for _, p := range plans {
		if !slices.Contains(list, p.Suite) {
			list = append(list, p.Suite)
		}
	}
	return strings.Join(list, " and ")
}

func row(p planResult) string {
	n := map[string]int{}
	for _, m := range p.Modules {
		n[m.verdict()]++
	}
	failed := len(p.Modules) - n["PASSED"] - n[warning] - n[skipped]
	name := fmt.Sprintf("`%s`", p.Plan)
	if len(p.Variant) > 0 {
		name += fmt.Sprintf(" `%s`", shown(p.Variant))
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d |", name, len(p.Modules), n["PASSED"], n[warning], n[skipped], failed)
}

// writeExplained lists warnings and skips with the reason why they are right.
func writeExplained(w io.Writer, plans []planResult, explained []explanation) {
	var b bytes.Buffer
	for _, e := range explained {
		var modules, messages []string
		each(plans, func(p planResult, m moduleResult, f finding) {
			if found, ok := explain(explained, p.Key, m.Module, f); ok && found == e {
				modules, messages = once(modules, "`"+m.Module+"`"), once(messages, f.Message)
			}
		})
		if len(modules) > 0 {
			fmt.Fprintf(&b, "- %s of %s: “%s” %s\n", strings.ToLower(e.Result), strings.Join(modules, ", "), strings.Join(messages, "”, “"), e.Why)
		}
	}
	if b.Len() > 0 {
		fmt.Fprintf(w, "## Warnings and skips, and why\n\n%s\n", b.String())
	}
}

// writeOpen lists what nobody explained.
func writeOpen(w io.Writer, plans []planResult, explained []explanation) {
	var lines []string
	for _, p := range plans {
		for _, m := range p.Modules {
			lines = append(lines, unexplained(p, m, explained)...)
		}
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprint(w, "## Open\n\n")
	for _, line := range lines {
		fmt.Fprintln(w, "- "+line)
	}
}

func each(plans []planResult, visit func(planResult, moduleResult, finding)) {
	for _, p := range plans {
		for _, m := range p.Modules {
			for _, f := range m.Findings {
				visit(p, m, f)
			}
		}
	}
}

// once appends what is not there yet.
func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
