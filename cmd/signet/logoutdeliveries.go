package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/oauth/logout"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
)

func logoutCommand(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "logout-deliveries",
		Short: "See which applications were told of sign-outs",
		Long: "An application with a backchannel_logout_uri is told when a session ends that its user came from. The\n" +
			"notice is put into the store together with the end of the session, and is tried for four days until the\n" +
			"application takes it. Without a subcommand, this shows where each application stands.",
		Example: "  signet logout-deliveries\n  signet logout-deliveries list --dead",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := standings(cmd.Context(), s)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printStandings(cmd.OutOrStdout(), list)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(logoutList(o), logoutRetry(o), logoutDrop(o))
	return cmd
}

// standing is where one application stands.
type standing struct {
	Application string    `json:"application"`
	Name        string    `json:"name"`
	Waiting     int       `json:"waiting"`
	GivenUp     int       `json:"given_up"`
	Delivered   int       `json:"delivered"` // in the last week
	Oldest      time.Time `json:"oldest_waiting,omitzero"`
	Last        time.Time `json:"last_delivered,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // of the newest that waits or was given up
}

func standings(ctx context.Context, s *app.Services) ([]standing, error) {
	tallies, err := s.Outbox.Tallies(ctx, logout.Kind)
	if err != nil {
		return nil, err
	}
	out := []standing{}
	for _, t := range tallies {
		one := standing{Application: t.Recipient, Waiting: t.Pending, GivenUp: t.Dead, Delivered: t.Done, Oldest: t.Oldest, Last: t.Delivered}
		if one.Name, err = clientName(ctx, s, t.Recipient); err != nil {
			return nil, err
		}
		for _, state := range []outbox.State{outbox.Dead, outbox.Pending} {
			newest, err := s.Outbox.List(ctx, outbox.Filter{Kind: logout.Kind, State: state, Recipient: t.Recipient, Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(newest) > 0 && newest[0].LastError != "" {
				one.LastError = newest[0].LastError
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// clientName is what people call an application, "" for one that is gone.
func clientName(ctx context.Context, s *app.Services, cid string) (string, error) {
	c, err := s.Clients.Recorded(ctx, id.Client(cid))
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.Name, nil
}

func printStandings(w io.Writer, list []standing) error {
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{
			s.Application, s.Name, strconv.Itoa(s.Waiting), strconv.Itoa(s.GivenUp), strconv.Itoa(s.Delivered), when(s.Oldest), when(s.Last), s.LastError,
		})
	}
	return printTable(w, "No application was to be told of a sign-out in the last week.",
		[]string{"APPLICATION", "NAME", "WAITING", "GIVEN UP", "DELIVERED", "OLDEST WAITING", "LAST DELIVERED", "LAST FAILURE"}, rows)
}

func logoutList(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the notices that wait, or those that were given up",
		Example: "  signet logout-deliveries list\n  signet logout-deliveries list --client wiki --all --json",
		Args:    cobra.NoArgs,
	}
	filter := &outbox.Filter{Kind: logout.Kind}
	listMessages(o, cmd, filter, map[outbox.State]string{
		outbox.Pending: "No notice waits.", outbox.Dead: "No notice was given up.", "": "No notice was put in the last week.",
	})
	cmd.Flag("dead").Usage = "those that expired, or that nobody can be told any more"
	cmd.Flags().StringVar(&filter.Recipient, "client", "", "those to one application")
	return cmd
}

func logoutRetry(o *options) *cobra.Command {
	return logoutChange(o, "retry", "Try notices again at once",
		"Makes a notice that waits or was given up due at once; a running server sends it within a second. One that\n"+
			"expired cannot be retried, nor one that was delivered.",
		"due again", func(s *app.Services) changeMail { return s.Outbox.Retry })
}

func logoutDrop(o *options) *cobra.Command {
	return logoutChange(o, "drop", "Delete notices that were not delivered",
		"Deletes a notice that waits or was given up. Whoever is signed in to the application there stays so until\n"+
			"the application's own session ends.",
		"deleted", func(s *app.Services) changeMail { return s.Outbox.Drop })
}

// logoutChange does one thing to one notice, or to all undelivered ones of an application.
func logoutChange(o *options, verb, short, long, done string, of func(*app.Services) changeMail) *cobra.Command {
	var asJSON bool
	var application string
	cmd := &cobra.Command{
		Use: verb + " [ID]", Short: short, Long: long,
		Example: "  signet logout-deliveries " + verb + " 01890a5d-ac96-774b-bcce-b302099a8057\n  signet logout-deliveries " + verb + " --client wiki",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (application != "") {
				return usagef("name one notice by its ID, or an application with --client")
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				changed, err := changeNotices(cmd.Context(), s, args, application, of(s))
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"ids": changed, "result": verb})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d %s.\n", len(changed), done)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&application, "client", "", "all undelivered notices to one application")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func changeNotices(ctx context.Context, s *app.Services, args []string, application string, change changeMail) ([]string, error) {
	changed := []string{}
	if len(args) == 1 {
		item, err := s.Outbox.Find(ctx, args[0])
		if err == nil && item.Kind != logout.Kind {
			err = outbox.ErrUnknown
		}
		if err == nil {
			err = change(ctx, item.ID)
		}
		if e := errs.As(err); err != nil && (e.Kind == errs.Conflict || e.Kind == errs.NotFound) {
			return nil, fmt.Errorf("notice %s: %w", args[0], e.Cause)
		}
		return append(changed, args[0]), err
	}
	for _, state := range []outbox.State{outbox.Pending, outbox.Dead} {
		list, err := s.Outbox.List(ctx, outbox.Filter{Kind: logout.Kind, State: state, Recipient: application, Limit: 100_000})
		if err != nil {
			return nil, err
		}
		for _, item := range list {
			err := change(ctx, item.ID)
			switch {
			case err == nil:
				changed = append(changed, item.ID)
			case !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.NotFound): // those moved meanwhile
				return nil, err
			}
		}
	}
	return changed, nil
}
