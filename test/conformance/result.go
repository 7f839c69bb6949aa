package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// planResult is what a run of a plan found; saved as plan.json beside the suite's own export.
type planResult struct {
	Key      string         `json:"key"`
	Group    string         `json:"group"`
	Plan     string         `json:"plan"`
	Variant  choices        `json:"variant,omitempty"`
	Suite    string         `json:"suite"`
	Provider string         `json:"provider"`
	Date     string         `json:"date"`
	Partial  bool           `json:"partial,omitempty"` // modules were left out
	Modules  []moduleResult `json:"modules"`
}

// moduleResult is one module of it.
type moduleResult struct {
	Module   string    `json:"module"`
	Variant  choices   `json:"variant,omitempty"`
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Result   string    `json:"result"`
	Seconds  int       `json:"seconds"`
	Findings []finding `json:"findings,omitempty"`
}

// finding is one condition that was not met, or the reason of a skip.
type finding struct {
	Condition    string   `json:"condition"`
	Result       string   `json:"result"` // FAILURE, WARNING or SKIPPED
	Message      string   `json:"message"`
	Requirements []string `json:"requirements,omitempty"`
}

const (
	failure = "FAILURE"
	warning = "WARNING"
	skipped = "SKIPPED"
)

func newModuleResult(m moduleRef, id string, info moduleInfo, entries []logEntry) moduleResult {
	mr := moduleResult{Module: m.Module, Variant: m.Variant, ID: id, Status: info.Status, Result: info.Result}
	for _, e := range entries {
		if e.Result != failure && e.Result != warning && e.Result != skipped {
			continue
		}
		f := finding{e.Source, e.Result, firstLine(e.Message), e.Requirements}
		if !slices.ContainsFunc(mr.Findings, func(known finding) bool { return f.repeats(known, m.Module) }) {
			mr.Findings = append(mr.Findings, f)
		}
	}
	return mr
}

// repeats says whether f is a known finding again: the same, or in the words in which the module
// passes on at its end what interrupted it.
func (f finding) repeats(known finding, module string) bool {
	switch f.Condition {
	case known.Condition:
		return f.Result == known.Result && f.Message == known.Message
	case module:
		return f.Result == known.Result && known.Message != "" && strings.HasSuffix(f.Message, known.Message)
	}
	return false
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// name is a module of the plan, with its variant where the plan has it more than once.
func (p planResult) name(m moduleResult) string {
	same := 0
	for _, other := range p.Modules {
		if other.Module == m.Module {
			same++
		}
	}
	if same < 2 {
		return m.Module
	}
	return m.Module + shown(m.Variant)
}

// verdict is the result in one word. REVIEW means that a page was kept as evidence for somebody
// to look at, which the suite counts as success.
func (m moduleResult) verdict() string {
	switch {
	case m.Status != "FINISHED":
		return m.Status
	case m.Result == "REVIEW":
		return "PASSED"
	}
	return m.Result
}

func (p planResult) save(dir string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "plan.json"), append(b, '\n'), 0o600)
}

// explanation says why a result other than success is right. Plan, module and condition are
// patterns as --modules takes them.
type explanation struct {
	Plan      string `json:"plan"`
	Module    string `json:"module"`
	Condition string `json:"condition"`
	Result    string `json:"result"`
	Why       string `json:"why"`
}

func readExpected(file string) ([]explanation, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []explanation
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i, e := range list {
		if e.Why == "" || e.Module == "" || e.Result == "" {
			return nil, fmt.Errorf("%s: entry %d lacks module, result or why", file, i+1)
		}
	}
	return list, nil
}

// applies says whether the explanation speaks of a module of a plan.
func (e explanation) applies(plan, module string) bool {
	return matchesAny(e.Plan, plan) && matchesAny(e.Module, module)
}

func (e explanation) covers(plan, module string, f finding) bool {
	return e.applies(plan, module) && e.Result == f.Result && matchesAny(e.Condition, f.Condition)
}

// explain finds the explanation of a finding.
func explain(list []explanation, plan, module string, f finding) (explanation, bool) {
	i := slices.IndexFunc(list, func(e explanation) bool { return e.covers(plan, module, f) })
	if i < 0 {
		return explanation{}, false
	}
	return list[i], true
}

// judgement is what is not as expected: findings that nobody explained, and explanations of what
// did not happen.
type judgement struct {
	unexpected []string
	stale      []string
}

// judge compares results with what is explained. Whether an explanation is stale can be said only
// of plans that ran as a whole.
func judge(plans []planResult, explained []explanation) judgement {
	var j judgement
	applied, used := map[int]bool{}, map[int]bool{}
	for _, p := range plans {
		for _, m := range p.Modules {
			for i, e := range explained {
				if e.applies(p.Key, m.Module) {
					applied[i] = applied[i] || !p.Partial
					used[i] = used[i] || slices.ContainsFunc(m.Findings, func(f finding) bool { return e.covers(p.Key, m.Module, f) })
				}
			}
			j.unexpected = append(j.unexpected, unexplained(p, m, explained)...)
		}
	}
	for i, e := range explained {
		if applied[i] && !used[i] {
			j.stale = append(j.stale, fmt.Sprintf("%s %s: %s %s", e.Plan, e.Module, e.Result, e.Condition))
		}
	}
	return j
}

func unexplained(p planResult, m moduleResult, explained []explanation) []string {
	var out []string
	at := p.Key + " " + p.name(m)
	for _, f := range m.Findings {
		if _, ok := explain(explained, p.Key, m.Module, f); !ok {
			out = append(out, fmt.Sprintf("%s: %s %s: %s", at, f.Result, f.Condition, f.Message))
		}
	}
	if good := slices.Contains([]string{"PASSED", warning, skipped}, m.verdict()); !good && len(out) == 0 {
		out = append(out, at+": "+m.verdict())
	}
	return out
}

func (j judgement) err() error {
	if len(j.unexpected)+len(j.stale) > 0 {
		return errors.New("not everything was as expected")
	}
	return nil
}

// printResults prints a line per plan, then everything unexpected.
func printResults(w io.Writer, plans []planResult, j judgement) {
	fmt.Fprintln(w)
	for _, p := range plans {
		fmt.Fprintf(w, "%-20s %s\n", p.Key, counts(p))
	}
	for _, line := range j.unexpected {
		fmt.Fprintln(w, "unexpected:", line)
	}
	for _, line := range j.stale {
		fmt.Fprintln(w, "expected, but did not happen:", line)
	}
}

// counts is how many modules ended how, in words.
func counts(p planResult) string {
	n := map[string]int{}
	var order []string
	for _, m := range p.Modules {
		if n[m.verdict()] == 0 {
			order = append(order, m.verdict())
		}
		n[m.verdict()]++
	}
	slices.Sort(order)
	parts := make([]string, len(order))
	for i, v := range order {
		parts[i] = fmt.Sprintf("%d %s", n[v], strings.ToLower(v))
	}
	return strings.Join(parts, ", ")
}
