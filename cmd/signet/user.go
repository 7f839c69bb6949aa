package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"signet/internal/app"
	"signet/internal/identity/account"
	"signet/internal/identity/notice"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

func userCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Create, import and manage accounts",
		Long: "An account is a person who signs in, by e-mail address or username. Where a command takes USER,\n" +
			"give the address, the username or the account's id.\n\n" +
			"Passwords are read from a prompt or from standard input, never from the command line.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(userCreate(o), userList(o), userShow(o), userSetPassword(o),
		userAct(o, "disable", "Bar an account from signing in, and end all its sign-ins", "disabled", disableUser),
		userAct(o, "enable", "Let a disabled account sign in again", "enabled", enableUser),
		userAct(o, "delete", "Delete an account with everything that hangs on it", "deleted", deleteUser),
		userImport(o), userSendReset(o), userResetMFA(o), userInvite(o), userInvitations(o), userUninvite(o),
	)
	return cmd
}

func userCreate(o *options) *cobra.Command {
	var in account.NewAccount
	var pw passwordFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create an account",
		Long:  "Create an account. Without --ask-password or --password-stdin it has no password and cannot sign in\nuntil it is given one with signet user set-password.",
		Example: `  signet user create --email jane@example.com --name "Jane Doe" --ask-password
  printf '%s\n' "$PASSWORD" | signet user create --username jane --password-stdin --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Email == "" && in.Username == "" {
				return usagef("give --email, --username or both")
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				var err error
				if in.Password, err = pw.read(cmd); err != nil {
					return err
				}
				in.Source = "cli"
				a, err := s.Accounts.Create(cmd.Context(), in)
				if err != nil {
					return inWords("the account was not created", err, s.Passwords.MinLength())
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), userJSON(a))
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "Account %s was created.\n\n", nameOf(a)); err != nil {
					return err
				}
				err = printFields(cmd.OutOrStdout(), userFields(a))
				if err == nil && in.Password == "" {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "\nIt has no password yet: signet user set-password "+nameOf(a))
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Email, "email", "", "e-mail address to sign in with")
	f.BoolVar(&in.EmailVerified, "email-verified", false, "the address is known to be the person's")
	f.StringVar(&in.Username, "username", "", "username to sign in with")
	f.StringVar(&in.Profile.Name, "name", "", "full name")
	f.StringVar(&in.Profile.Locale, "locale", "", "preferred language, for example ko or en-GB")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	pw.bind(cmd)
	return cmd
}

func userList(o *options) *cobra.Command {
	var opts account.ListOptions
	var after string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List accounts in the order of their creation",
		Example: "  signet user list\n  signet user list --search @example.com --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.After = id.User(after)
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := s.Accounts.List(cmd.Context(), opts)
				if err != nil {
					return inWords("cannot list accounts", err, 0)
				}
				if asJSON {
					out := make([]userRecord, len(list))
					for i, a := range list {
						out[i] = userJSON(a)
					}
					return printJSON(cmd.OutOrStdout(), out)
				}
				rows := make([][]string, len(list))
				for i, a := range list {
					rows[i] = []string{string(a.ID), dash(a.Email), dash(a.Username), dash(a.Profile.Name), string(a.Status), when(a.CreatedAt)}
				}
				if err := printTable(cmd.OutOrStdout(), "There are no accounts.", []string{"ID", "EMAIL", "USERNAME", "NAME", "STATUS", "CREATED"}, rows); err != nil {
					return err
				}
				if len(list) > 0 && len(list) == opts.Limit {
					_, err = fmt.Fprintf(cmd.ErrOrStderr(), "There may be more: add --after %s\n", list[len(list)-1].ID)
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Search, "search", "", "only accounts with this in their address or username")
	f.IntVar(&opts.Limit, "limit", 100, "how many, 1000 at most")
	f.StringVar(&after, "after", "", "go on after the account with this id")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func userShow(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show USER",
		Short:   "Show an account and its sessions",
		Example: "  signet user show jane@example.com\n  signet user show jane --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				a, err := findUser(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				sessions, err := s.Sessions.List(cmd.Context(), a.ID)
				if err != nil {
					return err
				}
				factors, err := s.MFA.Of(cmd.Context(), a.ID)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), merged{userJSON(a), map[string]any{"sessions": len(sessions), "factors": factorsJSON(factors)}})
				}
				return printFields(cmd.OutOrStdout(), append(userFields(a),
					field{"Sessions", strconv.Itoa(len(sessions))}, field{"Second factors", factorsText(factors)}))
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func userSetPassword(o *options) *cobra.Command {
	var pw passwordFlags
	cmd := &cobra.Command{
		Use:   "set-password USER",
		Short: "Give an account a new password, and end all its sign-ins",
		Example: `  signet user set-password jane@example.com
  printf '%s\n' "$PASSWORD" | signet user set-password jane --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pw.ask = !pw.stdin
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				ctx := cmd.Context()
				a, err := findUser(ctx, s, args[0])
				if err != nil {
					return err
				}
				next, err := pw.read(cmd)
				if err != nil {
					return err
				}
				err = s.Accounts.SetPassword(ctx, a.ID, next, func(ctx context.Context) error {
					if err := s.Journeys.EndOthers(ctx, a.ID, ""); err != nil {
						return err
					}
					return s.Notices.Send(ctx, a.ID, notice.Password, nil)
				})
				if err != nil {
					return inWords("the password was not set", err, s.Passwords.MinLength())
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Account %s has a new password.\n", nameOf(a))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&pw.stdin, "password-stdin", false, "read the password from the first line of standard input instead of asking")
	return cmd
}

// userAct is a command that does one thing to one account.
func userAct(o *options, verb, short, done string, act func(context.Context, *app.Services, id.User) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     verb + " USER",
		Short:   short,
		Example: "  signet user " + verb + " jane@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				a, err := findUser(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				if err := act(cmd.Context(), s, a.ID); err != nil {
					return inWords("the account was not "+done, err, 0)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"id": string(a.ID), "result": done})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Account %s was %s.\n", nameOf(a), done)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func disableUser(ctx context.Context, s *app.Services, u id.User) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.Accounts.Disable(ctx, u); err != nil {
			return err
		}
		return s.Journeys.EndOthers(ctx, u, "")
	})
}

// enableUser also ends what a login that was on its way began while the account was being disabled:
// what comes back must not include it.
func enableUser(ctx context.Context, s *app.Services, u id.User) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		a, err := s.Accounts.ByID(ctx, u)
		if err != nil || a.Status == account.Active {
			return err
		}
		if err := s.Accounts.Enable(ctx, u); err != nil {
			return err
		}
		return s.Journeys.EndOthers(ctx, u, "")
	})
}

func deleteUser(ctx context.Context, s *app.Services, u id.User) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.Journeys.EndOthers(ctx, u, ""); err != nil { // the rows go anyway; applications are told
			return err
		}
		return s.Accounts.Delete(ctx, u)
	})
}

func findUser(ctx context.Context, s *app.Services, name string) (account.Account, error) {
	a, err := s.Accounts.ByIdentifier(ctx, name)
	if errs.Is(err, errs.NotFound) {
		return a, fmt.Errorf("there is no account %q", name)
	}
	return a, err
}

// passwordFlags are the two ways to give a password. It is never an argument: those are seen by
// every process of the machine and stay in the shell's history.
type passwordFlags struct{ ask, stdin bool }

func (p *passwordFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.ask, "ask-password", false, "ask for a password at the terminal")
	cmd.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.MarkFlagsMutuallyExclusive("ask-password", "password-stdin")
}

// maxPasswordLine is more than any password that would be accepted.
const maxPasswordLine = 8 << 10

func (p *passwordFlags) read(cmd *cobra.Command) (seal.Secret, error) {
	switch {
	case p.ask:
		return askPassword(cmd)
	case p.stdin:
		line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), maxPasswordLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			return "", errors.New("there is no password on standard input")
		}
		return seal.Secret(line), nil
	}
	return "", nil
}

func askPassword(cmd *cobra.Command) (seal.Secret, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usagef("there is no terminal to ask at: use --password-stdin")
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), prompt)
		b, err := term.ReadPassword(int(in.Fd()))
		_, _ = fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] || typed[0] == "" {
		return "", errors.New("the two passwords differ or are empty")
	}
	return seal.Secret(typed[0]), nil
}

// userRecord is an account in JSON: the claims under their standard names.
type userRecord struct {
	ID            id.User        `json:"id"`
	Status        account.Status `json:"status"`
	Username      string         `json:"username,omitempty"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified"`
	account.Profile
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func userJSON(a account.Account) userRecord {
	return userRecord{a.ID, a.Status, a.Username, a.Email, a.EmailVerified, a.Profile, a.CreatedAt, a.UpdatedAt}
}

func userFields(a account.Account) []field {
	email := a.Email
	if email != "" && !a.EmailVerified {
		email += " (not verified)"
	}
	return []field{
		{"ID", string(a.ID)}, {"Status", string(a.Status)}, {"E-mail", email}, {"Username", a.Username}, {"Name", a.Profile.Name},
		{"Created", when(a.CreatedAt)}, {"Updated", when(a.UpdatedAt)},
	}
}

// nameOf is what an administrator knows an account by.
func nameOf(a account.Account) string {
	if a.Email != "" {
		return a.Email
	}
	return a.Username
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// userWords are the message keys of the identity half for administrators; pages has its own.
var userWords = map[string]string{
	"email_invalid": "is not a plain e-mail address", "email_taken": "belongs to another account",
	"username_invalid":       "needs 1 to 64 letters, digits or signs without blanks",
	"username_taken":         "belongs to another account",
	"username_is_email":      "must not contain an @",
	"identifier_required":    "is needed, or a username",
	"password_too_short":     "is shorter than %d characters",
	"password_too_long":      "is longer than 256 characters",
	"password_invalid":       "is not text",
	"password_common":        "is one of those that are guessed first",
	"password_contains_name": "is built on the person's name or address", "password_contains_service": "is built on the name of this service",
	"password_breached": "stands in a list of leaked passwords",
	"too_long":          "is too long", "bad_characters": "has control or invisible characters", "locale_invalid": "is not a language tag",
}

// inWords turns an error of the identity half into lines for people.
func inWords(what string, err error, minLength int) error {
	lines := []string{}
	for _, e := range fieldErrors(err) {
		words, known := userWords[e.Key]
		if !known {
			words = strings.ReplaceAll(e.Key, "_", " ")
		}
		if strings.Contains(words, "%d") {
			words = fmt.Sprintf(words, minLength)
		}
		lines = append(lines, "  "+e.Field+" "+words)
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s: %w", what, err)
	}
	return errors.New(what + ":\n" + strings.Join(lines, "\n"))
}

// fieldErrors collects the errors with a field from a tree of wrapped and joined ones.
func fieldErrors(err error) []*errs.Error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand: errors.As would stop at the first
	case nil:
		return nil
	case *errs.Error:
		if e.Field != "" {
			return []*errs.Error{e}
		}
		return fieldErrors(e.Cause)
	case interface{ Unwrap() []error }:
		var out []*errs.Error
		for _, one := range e.Unwrap() {
			out = append(out, fieldErrors(one)...)
		}
		return out
	}
	return fieldErrors(errors.Unwrap(err))
}
