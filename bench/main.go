// Command bench measures OpenID providers and compares Signet with the limits of the machine
// it runs on. README.md explains the subcommands and what the figures mean.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

type command struct {
	name, about string
	run         func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"load", "drive one flow of any OpenID provider", runLoad},
		{"limits", "measure what this machine allows: signature, hash, commit, SELECT", runLimits},
		{"handler", "serve the bare handler that providers are compared with", runHandler},
		{"seed", "fill a migrated store with accounts and grants", runSeed},
		{"compare", "run Signet beside its limits and print the ratios (bench/run.sh calls this)", runCompare},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		for _, c := range commands() {
			if c.name != os.Args[1] {
				continue
			}
			if err := c.run(ctx, os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "bench "+c.name+":", err)
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: bench <command> [flags]")
	for _, c := range commands() {
		fmt.Fprintf(os.Stderr, "  %-9s %s\n", c.name, c.about)
	}
	os.Exit(2)
}
