package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/config"
	"signet/internal/platform/telemetry"
)

func serveCommand(o *options) *cobra.Command {
	set := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve, configured by a file, the environment and flags",
		Long: "Serves until SIGTERM or SIGINT, then drains: not ready at once, still accepting for shutdown.delay,\n" +
			"requests in flight finish within shutdown.timeout. A second signal ends it at once.\n\n" +
			"Flags beat environment variables (SIGNET_LOG_LEVEL), which beat the file. An old schema is brought\n" +
			"up to date if database.auto_migrate allows it (on SQLite by default), else refused.",
		Example: "  signet serve --config /etc/signet/config.yaml\n" +
			"  SIGNET_ISSUER=https://id.example.com SIGNET_MASTER_KEY_FILE=/run/secrets/key signet serve",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Data != "" {
				return usagef("signet serve takes --config FILE; a data folder belongs to signet dev --data DIR")
			}
			for key, value := range set {
				if cmd.Flags().Changed(config.FlagName(key)) {
					o.Set = append(o.Set, key+"="+*value)
				}
			}
			o.serving = true
			cfg, err := o.load()
			if err != nil {
				return err
			}
			return serve(cmd, cfg)
		},
	}
	for _, f := range config.Flags() {
		set[f.Key] = cmd.Flags().String(config.FlagName(f.Key), "", f.Doc)
	}
	return cmd
}

func serve(cmd *cobra.Command, cfg *config.Config) error {
	app.LetHeapGrow()
	log := newLog(cmd.ErrOrStderr(), cfg)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx := cmd.Context()
	a, err := app.New(ctx, cfg, app.Options{Log: log, Migrate: cfg.Database.Migrate(), Patience: cfg.Database.StartTimeout})
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		a.Close()
		return err
	}
	log.Info("signet serves", "version", buildVersion(), "issuer", cfg.Issuer, "store", a.DB.Engine(),
		"listen", a.Addr(), "management", a.Management())
	return a.Run(signals)
}

func newLog(w io.Writer, cfg *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // one of four, the table says
	return telemetry.NewLogger(w, telemetry.LogOptions{Format: cfg.Log.Format, Level: level})
}
