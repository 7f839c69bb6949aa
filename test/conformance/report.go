package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
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
machine, with clients for each plan and the configurations below; [profiles.md](profiles.md) says which switch gives which profile. Clients of
the plans that know no PKCE have `+"`require_pkce: false`"+`. This is not a certification. The page is written by the driver from the
suite's logs and never by hand; [test/conformance](../test/conformance/README.md) says how to repeat it.

%s
`, versions(plans), total(plans))
	for _, g := range groups {
		if own := of(plans, g); len(own) > 0 {
			writeGroup(w, g, own)
		}
	}
	writeExplained(w, plans, explained)
	writeOpen(w, plans, explained)
}

// of are the results of a group's plans.
func of(plans []planResult, g group) []planResult {
	return slices.DeleteFunc(slices.Clone(plans), func(p planResult) bool { return p.Group != g.name })
}

func writeGroup(w io.Writer, g group, plans []planResult) {
	fmt.Fprintf(w, "\n## %s\n\n%s%s. Tested: %s.\n", upper(g.name), upper(g.about), configured(g.settings), builds(plans))
	fmt.Fprint(w, "\n| Plan | Modules | Passed | Warning | Skipped | Failed |\n|---|---|---|---|---|---|\n")
	for _, p := range plans {
		fmt.Fprintln(w, row(p))
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// configured is what a group's configuration adds to the defaults.
func configured(settings map[string]any) string {
	var keys []string
	for _, section := range slices.Sorted(maps.Keys(settings)) {
		values, ok := settings[section].(map[string]any)
		if !ok {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			keys = append(keys, fmt.Sprintf("`%s.%s: %s`", section, key, strings.Trim(text(values[key]), `"`)))
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return ": " + strings.Join(keys, ", ")
}

// builds are those of the server with the days of the runs.
func builds(plans []planResult) string {
	var list []string
	for _, p := range plans {
		list = once(list, fmt.Sprintf("`%s` on %s", p.Provider, p.Date))
	}
	return strings.Join(list, ", ")
}

// versions are those of the suite; more than one if its results are of several runs.
func versions(plans []planResult) string {
	var list []string
	for _, p := range plans {
		list = once(list, p.Suite)
	}
	return strings.Join(list, " and ")
}

// total is the sum of all plans in a sentence.
func total(plans []planResult) string {
	n, modules, review := map[string]int{}, 0, 0
	for _, p := range plans {
		modules += len(p.Modules)
		for _, m := range p.Modules {
			n[m.verdict()]++
			if m.Result == "REVIEW" {
				review++
			}
		}
	}
	failed := modules - n["PASSED"] - n[warning] - n[skipped]
	return fmt.Sprintf("Of %d modules in %d plans, %d passed, %d passed with a warning, %d were skipped and %d failed. Passed includes %d in which the\n"+
		"suite kept a page for a person to look at, and found nothing wrong otherwise (REVIEW).",
		modules, len(plans), n["PASSED"], n[warning], n[skipped], failed, review)
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
		fmt.Fprintf(w, "\n## Warnings and skips, and why\n\n%s", b.String())
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
	fmt.Fprint(w, "\n## Open\n\n")
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
