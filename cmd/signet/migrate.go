package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"signet/internal/app"
)

func migrateCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Long: "Applies the migrations that are missing, each in one transaction, and says which. Any number of\n" +
			"instances may do it at once. A schema that is newer than this binary is not touched.",
		Example: "  signet migrate --config /etc/signet/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Data != "" && o.Config == "" {
				if err := makeData(o.Data); err != nil {
					return err
				}
			}
			cfg, err := o.load()
			if err != nil {
				return err
			}
			applied, err := app.Migrate(cmd.Context(), cfg, app.Options{Log: toolLog()})
			for _, m := range applied {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "applied %s\n", m.Name)
			}
			if err == nil && len(applied) == 0 {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
			}
			return err
		},
	}
}
