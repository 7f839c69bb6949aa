package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/config"
	"signet/internal/platform/seal"
	"signet/internal/platform/telemetry"
)

// options are the flags that every subcommand shares: where the store is.
type options struct {
	Data   string   // --data DIR, a folder made by `signet dev`
	Config string   // --config FILE
	Set    []string // --set key=value

	// serving says that the configuration must be fit to serve with, not only to find the store.
	serving bool
}

// defaultData is the folder of `signet dev` without --data, where other subcommands look too.
const defaultData = "signet-data"

// bind gives cmd and its subcommands the shared flags.
func (o *options) bind(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	if f.Lookup("data") != nil {
		return
	}
	f.StringVar(&o.Data, "data", "", "data folder of signet dev, or SIGNET_DATA (default ./"+defaultData+")")
	f.StringVar(&o.Config, "config", "", "configuration file of signet serve, or SIGNET_CONFIG")
	f.StringArrayVar(&o.Set, "set", nil, "set a key of the configuration: --set log.level=debug (repeatable)")
}

func (o *options) source(file string) config.Source {
	check := app.CheckFile
	if o.serving {
		check = app.CheckServe
	}
	return config.Source{File: file, Env: os.Environ(), Set: o.Set, Check: check}
}

// load finds out which store is meant and returns its configuration.
func (o *options) load() (*config.Config, error) {
	switch {
	case o.Data != "" && o.Config != "":
		return nil, usagef("give either --data or --config")
	case o.Config == "" && o.Data == "":
		o.Config, o.Data = os.Getenv("SIGNET_CONFIG"), os.Getenv("SIGNET_DATA")
	}
	if o.Config == "" && o.Data == "" {
		if os.Getenv("SIGNET_ISSUER") != "" { // configured by the environment alone
			return config.Load(o.source(""))
		}
		if _, err := os.Stat(filepath.Join(defaultData, storeFile)); err != nil {
			return nil, usagef("which store? --data DIR (made by signet dev) or --config FILE")
		}
		o.Data = defaultData
	}
	if o.Config != "" {
		return config.Load(o.source(o.Config))
	}
	if len(o.Set) > 0 {
		return nil, usagef("--set belongs to --config")
	}
	return dataConfig(o.Data)
}

// Files of a data folder.
const (
	storeFile  = "signet.db"
	masterFile = "master.key"
	sampleFile = "sample.secret"
	issuerFile = "issuer" // where signet dev last served the folder
)

// dataConfig is the configuration of a data folder: all defaults.
func dataConfig(dir string) (*config.Config, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("there is no data folder %s: make one with signet dev --data %s", dir, dir)
	}
	key := filepath.Join(dir, masterFile)
	if _, err := seal.Load(key); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not a data folder (it has no %s): make one with signet dev --data %s", dir, masterFile, dir)
		}
		return nil, err
	}
	text, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	c := config.Default()
	c.Issuer = "http://localhost:8080"
	if served, err := os.ReadFile(filepath.Join(dir, issuerFile)); err == nil {
		c.Issuer = strings.TrimSpace(string(served)) // links that subcommands make lead to it
	}
	c.MasterKey = seal.Secret(text)
	c.Database.Path = filepath.Join(dir, storeFile)
	c.Management.Listen = "off"
	c.Mail.KeepMail() // signet dev shows it
	c.Shutdown.Delay, c.Shutdown.Timeout = 0, 5*time.Second
	return c, nil
}

// makeData makes a data folder, or completes one.
func makeData(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, masterFile)); err == nil {
		return nil
	}
	// A store without its key is somebody's data: a new key would bury it.
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err == nil {
		return fmt.Errorf("%s has a store but no %s: put the key back", dir, masterFile)
	}
	_, err := seal.Create(filepath.Join(dir, masterFile))
	return err
}

// openApp opens the store that the flags name and wires the services over it, without listeners
// and workers: what the subcommands work with. The caller closes it.
func (o *options) openApp(ctx context.Context) (*app.Services, error) {
	cfg, err := o.load()
	if err != nil {
		return nil, err
	}
	if cfg.Database.URL == "" {
		if _, err := os.Stat(cfg.Database.Path); err != nil { // opening would make an empty one
			return nil, fmt.Errorf("there is no store at %s: run signet migrate", cfg.Database.Path)
		}
	}
	return app.Open(ctx, cfg, app.Options{Log: toolLog()})
}

// toolLog is the log of a subcommand: only what went wrong, for people.
func toolLog() *slog.Logger {
	return telemetry.NewLogger(os.Stderr, telemetry.LogOptions{Format: "text", Level: slog.LevelWarn})
}
