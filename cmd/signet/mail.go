package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/platform/errs"
	"signet/internal/platform/mail"
	"signet/internal/platform/outbox"
)

func mailCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mail",
		Short: "Try the mail server, see what waits",
		Long: "Mail is put into the store together with what causes it and leaves from there, so a mail server that\n" +
			"is down delays it and loses nothing. What could not be delivered for good is kept until it expires.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(mailTest(o), mailList(o), mailRetry(o), mailDrop(o))
	return cmd
}

func mailTest(o *options) *cobra.Command {
	var verbose, asJSON bool
	cmd := &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Send a test mail now and show what the server said",
		Long: "Talks to the configured mail server at once, past the queue. If it fails, the whole conversation is\n" +
			"printed, without the password.",
		Example: "  signet mail test ada@example.com --config /etc/signet/config.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				transcript, err := s.Mail.Test(cmd.Context(), args[0])
				if errors.Is(err, mail.ErrOff) {
					return err
				}
				if asJSON {
					return printTest(cmd.OutOrStdout(), args[0], transcript, err)
				}
				if err != nil {
					if transcript != "" {
						_, _ = fmt.Fprintln(cmd.OutOrStdout(), transcript)
					}
					return fmt.Errorf("the mail was not sent: %w%s", err, hint(err))
				}
				if verbose {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), transcript)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "The server took a mail to %s. Look into the mailbox, and into its folder for spam.\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the conversation when it succeeds, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printTest prints the result for programs; a failure still ends the command with an error.
func printTest(w io.Writer, to, transcript string, err error) error {
	out := map[string]any{"to": to, "sent": err == nil, "conversation": strings.Split(transcript, "\n")}
	if err != nil {
		out["error"] = err.Error()
	}
	return errors.Join(printJSON(w, out), err)
}

// hint says what the usual failures are usually due to.
func hint(err error) string {
	text := err.Error()
	for _, h := range []struct{ mark, advice string }{
		{"does not support STARTTLS", "the server offers no STARTTLS on this port: try port 465 with mail.smtp.tls: implicit"},
		{"first record does not look like a", "the server does not begin with TLS on this port: try port 587 with mail.smtp.tls: starttls"},
		{"certificate", "the certificate is not for mail.smtp.host, or nobody trusts who signed it"},
		{"connection refused", "nothing listens there: check mail.smtp.host and mail.smtp.port, and the firewall on the way"},
		{"no such host", "the name is unknown: check mail.smtp.host"},
		{"took too long", "check mail.smtp.host and mail.smtp.port; many networks let no mail out on port 25"},
		{"SMTP AUTH failed", "check mail.smtp.username and the password"},
		{"does not support SMTP AUTH", "the server wants no password: leave mail.smtp.username out"},
		{"MAIL FROM", "the server does not send mail from this address: check mail.from, and whether it wants a password"},
	} {
		if strings.Contains(text, h.mark) {
			return "\n" + h.advice
		}
	}
	return ""
}

func mailList(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the mails that wait, or those that could not be delivered",
		Long: "Lists the mails that wait for delivery, with the reason of the last failure. A mail's text is not shown:\n" +
			"it may hold a code.",
		Example: "  signet mail list\n  signet mail list --dead --json",
		Args:    cobra.NoArgs,
	}
	listMessages(o, cmd, &outbox.Filter{Kind: mail.OutboxKind}, map[outbox.State]string{
		outbox.Pending: "No mail waits.", outbox.Dead: "No mail was given up.", "": "No mail was sent in the last week.",
	})
	cmd.Flag("dead").Usage = "those that were refused for good, expired, or were tried too often"
	return cmd
}

// listMessages gives a command the flags of a list of messages, and makes it print them. none is what
// it says where there are none.
func listMessages(o *options, cmd *cobra.Command, filter *outbox.Filter, none map[outbox.State]string) {
	var dead, all, asJSON bool
	f := cmd.Flags()
	f.BoolVar(&dead, "dead", false, "those that were given up")
	f.BoolVar(&all, "all", false, "delivered ones too (they are kept for a week)")
	f.IntVar(&filter.Limit, "limit", 100, "at most so many, newest first")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("dead", "all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case dead:
			filter.State = outbox.Dead
		case !all:
			filter.State = outbox.Pending
		}
		return o.withApp(cmd.Context(), func(s *app.Services) error {
			list, err := s.Outbox.List(cmd.Context(), *filter)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]outbox.Item{}, list...))
			}
			return printMessages(cmd.OutOrStdout(), list, none[filter.State])
		})
	}
}

func printMessages(w io.Writer, list []outbox.Item, none string) error {
	var rows [][]string
	for _, i := range list {
		stands := string(i.State)
		if i.UnderWay {
			stands = "under way"
		}
		next := i.Due
		if i.State != outbox.Pending {
			next = i.EndedAt
		}
		rows = append(rows, []string{i.ID, stands, strconv.Itoa(i.Attempts), when(i.CreatedAt), when(next), when(i.Expires), i.Recipient, i.LastError})
	}
	return printTable(w, none, []string{"ID", "STATE", "ATTEMPTS", "WRITTEN", "NEXT OR ENDED", "EXPIRES", "TO", "LAST FAILURE"}, rows)
}

func mailRetry(o *options) *cobra.Command {
	return mailChange(o, "retry", "Try a mail again at once",
		"Makes a mail that waits or was given up due at once; a running server sends it within a second.",
		"is due again", func(s *app.Services) changeMail { return s.Outbox.Retry })
}

func mailDrop(o *options) *cobra.Command {
	return mailChange(o, "drop", "Delete a mail that was not delivered",
		"Deletes a mail that waits or was given up. Whoever waits for it has to ask for another one.",
		"is deleted", func(s *app.Services) changeMail { return s.Outbox.Drop })
}

// changeMail is what an operator does to one mail.
type changeMail = func(ctx context.Context, id string) error

func mailChange(o *options, verb, short, long, done string, of func(*app.Services) changeMail) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Long: long,
		Example: "  signet mail " + verb + " 01890a5d-ac96-774b-bcce-b302099a8057",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				err := of(s)(cmd.Context(), args[0])
				if e := errs.As(err); err != nil && (e.Kind == errs.Conflict || e.Kind == errs.NotFound) {
					return fmt.Errorf("mail %s: %w", args[0], e.Cause)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"id": args[0], "result": verb})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Mail %s %s.\n", args[0], done)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
