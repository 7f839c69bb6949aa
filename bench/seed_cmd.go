package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"signet/bench/seed"
)

func runSeed(ctx context.Context, args []string) error {
	o := seed.Options{MemoryKiB: 19456, Time: 2, Parallelism: 1, Now: time.Now()}
	fs := flag.NewFlagSet("bench seed", flag.ExitOnError)
	postgres := fs.String("postgres", "", "URL of a migrated throw-away Postgres database")
	sqlite := fs.String("sqlite", "", "or a migrated throw-away SQLite file")
	fs.IntVar(&o.Accounts, "accounts", 1000, "accounts to write, each with a session, a consent, a grant and a refresh token")
	fs.StringVar(&o.Client, "client-id", "", "existing client that the grants belong to")
	fs.StringVar(&o.Password, "password", "", "of every account (or environment BENCH_PASSWORD)")
	_ = fs.Parse(args) // exits on error
	o.Password = orEnv(o.Password, "BENCH_PASSWORD")
	start := time.Now() // for the duration only
	var err error
	switch {
	case *postgres != "" && *sqlite == "":
		err = seed.Postgres(ctx, *postgres, o)
	case *sqlite != "" && *postgres == "":
		err = seed.SQLite(ctx, *sqlite, o)
	default:
		err = errors.New("give either --postgres or --sqlite")
	}
	if err == nil {
		fmt.Printf("%d accounts in %s; they sign in as "+seed.Pattern+" and so on\n", o.Accounts, time.Since(start).Round(time.Second), 0)
	}
	return err
}
