package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/identity/account"
	"signet/internal/platform/errs"
)

// invitationMade is an invitation with its link, which is shown once.
type invitationMade struct {
	account.Invitation
	Link string `json:"link"`
	Sent bool   `json:"sent"`
}

func userInvite(o *options) *cobra.Command {
	in := account.NewInvitation{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "invite [ADDRESS]",
		Short: "Make a link with which somebody can create an account",
		Long: "Whoever opens the link can create one account, with the given address only, or with any if none is given.\n" +
			"Of several invitations for one address the newest counts. With --send the link is mailed to the address.\n\n" +
			"Invitations are needed where signup.mode is invite, and let others in where it is domains.",
		Example: "  signet user invite jane@example.com --send\n  signet user invite --expires 48h",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				in.Email = args[0]
			}
			if in.Send && in.Email == "" {
				return usagef("--send needs an ADDRESS")
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				if in.Send && !s.Accounts.MailEnabled() {
					return errors.New("no mail can be sent: set mail.smtp, or leave --send out and pass the link on yourself")
				}
				inv, link, err := s.Accounts.Invite(cmd.Context(), in)
				if errs.Is(err, errs.Forbidden) {
					return errors.New("signup.mode is closed: nobody can use an invitation. Make the account with signet user create")
				}
				if err != nil {
					return inWords("no invitation was made", err, 0)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), invitationMade{inv, link.Reveal(), in.Send})
				}
				if in.Send {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "The invitation goes to %s. It holds until %s.\n", inv.Email, when(inv.ExpiresAt))
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nThis link makes one account%s, until %s. It is not shown again.\n",
					link.Reveal(), onlyFor(inv.Email), when(inv.ExpiresAt))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.DurationVar(&in.Life, "expires", account.InvitationLife, "how long it holds, up to 2160h")
	f.BoolVar(&in.Send, "send", false, "mail the link to ADDRESS")
	f.StringVar(&in.Locale, "locale", "", "language of that mail, for example ko")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func onlyFor(email string) string {
	if email == "" {
		return ""
	}
	return " for " + email
}

func userInvitations(o *options) *cobra.Command {
	var after string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "invitations",
		Short:   "List the invitations that nobody has used yet",
		Example: "  signet user invitations",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := s.Accounts.Invitations(cmd.Context(), after)
				if err != nil {
					return inWords("cannot list invitations", err, 0)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				rows := make([][]string, len(list))
				for i, inv := range list {
					rows[i] = []string{inv.ID, dash(inv.Email), when(inv.ExpiresAt)}
				}
				return printTable(cmd.OutOrStdout(), "There are no invitations.", []string{"ID", "EMAIL", "EXPIRES"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "go on after the invitation with this id")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func userUninvite(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "uninvite ADDRESS|ID",
		Short:   "Take an invitation back",
		Example: "  signet user uninvite jane@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				err := s.Accounts.Uninvite(cmd.Context(), args[0])
				if errs.Is(err, errs.NotFound) {
					return fmt.Errorf("there is no invitation %q that could still be used", args[0])
				}
				if err != nil {
					return inWords("the invitation was not taken back", err, 0)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "The invitation of %s is void.\n", args[0])
				return err
			})
		},
	}
}
