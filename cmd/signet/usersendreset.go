package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/platform/errs"
)

func userSendReset(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "send-reset USER",
		Short: "Mail somebody a link to choose a new password",
		Long: "The link goes to the address of the account and works for half an hour, once. You never see it, nor the\n" +
			"password; nothing changes before it is used. It is sent to an address that was never proven too, and\n" +
			"proves it: make sure that it belongs to the owner. A second factor stays (signet user reset-mfa).",
		Example: "  signet user send-reset jane@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				a, err := findUser(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				_, err = s.Accounts.ResetMail(cmd.Context(), a.ID, "", "")
				switch {
				case errs.Is(err, errs.NotFound):
					return fmt.Errorf("no mail is configured (mail.smtp): set a password with signet user set-password instead")
				case errs.Is(err, errs.Invalid):
					return fmt.Errorf("account %s has no address, or is disabled", nameOf(a))
				case err != nil:
					return inWords("the mail was not written", err, 0)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"id": string(a.ID), "address": a.Email})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "A link to choose a new password is on its way to %s.\n", a.Email)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
