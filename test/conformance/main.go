package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	suite, mongoLib, java string
	signet                string
	work, out             string
	plans, modules        string
	expected, report      string
	keep, stop, wait      bool
	list                  bool
	parallel              int
	timeout               time.Duration
}

func main() {
	o := parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		cancel()
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.suite, "suite", "", "the suite's fapi-test-suite.jar")
	flag.StringVar(&o.mongoLib, "mongo-lib", "", "folder with mongo-java-server and what it needs, as jars")
	flag.StringVar(&o.java, "java", "java", "the java of a JDK 25")
	flag.StringVar(&o.signet, "signet", "", "the provider's binary (default: built from this repository)")
	flag.StringVar(&o.work, "work", ".cache/conformance", "folder for logs, certificates and the provider's data")
	flag.StringVar(&o.out, "out", "", "folder for results (default: WORK/results)")
	flag.StringVar(&o.plans, "plans", "default", "groups or plans, with commas; see --list")
	flag.StringVar(&o.modules, "modules", "", "only the modules that match these patterns, with commas")
	flag.StringVar(&o.expected, "expected", "test/conformance/expected.json", "the explained warnings and skips")
	flag.StringVar(&o.report, "report", "", "write a report of all results in OUT to this file; without --suite nothing is run")
	flag.BoolVar(&o.keep, "keep", false, "leave the suite running, and use the one that was left")
	flag.BoolVar(&o.stop, "stop", false, "end a suite that was left running, and nothing else")
	flag.BoolVar(&o.wait, "wait", false, "after the run keep everything up for a look at the suite's pages, until interrupted")
	flag.BoolVar(&o.list, "list", false, "list groups and plans")
	flag.IntVar(&o.parallel, "parallel", 3, "how many plans of a group to run side by side: most of their time is spent waiting")
	flag.DurationVar(&o.timeout, "timeout", 4*time.Minute, "how long one module may take")
	flag.Parse()
	if o.out == "" {
		o.out = filepath.Join(o.work, "results")
	}
	return o
}

func run(ctx context.Context, o options) error {
	switch {
	case o.list:
		listPlans(os.Stdout)
		return nil
	case o.stop:
		return stopKept(o.work)
	}
	explained, err := readExpected(o.expected)
	if err != nil {
		return err
	}
	var failed error
	if o.suite != "" {
		failed = runPlans(ctx, o, explained)
	} else if o.report == "" {
		return errors.New("give --suite, or --report to write about earlier results")
	}
	if o.report != "" {
		if err := writeReportFile(o.report, o.out, explained); err != nil {
			return err
		}
	}
	return failed
}

// runPlans runs the chosen plans group by group: the provider is configured per group.
func runPlans(ctx context.Context, o options, explained []explanation) error {
	chosen, err := choose(o.plans)
	if err != nil {
		return err
	}
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	var done []planResult
	for _, g := range groups {
		plans := chosen[g.name]
		if len(plans) == 0 {
			continue
		}
		results, err := r.runGroup(ctx, g, plans)
		done = append(done, results...)
		if err != nil {
			return err
		}
	}
	j := judge(done, explained)
	printResults(os.Stdout, done, j)
	if o.wait {
		fmt.Println("Everything stays up until you interrupt: " + suiteURL)
		<-ctx.Done()
	}
	return j.err()
}
