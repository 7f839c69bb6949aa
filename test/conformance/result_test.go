package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	j := judge([]planResult{basic}, append(slices.Clone(reasons),
		explanation{Plan: "basic", Module: "oidcc-server", Result: warning, Why: "It used to."},
		explanation{Plan: "hybrid", Module: "oidcc-server", Result: warning, Why: "Did not run."}))
	if got := strings.Join(j.unexpected, "\n"); len(j.unexpected) != 2 || !strings.Contains(got, "oidcc-codereuse") || !strings.Contains(got, "oidcc-display-page: TIMEOUT") {
		t.Errorf("unexpected: %s", got)
	}
	if len(j.stale) != 1 || !strings.HasPrefix(j.stale[0], "basic oidcc-server") {
		t.Errorf("stale: %q", j.stale)
	}
	if j.err() == nil {
		t.Error("no error")
	}
}

func TestJudge_PartsSayNothingAboutTheRest(t *testing.T) {
	t.Parallel()
	part := planResult{Key: "basic", Partial: true, Modules: []moduleResult{{Module: "oidcc-scope-email", Status: "FINISHED", Result: "PASSED"}}}
	if j := judge([]planResult{part}, reasons); j.err() != nil {
		t.Errorf("%+v", j)
	}
}

func TestNewModuleResult_KeepsEachFindingOnce(t *testing.T) {
	t.Parallel()
	m := newModuleResult(moduleRef{Module: "oidcc-server"}, "id", moduleInfo{"FINISHED", "FAILED"}, []logEntry{
		{Source: "A", Result: "SUCCESS", Message: "fine"},
		{Source: "B", Result: failure, Message: "bad\nat line 1"},
		{Source: "B", Result: failure, Message: "bad"},
		{Source: "B", Result: warning, Message: "bad"},
		{Source: "C", Result: failure, Message: "bad"},
		{Source: "oidcc-server", Result: failure, Message: "Web Runner Exception: bad"},
	})
	if len(m.Findings) != 3 || m.Findings[0].Message != "bad" || m.verdict() != "FAILED" {
		t.Errorf("%+v", m)
	}
}

func TestExpected_IsReadableAndAboutPlansThatExist(t *testing.T) {
	t.Parallel()
	list, err := readExpected("expected.json")
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Collect(maps.Keys(allPlans(t)))
	for _, e := range list {
		if !slices.ContainsFunc(keys, func(key string) bool { return matchesAny(e.Plan, key) }) {
			t.Errorf("no plan is called %q", e.Plan)
		}
	}
}

// allPlans also checks that every name means one thing.
func allPlans(t *testing.T) map[string]plan {
	t.Helper()
	all := map[string]plan{}
	for _, g := range groups {
		for _, p := range g.plans {
			if _, twice := all[p.key]; twice || slices.ContainsFunc(groups, func(g group) bool { return g.name == p.key }) {
				t.Errorf("%q is the name of two things", p.key)
			}
			all[p.key] = p
		}
	}
	return all
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := choose("basic,legacy,hybrid")
	if err != nil || len(chosen["default"]) != 1 || len(chosen["legacy"]) != 4 || len(chosen) != 2 {
		t.Errorf("%v, %v", chosen, err)
	}
	if _, err := choose("basic,nothing"); err == nil {
		t.Error("a plan that does not exist was chosen")
	}
}

// What a plan registers at the provider and what it tells the suite must be the same clients.
func TestRegister_BothSidesKnowTheSameClients(t *testing.T) {
	t.Parallel()
	a, err := newAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for key, p := range allPlans(t) {
		r, err := register(p, a)
		if err != nil {
			t.Fatal(err)
		}
		told := []string{}
		for _, c := range r.suite {
			if c, ok := c.(map[string]any); ok && c["client_id"] != nil {
				told = append(told, c["client_id"].(string))
			}
		}
		registered := []string{}
		for _, c := range r.provider {
			registered = append(registered, c["id"].(string))
		}
		slices.Sort(told)
		slices.Sort(registered)
		if !slices.Equal(told, registered) || p.dynamic != (len(told) == 0) {
			t.Errorf("%s: the suite knows %q, the provider %q", key, told, registered)
		}
	}
}
