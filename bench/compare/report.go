package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"signet/bench/load"
)

// Row is one line of the report.
type Row struct {
	Name    string  `json:"name"`
	Engine  string  `json:"engine,omitempty"`
	Rate    float64 `json:"per_second,omitempty"`
	Allowed float64 `json:"allowed_per_second,omitempty"`
	Value   float64 `json:"value"` // what is held against the aim
	Ratio   bool    `json:"ratio,omitempty"`
	CPU     float64 `json:"cpu_ratio,omitempty"` // the same by processor time
	Unit    string  `json:"unit,omitempty"`
	Aim     float64 `json:"aim"`
	AtMost  bool    `json:"at_most,omitempty"` // else Aim is the least value, and 0 means no aim
	Note    string  `json:"note,omitempty"`
	Missing bool    `json:"missing,omitempty"` // could not be measured
}

// HasAim reports whether the row is held against something.
func (r Row) HasAim() bool { return r.AtMost || r.Aim > 0 }

// Pass reports whether the aim is met. A value that could not be measured does not pass.
func (r Row) Pass() bool {
	switch {
	case r.Missing:
		return false
	case r.AtMost:
		return r.Value <= r.Aim
	}
	return r.Value >= r.Aim
}

func (r Row) String() string {
	s := fmt.Sprintf("%s %s", r.Name, number(r.Value, r.Ratio))
	if r.Rate > 0 {
		s += fmt.Sprintf(" (%.0f/s of %.0f/s; by processor time %.2f)", r.Rate, r.Allowed, r.CPU)
	}
	return s
}

// Report is what a run found.
type Report struct {
	Machine  string                 `json:"machine"`
	Rows     []Row                  `json:"rows"`
	Failures map[string]load.Result `json:"failures,omitempty"` // of measurements with failed operations
	Failed   int                    `json:"failed"`
	Lost     int                    `json:"lost_tokens"`
}

func (r *Report) add(row Row) {
	if math.IsNaN(row.Value) || math.IsInf(row.Value, 0) {
		row.Missing, row.Value, row.Note = true, 0, "not measured"
	}
	for _, v := range []*float64{&row.Allowed, &row.CPU} {
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			*v = 0
		}
	}
	r.Rows = append(r.Rows, row)
}

// failures keeps a result in which something failed: a rate of failures is no rate.
func (r *Report) failures(name string, res load.Result) {
	r.Failed += res.Failed
	r.Lost += res.Lost
	if res.Failed == 0 {
		return
	}
	if r.Failures == nil {
		r.Failures = map[string]load.Result{}
	}
	if old, ok := r.Failures[name]; !ok || old.Failed < res.Failed {
		r.Failures[name] = res
	}
}

// Missed counts the aims that were not met.
func (r *Report) Missed() int {
	n := 0
	for _, row := range r.Rows {
		if row.HasAim() && !row.Pass() {
			n++
		}
	}
	return n
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s\n\n", r.Machine)
	fmt.Fprintln(tw, "what\tstore\trate\tallowed\tvalue\taim\t\tby cpu\tnote")
	for _, row := range r.Rows {
		rate, allowed, aim, verdict, cpu := "", "", "", "", ""
		if row.CPU > 0 {
			cpu = number(row.CPU, true)
		}
		if row.Rate > 0 {
			rate, allowed = fmt.Sprintf("%.0f/s", row.Rate), fmt.Sprintf("%.0f/s", row.Allowed)
		}
		if row.HasAim() {
			aim, verdict = "≥ ", "MISS"
			if row.AtMost {
				aim = "≤ "
			}
			aim += number(row.Aim, row.Ratio) + unit(row)
			if row.Pass() {
				verdict = "pass"
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.Engine, rate, allowed,
			number(row.Value, row.Ratio)+unit(row), aim, verdict, cpu, row.Note)
	}
	fmt.Fprintf(tw, "\nfailed operations %d, lost tokens %d, aims missed %d\n", r.Failed, r.Lost, r.Missed())
	for name, res := range r.Failures {
		fmt.Fprintf(tw, "%s: %d of %d failed: %v, for example %s\n", name, res.Failed, res.Failed+res.Done, res.Failures, res.Example)
	}
	return tw.Flush()
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func number(v float64, ratio bool) string {
	switch {
	case ratio:
		return fmt.Sprintf("%.2f", v)
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func unit(r Row) string {
	if r.Unit == "" {
		return ""
	}
	return " " + r.Unit
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
