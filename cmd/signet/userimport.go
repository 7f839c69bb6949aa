package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/identity/account"
	"signet/internal/platform/errs"
	"signet/internal/platform/store/sqlite"
)

// importFlags say where rows come from and how to read them.
type importFlags struct {
	file, sqlite, table, format string
	columns                     []string
	passwords, source           string
	dryRun, asJSON              bool
}

func userImport(o *options) *cobra.Command {
	var fl importFlags
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Import accounts from CSV, JSON lines or an SQLite table",
		Long: "Import accounts with their passwords from a CSV file with a header row, a file of JSON lines, or a\n" +
			"table of an SQLite file. Accounts that exist already are skipped, so an import can be repeated. Bad\n" +
			"rows are reported and do not hinder the others, but then the command ends with an error status; begin\n" +
			"with --dry-run to see them.\n\n" +
			"Columns are found by their usual names; map others with --column FIELD=COLUMN. Fields:\n" +
			wrap(account.ImportFields(), 96) + "\n\n" +
			"Passwords may be plain text (hashed on the way in), or hashes: bcrypt, argon2i and argon2id, scrypt,\n" +
			"PBKDF2, in PHC, Django and Werkzeug notation. Those verify at the next login, which replaces them\n" +
			"by argon2id. With --passwords auto (the default) what looks like a hash of another kind is refused.",
		Example: `  signet user import --sqlite users.db --table users --dry-run
  signet user import --sqlite users.db --table users
  signet user import people.csv --column username=login --column password=pw_hash
  signet user import people.jsonl --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				fl.file = args[0]
			}
			return fl.run(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.sqlite, "sqlite", "", "read a table of this SQLite file")
	f.StringVar(&fl.table, "table", "", "the table, with --sqlite")
	f.StringVar(&fl.format, "format", "", "csv or jsonl (default: by the file's name)")
	f.StringArrayVar(&fl.columns, "column", nil, "read a field from a column: FIELD=COLUMN (repeatable)")
	f.StringVar(&fl.passwords, "passwords", "auto", "how to read the password column: auto, plain or hash")
	f.StringVar(&fl.source, "source", "", "name of the source, kept with each account (default: the file's name)")
	f.BoolVar(&fl.dryRun, "dry-run", false, "check everything, write nothing")
	f.BoolVar(&fl.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (fl *importFlags) run(cmd *cobra.Command, o *options) error {
	opts, err := fl.options(cmd)
	if err != nil {
		return err
	}
	rows, closeRows, err := fl.open(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return importError(err)
	}
	defer closeRows()
	return o.withApp(cmd.Context(), func(s *app.Services) error {
		report, err := s.Accounts.Import(cmd.Context(), rows, opts)
		if err != nil && report.Columns == nil {
			return importError(err)
		}
		if fl.asJSON {
			err = errors.Join(printJSON(cmd.OutOrStdout(), report), err)
		} else {
			err = errors.Join(printReport(cmd.OutOrStdout(), report), err)
		}
		if err != nil {
			return fmt.Errorf("the import broke off; it can be run again: %w", err)
		}
		return rejection(report)
	})
}

// rejection makes the command fail when rows were left behind: a script must not take that for done.
func rejection(r account.Report) error {
	switch n := len(r.Rejected); n {
	case 0:
		return nil
	case 1:
		return errors.New("1 row was rejected")
	default:
		return fmt.Errorf("%d rows were rejected", n)
	}
}

func (fl *importFlags) options(cmd *cobra.Command) (account.ImportOptions, error) {
	switch {
	case (fl.file == "") == (fl.sqlite == ""):
		return account.ImportOptions{}, usagef("give either a FILE (- for standard input) or --sqlite FILE --table NAME")
	case (fl.sqlite == "") != (fl.table == ""):
		return account.ImportOptions{}, usagef("--sqlite and --table go together")
	case fl.sqlite != "" && fl.format != "":
		return account.ImportOptions{}, usagef("--format is for files of text")
	}
	columns := map[string]string{}
	for _, c := range fl.columns {
		field, column, ok := strings.Cut(c, "=")
		if _, twice := columns[field]; !ok || field == "" || column == "" || twice {
			return account.ImportOptions{}, usagef("--column %s: want FIELD=COLUMN, each field once", c)
		}
		columns[field] = column
	}
	source := fl.source
	if source == "" {
		source = filepath.Base(fl.file + fl.sqlite)
	}
	const step = 10_000
	next := step
	return account.ImportOptions{
		Source: source, Columns: columns, Passwords: account.PasswordFormat(fl.passwords), DryRun: fl.dryRun,
		Progress: func(n int) {
			if n >= next {
				next = n - n%step + step
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d rows\n", n)
			}
		},
	}, nil
}

// maxImportValue is where values of a foreign table are cut; the import rejects rows with less.
const maxImportValue = 16 << 10

func (fl *importFlags) open(ctx context.Context, stdin io.Reader) (account.Rows, func(), error) {
	if fl.sqlite != "" {
		t, err := sqlite.OpenTable(ctx, fl.sqlite, fl.table, maxImportValue)
		if err != nil {
			return nil, nil, err
		}
		return account.Table(t.Columns(), t.Next), t.Close, nil
	}
	read, err := fl.reader()
	if err != nil {
		return nil, nil, err
	}
	in, closeIn := stdin, func() {}
	if fl.file != "-" {
		f, err := os.Open(fl.file)
		if err != nil {
			return nil, nil, err
		}
		in, closeIn = f, func() { _ = f.Close() }
	}
	rows, err := read(in)
	if err != nil {
		closeIn()
		return nil, nil, fmt.Errorf("%s: %w", fl.file, importError(err))
	}
	return rows, closeIn, nil
}

func (fl *importFlags) reader() (func(io.Reader) (account.Rows, error), error) {
	format := fl.format
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(fl.file)), ".")
	}
	switch format {
	case "csv", "tsv":
		return account.CSV, nil
	case "jsonl", "ndjson":
		return account.JSONLines, nil
	case "db", "sqlite", "sqlite3":
		return nil, usagef("%s looks like an SQLite file: use --sqlite %s --table NAME", fl.file, fl.file)
	}
	return nil, usagef("say --format csv or --format jsonl")
}

// importError says what is wrong with a source without the vocabulary of the log.
func importError(err error) error {
	if e := errs.As(err); e.Kind == errs.Invalid && e.Cause != nil {
		return e.Cause
	}
	return err
}

func printReport(w io.Writer, r account.Report) error {
	var b strings.Builder
	fields := make([]string, 0, len(r.Columns))
	for f, c := range r.Columns {
		if f == c {
			fields = append(fields, f)
		} else {
			fields = append(fields, f+"="+printable(c))
		}
	}
	sort.Strings(fields)
	fmt.Fprintf(&b, "Columns: %s\n", strings.Join(fields, ", "))
	for i, c := range r.Ignored {
		b.WriteString([]string{"Ignored: ", ", "}[min(i, 1)] + printable(c))
	}
	if len(r.Ignored) > 0 {
		b.WriteString("\n")
	}
	created := "Created"
	if r.DryRun {
		b.WriteString("Dry run: nothing was written.\n")
		created = "Would create"
	}
	fmt.Fprintf(&b, "%s %d, skipped %d that exist, rejected %d.\n", created, r.Created, r.Skipped, len(r.Rejected))
	if r.WithoutPassword > 0 {
		fmt.Fprintf(&b, "%d of them have no password: signet user set-password gives them one.\n", r.WithoutPassword)
	}
	if _, err := io.WriteString(w, b.String()); err != nil || len(r.Rejected) == 0 {
		return err
	}
	rows := make([][]string, len(r.Rejected))
	for i, x := range r.Rejected {
		rows[i] = []string{strconv.Itoa(x.Line), x.Reason}
	}
	return printTable(w, "", []string{"LINE", "REASON"}, rows)
}

// printable quotes a name from somebody's file if a terminal could take it for more than text.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// wrap joins words into indented lines of at most width characters.
func wrap(words []string, width int) string {
	var b strings.Builder
	line := " "
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		if len(line)+1+len(w) > width {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + w
	}
	return b.String() + line
}
