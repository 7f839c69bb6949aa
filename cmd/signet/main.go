// Command signet is the identity provider: one binary, one process kind. Each subcommand has
// its file; none of them holds rules.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"signet/internal/platform/audit"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	began := false
	root := rootCommand(&began)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Whoever can run commands on the store is an operator; the audit log says so.
	err := root.ExecuteContext(audit.WithSource(ctx, audit.Source{Actor: "cli"}))
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintln(stderr, "signet: "+strings.TrimRight(line, "\n"))
	}
	if usage(err, began) {
		_, _ = fmt.Fprintln(stderr, "Run the command with --help to see how it is used.")
		return exitUsage
	}
	return exitFailed
}

// usageError marks a mistake in the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// usage reports whether err is about the command line: then the command never began, or cobra
// found a required flag missing.
func usage(err error, began bool) bool {
	var u usageError
	text := err.Error()
	return !began || errors.As(err, &u) || strings.HasPrefix(text, "required flag") || strings.HasPrefix(text, "if any flags in the group")
}

func rootCommand(began *bool) *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "signet",
		Short: "An OpenID Connect identity provider",
		Long: "Signet is an OpenID Connect identity provider: sign-up, login, consent and account pages for\n" +
			"people, tokens that any service can verify for applications.\n\n" +
			"Try it:  signet dev",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			*began = true
		},
	}
	o.bind(root)
	root.AddCommand(
		devCommand(o), serveCommand(o), migrateCommand(o), configCommand(o), versionCommand(),
		userCommand(o), clientCommand(o), registrationTokenCommand(o), apiCommand(o), keyCommand(o), mailCommand(o), logoutCommand(o), auditCommand(o),
	)
	return root
}
