package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/oauth/registration"
)

func registrationTokenCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registration-token",
		Short: "Tokens with which applications register themselves",
		Long: "An initial access token (RFC 7591) lets its holder register a client at /oauth2/register. Such a client\n" +
			"is not quarantined, and may have what the token says beyond registration.scopes.\n\n" +
			"They are needed where registration.mode is token, and accepted where it is open.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(registrationTokenCreate(o), registrationTokenList(o), registrationTokenRevoke(o))
	return cmd
}

func registrationTokenCreate(o *options) *cobra.Command {
	var n registration.NewInitial
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token; it is shown once",
		Example: `  signet registration-token create --note "for the shop team"
  signet registration-token create --uses 10 --expires 720h --scope orders.read --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				t, secret, err := s.Register.Create(cmd.Context(), n)
				if err != nil {
					return plain("no token was made", err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						registration.InitialToken
						Token string `json:"token"`
					}{t, secret.Reveal()})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nIt registers %s, until %s. It is not shown again.\n",
					secret.Reveal(), clients(t.UsesLeft), when(t.ExpiresAt))
				if err == nil && !s.Register.Enabled() {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "Nobody can use it yet: registration.mode is off.")
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Note, "note", "", "whom it is for")
	f.Int64Var(&n.Uses, "uses", 1, "how many clients it registers, -1 for any number")
	f.DurationVar(&n.Life, "expires", registration.InitialLife, "how long it holds, up to 8784h")
	f.StringSliceVar(&n.Policy.Scopes, "scope", nil, "scope that such a client may have besides registration.scopes (repeatable)")
	f.StringSliceVar(&n.Policy.Audiences, "audience", nil, "API that it may ask tokens for (repeatable)")
	f.StringSliceVar(&n.Policy.GrantTypes, "grant-type", nil, "grant type that it may have besides the usual ones (repeatable)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func clients(uses int64) string {
	switch uses {
	case -1:
		return "any number of clients"
	case 1:
		return "one client"
	}
	return strconv.FormatInt(uses, 10) + " clients"
}

func registrationTokenList(o *options) *cobra.Command {
	var after string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that have not expired",
		Example: "  signet registration-token list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				all, err := s.Register.List(cmd.Context(), after, limit)
				if err != nil {
					return err
				}
				now, list := s.Clock.Now(), []registration.InitialToken{}
				for _, t := range all {
					if now.Before(t.ExpiresAt) {
						list = append(list, t)
					}
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				rows := make([][]string, len(list))
				for i, t := range list {
					left := strconv.FormatInt(t.UsesLeft, 10)
					if t.UsesLeft < 0 {
						left = "any"
					}
					more := strings.Join(append(append(t.Policy.Scopes, t.Policy.Audiences...), t.Policy.GrantTypes...), " ")
					rows[i] = []string{t.ID, left, t.ExpiresAt.UTC().Format(time.DateTime), dash(more), t.Note}
				}
				return printTable(cmd.OutOrStdout(), "There are no registration tokens.", []string{"ID", "USES LEFT", "EXPIRES", "MORE", "NOTE"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "go on after the token with this id")
	cmd.Flags().IntVar(&limit, "limit", 1000, "how many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func registrationTokenRevoke(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token; clients that it let in stay",
		Example: "  signet registration-token revoke 0197a0de-0000-7000-8000-000000000001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				if err := s.Register.Revoke(cmd.Context(), args[0]); err != nil {
					return plain("the token was not revoked", err)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Token %s is void.\n", args[0])
				return err
			})
		},
	}
}
