package compare

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"signet/bench/load"
)

func TestRow_PassesOnTheRightSideOfItsAim(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row       Row
		aim, pass bool
	}{
		{Row{Value: 0.5, Aim: 0.5}, true, true},
		{Row{Value: 0.49, Aim: 0.5}, true, false},
		{Row{Value: 1.15, Aim: 1.15, AtMost: true}, true, true},
		{Row{Value: 1.16, Aim: 1.15, AtMost: true}, true, false},
		{Row{Value: 0, Aim: 0, AtMost: true}, true, true},
		{Row{Value: 1, Aim: 0, AtMost: true}, true, false},
		{Row{Value: 0.2}, false, true},
	} {
		if got := c.row.HasAim(); got != c.aim {
			t.Errorf("%+v: HasAim %v", c.row, got)
		}
		if got := c.row.Pass(); got != c.pass {
			t.Errorf("%+v: Pass %v", c.row, got)
		}
	}
}

func TestReport_CountsWhatWasNotMeasuredAsMissed(t *testing.T) {
	t.Parallel()
	var r Report
	r.add(Row{Name: "good", Value: 1, Aim: 0.5, Ratio: true})
	r.add(Row{Name: "latency", Value: math.NaN(), Aim: 1.15, AtMost: true, Ratio: true})
	r.failures("refresh", load.Result{Done: 5, Failed: 2, Lost: 1, Failures: map[string]int{"http 503": 2}, Example: "busy"})
	r.failures("refresh", load.Result{Done: 5, Failed: 1})
	if r.Missed() != 1 || r.Failed != 3 || r.Lost != 1 {
		t.Errorf("missed %d, failed %d, lost %d; want 1, 3, 1", r.Missed(), r.Failed, r.Lost)
	}
	var text, doc bytes.Buffer
	if err := r.Table(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MISS", "pass", "not measured", "http 503", "lost tokens 1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, text.String())
		}
	}
	if err := r.JSON(&doc); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || len(back.Rows) != 2 || !back.Rows[1].Missing {
		t.Errorf("%v: %+v", err, back)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}, {[]float64{7}, 7}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("median of nothing is a number")
	}
}

func TestSpecs_NameFlowsThatExist(t *testing.T) {
	t.Parallel()
	for _, s := range specs {
		f, err := load.Find(s.flow)
		if err != nil {
			t.Error(err)
		}
		if s.signs && f.Bare == nil || !s.hash && f.Bare == nil {
			t.Errorf("%s has no bare handler to be compared with", s.flow)
		}
	}
}

func TestResident_OfThisProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // there is no /proc to read, and the bench says so
	}
	if n, err := resident(os.Getpid()); err != nil || n < 1e6 || n > 1e11 {
		t.Errorf("%v bytes (%v)", n, err)
	}
}
