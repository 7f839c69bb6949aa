package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// PasswordFormat says how to read the password column of an import.
type PasswordFormat string

// The formats.
const (
	// PasswordAuto takes what is a known hash notation as a hash, refuses what looks like a hash
	// of another kind, and takes the rest as plain text.
	PasswordAuto PasswordFormat = "auto"
	// PasswordPlain takes every value as plain text and hashes it on the way in.
	PasswordPlain PasswordFormat = "plain"
	// PasswordHash refuses what is not a known hash notation.
	PasswordHash PasswordFormat = "hash"
)

// ImportOptions says how to read the rows.
type ImportOptions struct {
	// Source names where the rows come from; it is kept with each account as "import:<name>".
	Source string
	// Columns maps fields (see ImportFields) to columns of the source. Fields that are not named
	// are looked for under their usual names.
	Columns map[string]string
	// Passwords says how to read the password column; "" is PasswordAuto.
	Passwords PasswordFormat
	// DryRun does everything but hash and write.
	DryRun bool
	// Progress, if set, is called after every batch with the rows read so far.
	Progress func(rows int)
}

// RejectedRow is a row that was not imported and why. The reason never holds the row's values.
type RejectedRow struct {
	Line   int    `json:"line"` // of the file; of a table, the row's number
	Reason string `json:"reason"`
}

// Report is what an import did, or with DryRun would do.
type Report struct {
	DryRun  bool              `json:"dry_run"`
	Columns map[string]string `json:"columns"` // field to column, as used
	Ignored []string          `json:"ignored"` // columns that fit no field
	Created int               `json:"created"`
	// Skipped rows are of accounts that exist already, from an earlier run or otherwise; those
	// are left as they are.
	Skipped int `json:"skipped"`
	// WithoutPassword of the created cannot sign in until they are given one.
	WithoutPassword int           `json:"without_password"`
	Rejected        []RejectedRow `json:"rejected"`
}

func (r *Report) reject(line int, reason string) {
	r.Rejected = append(r.Rejected, RejectedRow{line, reason})
}

// importBatch rows share a transaction: large enough that a commit weighs little, small enough
// that the writer lock of SQLite is never held for long.
const importBatch = 500

// Import reads all rows and makes an account of each that has none yet. A bad row is reported and
// never hinders another; each batch is one transaction, so that an import which is broken off is
// simply run again. The password policy does not apply: these people have their passwords.
// Accounts that were made by a batch are audited in its transaction, as one event.
//
// The returned error is about the import as a whole (unusable columns, the store is down); the
// report then says how far it got.
func (s *Service) Import(ctx context.Context, rows Rows, o ImportOptions) (Report, error) {
	m, err := newMapping(rows.Columns(), o)
	if err != nil {
		return Report{DryRun: o.DryRun}, err
	}
	report := Report{DryRun: o.DryRun, Columns: m.used(), Ignored: m.ignored, Rejected: []RejectedRow{}}
	im := &importer{s: s, o: o, m: m, report: &report, seen: map[[16]byte]int{}}
	defer func() {
		slices.SortFunc(report.Rejected, func(a, b RejectedRow) int { return a.Line - b.Line })
	}()
	for n := 0; ; {
		row, err := rows.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return report, errs.Wrap("read import", errors.Join(err, im.flush(ctx)))
		}
		if err == nil {
			n++
			im.add(row)
		}
		if errors.Is(err, io.EOF) || len(im.batch) >= importBatch {
			if err := im.flush(ctx); err != nil {
				return report, errs.Wrap("import", err)
			}
			if o.Progress != nil {
				o.Progress(n)
			}
		}
		if errors.Is(err, io.EOF) {
			return report, nil
		}
	}
}

type importer struct {
	s      *Service
	o      ImportOptions
	m      mapping
	report *Report
	batch  []candidate
	// seen has the first line of every name in this source. Of the keys a hash is kept: 16 bytes
	// however long they are, about 60 MB per million rows.
	seen map[[16]byte]int
}

// candidate is a row that passed every check that needs no database.
type candidate struct {
	line  int
	row   newRow
	plain seal.Secret // to be hashed into row.hash
}

func (im *importer) add(r Row) {
	if r.Problem != "" {
		im.report.reject(r.Line, r.Problem)
		return
	}
	c, problem := im.m.candidate(r)
	if problem != "" {
		im.report.reject(r.Line, problem)
		return
	}
	var keys [][16]byte
	for _, k := range []string{"e" + c.row.email.key, "u" + c.row.username.key} {
		if len(k) == 1 {
			continue
		}
		sum := sha256.Sum256([]byte(k))
		short := [16]byte(sum[:16])
		if first, dup := im.seen[short]; dup {
			im.report.reject(r.Line, "same address or username as in line "+strconv.Itoa(first))
			return
		}
		keys = append(keys, short)
	}
	for _, k := range keys {
		im.seen[k] = r.Line
	}
	im.batch = append(im.batch, c)
}

// flush finds out which of the batch exist, hashes the plain passwords of the others, and
// inserts them.
func (im *importer) flush(ctx context.Context) error {
	batch, err := im.dropExisting(ctx, im.batch)
	im.batch = im.batch[:0]
	if err != nil || len(batch) == 0 {
		return err
	}
	if im.o.DryRun {
		im.count(batch)
		return nil
	}
	if err := im.hash(ctx, batch); err != nil {
		return err
	}
	if err = im.insert(ctx, batch); !errs.Is(err, errs.Conflict) {
		return err
	}
	// Somebody took one of the names since we looked. One at a time shows whose.
	for _, c := range batch {
		err := im.insert(ctx, []candidate{c})
		if errs.Is(err, errs.Conflict) {
			im.report.Skipped++
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) insert(ctx context.Context, batch []candidate) error {
	list := make([]newRow, len(batch))
	for i, c := range batch {
		list[i] = c.row
	}
	err := im.s.db.InTx(ctx, func(ctx context.Context) error {
		if err := im.s.insert(ctx, im.s.clock.Now(), list...); err != nil {
			return err
		}
		return im.s.audit.Record(ctx, audit.Event{Action: "account.import", Result: audit.OK, Target: list[0].source, Detail: map[string]string{
			"created": strconv.Itoa(len(batch)), "first_line": strconv.Itoa(batch[0].line), "last_line": strconv.Itoa(batch[len(batch)-1].line),
			"first_account": string(list[0].id), "last_account": string(list[len(list)-1].id),
		}})
	})
	if err == nil {
		im.count(batch)
	}
	return err
}

func (im *importer) count(batch []candidate) {
	im.report.Created += len(batch)
	for _, c := range batch {
		if c.row.hash == "" && c.plain == "" {
			im.report.WithoutPassword++
		}
	}
}

// dropExisting leaves the rows of which neither name is known yet.
func (im *importer) dropExisting(ctx context.Context, batch []candidate) ([]candidate, error) {
	var emails, names []any
	for _, c := range batch {
		if c.row.email.key != "" {
			emails = append(emails, c.row.email.key)
		}
		if c.row.username.key != "" {
			names = append(names, c.row.username.key)
		}
	}
	byEmail, err := im.s.owners(ctx, sqlTakenEmails, emails)
	if err != nil {
		return nil, err
	}
	byName, err := im.s.owners(ctx, sqlTakenUsernames, names)
	if err != nil {
		return nil, err
	}
	var fresh []candidate
	for _, c := range batch {
		a, b := byEmail[c.row.email.key], byName[c.row.username.key]
		switch {
		case a == "" && b == "":
			fresh = append(fresh, c)
		case a == b, c.row.email.key == "", c.row.username.key == "", b == "":
			im.report.Skipped++
		case a == "":
			im.report.reject(c.line, "the username belongs to an account with another address")
		default:
			im.report.reject(c.line, "the address and the username belong to different accounts")
		}
	}
	return fresh, nil
}

// owners maps those of keys that are taken to their accounts.
func (s *Service) owners(ctx context.Context, sql string, keys []any) (map[string]id.User, error) {
	type owner struct {
		key  string
		user id.User
	}
	out := map[string]id.User{}
	for chunk := range slices.Chunk(keys, maxParameters) {
		list, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (o owner, err error) {
			err = r.Scan(&o.key, (*string)(&o.user))
			return o, err
		}, sql+tuples(1, len(chunk)), chunk...)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			out[o.key] = o.user
		}
	}
	return out, nil
}

// hash turns plain passwords into hashes, on all CPUs: at the default cost about 25 a second each.
func (im *importer) hash(ctx context.Context, batch []candidate) error {
	work := make(chan *candidate)
	failed := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range failed {
		wg.Go(func() {
			for c := range work {
				if failed[i] == nil {
					c.row.hash, failed[i] = im.s.passwords.HashPatiently(ctx, c.plain)
				}
			}
		})
	}
	for i := range batch {
		if batch[i].plain != "" {
			work <- &batch[i]
		}
	}
	close(work)
	wg.Wait()
	return errors.Join(failed...)
}

// readPassword says what a password column holds: a hash to keep, a password to hash, neither, or
// a problem.
func readPassword(v string, format PasswordFormat) (hash string, plain seal.Secret, problem string) {
	if v == "" {
		return "", "", ""
	}
	if format != PasswordPlain {
		switch _, err := password.Recognize(v); {
		case err == nil:
			return v, "", ""
		case errors.Is(err, password.ErrHostile):
			return "", "", "the password hash has cost parameters beyond what a login may take"
		case errors.Is(err, password.ErrMalformed):
			return "", "", "the password hash is malformed"
		case password.Unusable(v):
			return "", "", ""
		case format == PasswordHash:
			return "", "", "the password is not in a known hash notation"
		case password.LooksHashed(v):
			// Taken for plain text, whoever read the old table could sign in with the hash.
			return "", "", "the password looks like a hash in an unknown notation"
		}
	}
	if err := password.WellFormed(seal.Secret(v)); err != nil {
		return "", "", "the password is too long or holds a NUL"
	}
	return "", seal.Secret(v), ""
}
