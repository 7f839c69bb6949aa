package main

import (
	"context"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/platform/store"
)

// options are the flags that every subcommand shares: where the store is.
type options struct {
	Data   string // --data DIR, a folder made by `signet dev`
	Config string // --config FILE
}

// bind gives cmd and its subcommands the flags --data and --config.
func (o *options) bind(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&o.Data, "data", "", "data folder of `signet dev`")
	cmd.PersistentFlags().StringVar(&o.Config, "config", "", "configuration file of `signet serve`")
}

// openStore opens the store that the flags name and checks its schema. The caller closes it.
func (o *options) openStore(ctx context.Context) (*store.DB, error) {
	s, err := o.openApp(ctx)
	if err != nil {
		return nil, err
	}
	return s.DB, nil
}

// openApp opens the store and wires the services over it, without listeners and workers: what
// the subcommands work with. The caller closes it.
func (o *options) openApp(ctx context.Context) (*app.Services, error) {
	panic("being written")
}
