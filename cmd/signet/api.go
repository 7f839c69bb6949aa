package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/oauth/client"
)

func apiCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Register the APIs that clients may ask tokens for",
		Long: "An API is a service that accepts access tokens. Its audience is the value that tokens for it carry in\n" +
			"aud and that clients may send as resource (RFC 8707). A scope belongs to one API.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(apiCreate(o), apiList(o), apiDelete(o))
	return cmd
}

func apiCreate(o *options) *cobra.Command {
	var a client.API
	var scopes []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register an API with its scopes",
		Example: `  signet api create --audience https://orders.example.com --name Orders \
      --scope "orders:read=See your orders" --scope "orders:write=Place orders for you"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.Scopes = map[string]string{}
			for _, s := range scopes {
				name, description, _ := strings.Cut(s, "=")
				if _, twice := a.Scopes[name]; twice {
					return usagef("--scope %q is given twice", name)
				}
				a.Scopes[name] = description
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				made, err := s.Clients.CreateAPI(cmd.Context(), a)
				if err != nil {
					return plain("the API was not created", err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), made)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "API %s was created with %d scopes. Allow a client to use it:\n  signet client update CLIENT_ID --add-scope SCOPE\n",
					made.Audience, len(made.Scopes))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.Audience, "audience", "", "absolute URI that names the API in tokens (required)")
	f.StringVar(&a.Name, "name", "", "name that people see (required)")
	f.StringArrayVar(&scopes, "scope", nil, "NAME or NAME=DESCRIPTION; consent shows the description (repeatable)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("audience")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func apiList(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the APIs",
		Example: "  signet api list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				apis, err := s.Clients.APIs(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), append([]client.API{}, apis.All()...))
				}
				var rows [][]string
				for _, a := range apis.All() {
					rows = append(rows, []string{a.Audience, a.ManagedBy, strings.Join(slices.Sorted(maps.Keys(a.Scopes)), " "), a.Name})
				}
				return printTable(cmd.OutOrStdout(), "There are no APIs yet: signet api create --help",
					[]string{"AUDIENCE", "MANAGED BY", "SCOPES", "NAME"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func apiDelete(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "delete AUDIENCE",
		Short:   "Delete an API that no client uses any more",
		Example: "  signet api delete https://orders.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				if err := s.Clients.DeleteAPI(cmd.Context(), args[0]); err != nil {
					return plain("the API was not deleted", err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"audience": args[0], "result": "deleted"})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "API %s is deleted.\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
