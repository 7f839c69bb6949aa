package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

func auditCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the record of security-relevant acts",
		Long: "Whatever changes who may do what is recorded in the transaction of the act itself: who did it, to whom,\n" +
			"from where, in which browser, with which result.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditList(o))
	return cmd
}

type auditFlags struct {
	user, actor, action, result, client string
	since, until, after                 string
	limit                               int
	asJSON, asCSV                       bool
}

func auditList(o *options) *cobra.Command {
	var fl auditFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List records, the newest first",
		Long: "List records, the newest first. --user means the account that an act concerned, whoever did it;\n" +
			"--actor is who did it: an account, a client, cli for the command line.\n\n" +
			"--since and --until take a duration back from now (90m, 24h, 7d) or a time (2026-01-31,\n" +
			"2026-01-31T15:04:05Z).",
		Example: `  signet audit list --user jane@example.com --since 7d
  signet audit list --action login --result refused --limit 1000 --json
  signet audit list --csv > audit.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fl.asJSON && fl.asCSV {
				return usagef("give either --json or --csv")
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				f, err := fl.filter(cmd, s)
				if err != nil {
					return err
				}
				list, err := s.Audit.List(cmd.Context(), f)
				if err != nil {
					return err
				}
				if err := fl.print(cmd.OutOrStdout(), list); err != nil {
					return err
				}
				if len(list) > 0 && len(list) == f.Limit {
					_, err = fmt.Fprintf(cmd.ErrOrStderr(), "There may be more: add --after %s\n", list[len(list)-1].Cursor())
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.user, "user", "", "only acts on this account: address, username or id (the id also of one that is deleted)")
	f.StringVar(&fl.actor, "actor", "", "only acts of this account, client, or cli")
	f.StringVar(&fl.action, "action", "", "only this act, for example login or password.change")
	f.StringVar(&fl.result, "result", "", "ok or refused")
	f.StringVar(&fl.client, "client", "", "only acts that concern this client")
	f.StringVar(&fl.since, "since", "", "not before: a duration back from now, or a time")
	f.StringVar(&fl.until, "until", "", "before: a duration back from now, or a time")
	f.StringVar(&fl.after, "after", "", "go on where the list before ended")
	f.IntVar(&fl.limit, "limit", 100, fmt.Sprintf("how many, %d at most", audit.MaxLimit))
	f.BoolVar(&fl.asJSON, "json", false, "print JSON")
	f.BoolVar(&fl.asCSV, "csv", false, "print CSV, for spreadsheets")
	return cmd
}

func (fl *auditFlags) filter(cmd *cobra.Command, s *app.Services) (audit.Filter, error) {
	f := audit.Filter{Action: fl.action, Result: fl.result, Client: id.Client(fl.client), Limit: fl.limit}
	if f.Limit < 1 || f.Limit > audit.MaxLimit {
		return f, usagef("--limit is between 1 and %d", audit.MaxLimit)
	}
	if fl.result != "" && fl.result != audit.OK && fl.result != audit.Refused {
		return f, usagef("--result is %s or %s", audit.OK, audit.Refused)
	}
	var err error
	if f.After, err = audit.ParseCursor(fl.after); err != nil {
		return f, usagef("--after %q is not what an earlier list has printed", fl.after)
	}
	now := s.Clock.Now()
	if f.Since, err = instant(fl.since, now); err != nil {
		return f, usagef("--since %w", err)
	}
	if f.Until, err = instant(fl.until, now); err != nil {
		return f, usagef("--until %w", err)
	}
	if f.Target, err = person(cmd, s, fl.user); err != nil {
		return f, err
	}
	f.Actor = fl.actor
	if strings.Contains(fl.actor, "@") {
		f.Actor, err = person(cmd, s, fl.actor)
	}
	return f, err
}

// person finds the id by which the record knows somebody. The record outlives accounts, so what is
// found nowhere is taken for the id of one that was.
func person(cmd *cobra.Command, s *app.Services, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	a, err := s.Accounts.ByIdentifier(cmd.Context(), name)
	if errs.Is(err, errs.NotFound) && !strings.Contains(name, "@") {
		return name, nil
	}
	if errs.Is(err, errs.NotFound) {
		return "", fmt.Errorf("there is no account %s", printable(name))
	}
	return string(a.ID), err
}

// instant reads a duration back from now or a time.
func instant(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	back := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		back = days + "h"
	}
	d, err := time.ParseDuration(back)
	if back != s {
		d *= 24
	}
	if err != nil || d <= 0 || d > 100*365*24*time.Hour {
		return time.Time{}, fmt.Errorf("%q is neither a duration such as 24h or 7d nor a time such as 2026-01-31", s)
	}
	return now.Add(-d), nil
}

var auditHead = []string{"time", "action", "result", "actor", "target", "client", "ip", "user_agent", "request_id", "detail", "id"}

func (fl *auditFlags) print(w io.Writer, list []audit.Record) error {
	switch {
	case fl.asJSON:
		return printJSON(w, append([]audit.Record{}, list...))
	case fl.asCSV:
		out := csv.NewWriter(w)
		rows := [][]string{auditHead}
		for _, r := range list {
			rows = append(rows, []string{
				r.At.UTC().Format(time.RFC3339Nano), r.Action, r.Result, inert(r.Actor), inert(r.Target), inert(string(r.Client)),
				inert(r.IP), inert(r.UserAgent), inert(r.RequestID), inert(details(r.Detail)), r.ID,
			})
		}
		return out.WriteAll(rows)
	}
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{
			when(r.At), r.Action, r.Result, dash(visible(r.Actor)), dash(visible(r.Target)), dash(visible(string(r.Client))), dash(visible(r.IP)), visible(details(r.Detail)),
		})
	}
	return printTable(w, "There are no such records.", []string{"TIME", "ACTION", "RESULT", "ACTOR", "TARGET", "CLIENT", "IP", "DETAIL"}, rows)
}

// details writes the detail of a record in a stable order.
func details(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, " ")
}

// inert keeps a spreadsheet from taking a cell for a formula: some cells hold what a visitor sent
// (OWASP, CSV injection).
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

// visible leaves out what a terminal would obey rather than show, such as a change of direction.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
