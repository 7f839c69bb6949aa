package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"signet/internal/config"
)

func configCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration, or print one to start from",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "check",
			Short:   "Report everything that is wrong with a configuration",
			Example: "  signet config check --config /etc/signet/config.yaml",
			Args:    cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				o.serving = true
				cfg, err := o.load()
				if err != nil {
					return err
				}
				where := "SQLite " + cfg.Database.Path
				if cfg.Database.URL != "" {
					where = "Postgres"
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "The configuration is good: issuer %s, store %s, %d clients, %d APIs.\n",
					orNone(cfg.Issuer), where, len(cfg.Clients), len(cfg.APIs))
				return err
			},
		},
		&cobra.Command{
			Use:     "example",
			Short:   "Print a configuration with every key, its default and why one would change it",
			Example: "  signet config example > config.yaml",
			Args:    cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example())
				return err
			},
		},
	)
	return cmd
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
