package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"signet/bench/compare"
)

func runCompare(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := compare.Options{Bench: self, Log: os.Stderr}
	fs := flag.NewFlagSet("bench compare", flag.ExitOnError)
	fs.StringVar(&o.Signet, "signet", "bin/signet", "the program")
	fs.StringVar(&o.Postgres, "postgres", "", "superuser URL of a throw-away Postgres server with fsync on")
	fs.StringVar(&o.Dir, "dir", "", "folder for files and logs, kept afterwards (default: a temporary one, removed)")
	fs.IntVar(&o.Small, "small", 1000, "accounts in the small store")
	fs.IntVar(&o.Size, "size", 100_000, "accounts in the large store")
	fs.IntVar(&o.Rounds, "rounds", 11, "rounds per figure, of which the median counts")
	fs.DurationVar(&o.Round, "round", 500*time.Millisecond, "time of one measurement")
	fs.IntVar(&o.Workers, "workers", 16, "requests under way at the same time")
	parts := fs.String("parts", "", "only these, with commas: "+strings.Join(compare.Parts, ", "))
	flows := fs.String("flows", "", "only these flows in the parts ratios and flat")
	asJSON := fs.String("json", "", "also write the report to this file")
	strict := fs.Bool("strict", false, "fail when an aim is missed")
	_ = fs.Parse(args) // exits on error
	if *parts != "" {
		o.Parts = strings.Split(*parts, ",")
	}
	if *flows != "" {
		o.Flows = strings.Split(*flows, ",")
	}
	if o.Rounds < 1 || o.Workers < 1 || o.Small < 100 || o.Size < o.Small || o.Round < 100*time.Millisecond {
		return errors.New("--rounds and --workers must be at least 1, --round 100ms, --small 100 and not above --size")
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "signet-bench"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(o.Dir) }()
	}
	report, err := compare.Run(ctx, o)
	if err := errors.Join(err, report.Table(os.Stdout)); err != nil {
		return err
	}
	if *asJSON != "" {
		f, err := os.Create(*asJSON)
		if err != nil {
			return err
		}
		if err := errors.Join(report.JSON(f), f.Close()); err != nil {
			return err
		}
	}
	switch {
	case report.Lost > 0:
		return fmt.Errorf("%d lost tokens", report.Lost)
	case *strict && report.Missed() > 0:
		return fmt.Errorf("%d aims missed", report.Missed())
	}
	return nil
}
