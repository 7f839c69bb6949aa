package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var basic = planResult{
	Key: "basic", Group: "default", Plan: "oidcc-basic-certification-test-plan", Variant: choices{"client_registration": "static_client"}, Suite: "5.2.4", Provider: "signet 1.0.0", Date: "2026-11-22",
	Modules: []moduleResult{
		{Module: "oidcc-server", Status: "FINISHED", Result: "PASSED"},
		{Module: "oidcc-prompt-login", Status: "FINISHED", Result: "REVIEW"},
		{Module: "oidcc-scope-phone", Status: "FINISHED", Result: warning,
			Findings: []finding{{Condition: "VerifyScopes", Result: warning, Message: "phone_number is missing"}}},
		{Module: "oidcc-idtoken-unsigned", Status: "FINISHED", Result: skipped,
			Findings: []finding{{Condition: "oidcc-idtoken-unsigned", Result: skipped, Message: "none is not supported"}}},
		{Module: "oidcc-codereuse", Status: "INTERRUPTED", Result: "FAILED",
			Findings: []finding{{Condition: "CheckError", Result: failure, Message: "no error"}}},
		{Module: "oidcc-display-page", Status: "TIMEOUT", Result: "UNKNOWN"},
	},
}

var reasons = []explanation{
	{Plan: "*", Module: "oidcc-idtoken-unsigned", Result: skipped, Why: "Unsigned ID tokens are not offered."},
	{Plan: "basic", Module: "oidcc-scope-*", Condition: "VerifyScopes", Result: warning, Why: "There is no telephone."},
}

func TestWriteReport(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	writeReport(&b, []planResult{basic}, reasons)
	for _, want := range []string{
		"suite, version 5.2.4, finds",
		"Of 6 modules in 1 plans, 2 passed, 1 passed with a warning, 1 were skipped and 2 failed. Passed includes 1 in which",
		"Tested: `signet 1.0.0` on 2026-11-22.\n",
		"| `oidcc-basic-certification-test-plan` `[client_registration=static_client]` | 6 | 2 | 1 | 1 | 2 |\n",
		"- warning of `oidcc-scope-phone`: “phone_number is missing” There is no telephone.\n",
		"- skipped of `oidcc-idtoken-unsigned`: “none is not supported” Unsigned ID tokens are not offered.\n",
		"- basic oidcc-codereuse: FAILURE CheckError: no error\n",
		"- basic oidcc-display-page: TIMEOUT\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}

// A report without its configuration could not be repeated.
func TestWriteReport_SaysHowTheServerWasConfigured(t *testing.T) {
	t.Parallel()
	for _, g := range groups {
		var b bytes.Buffer
		writeReport(&b, []planResult{{Key: g.plans[0].key, Group: g.name, Plan: g.plans[0].name}}, nil)
		for section, values := range g.settings {
			for key := range values.(map[string]any) {
				if !strings.Contains(b.String(), "`"+section+"."+key+": ") {
					t.Errorf("%s: the report lacks %s.%s:\n%s", g.name, section, key, b.String())
				}
			}
		}
	}
}

func TestWriteReportFile_ReadsWhatARunSaved(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, basic.Key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := basic.save(filepath.Join(out, basic.Key)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(out, "report.md")
	if err := writeReportFile(file, out, reasons); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	writeReport(&want, []planResult{basic}, reasons)
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s\nwant\n%s", got, &want)
	}
}

func TestWriteReportFile_NothingRan(t *testing.T) {
	t.Parallel()
	if err := writeReportFile(filepath.Join(t.TempDir(), "report.md"), t.TempDir(), nil); err == nil {
		t.Error("a report about nothing")
	}
}
