package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/store"
)

// Jobs are periodic work that belongs to the database, not to an instance. The instances share
// it without a leader: whoever moves a job's next_at forward, in one conditional statement,
// runs it. An instance that dies half-way costs one period; every job can be run again.

const (
	sqlAddJob   = `INSERT INTO job (name, next_at, finished_at) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING`
	sqlDueJobs  = `SELECT name FROM job WHERE next_at <= $1`
	sqlClaimJob = `UPDATE job SET next_at = $3 WHERE name = $1 AND next_at <= $2 RETURNING name`
	sqlEndJob   = `UPDATE job SET finished_at = $2 WHERE name = $1`
	// sqlRetryJob brings a failed job forward, unless somebody has claimed it since.
	sqlRetryJob = `UPDATE job SET next_at = $3 WHERE name = $1 AND next_at = $2`
)

type job struct {
	name   string
	period time.Duration
	fn     func(ctx context.Context) error
}

// jobLook is how often an instance looks for due jobs, and how soon a failed one is tried
// again. Periods are much longer.
const jobLook = 15 * time.Second

// addJobs makes the rows; the first run of a new job is due at once.
func (a *App) addJobs(ctx context.Context) error {
	for _, j := range a.jobs {
		if _, err := a.DB.Q(ctx).Exec(ctx, sqlAddJob, j.name, store.Micros(a.Clock.Now())); err != nil {
			return fmt.Errorf("add job %s: %w", j.name, err)
		}
	}
	return nil
}

// RunJobs runs the jobs that are due and that this instance gets hold of.
func (a *App) RunJobs(ctx context.Context) error {
	due, err := store.All(ctx, a.DB.Q(ctx), func(r store.Row) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	}, sqlDueJobs, store.Micros(a.Clock.Now()))
	if err != nil {
		return err
	}
	for _, name := range due {
		for _, j := range a.jobs {
			if j.name == name {
				err = errors.Join(err, a.runJob(ctx, j))
			}
		}
	}
	return err
}

func (a *App) runJob(ctx context.Context, j job) error {
	now := store.Micros(a.Clock.Now())
	next := now + j.period.Microseconds()
	var got string
	err := a.DB.Q(ctx).QueryRow(ctx, sqlClaimJob, j.name, now, next).Scan(&got)
	if errors.Is(err, store.ErrNoRows) {
		return nil // another instance was faster
	}
	if err != nil {
		return errs.Wrap("claim job "+j.name, err)
	}
	if err := guard(ctx, j); err != nil {
		a.Metrics.Outcome("job."+j.name, "failed")
		again := store.Micros(a.Clock.Now().Add(min(j.period, jobLook)))
		_, rerr := a.DB.Q(ctx).Exec(ctx, sqlRetryJob, j.name, next, again)
		return errors.Join(errs.Wrap("job "+j.name, err), rerr)
	}
	a.Metrics.Outcome("job."+j.name, "ok")
	_, err = a.DB.Q(ctx).Exec(ctx, sqlEndJob, j.name, store.Micros(a.Clock.Now()))
	return err
}

func guard(ctx context.Context, j job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return j.fn(ctx)
}

// cleanBatch rows go in one statement: small enough that nobody waits for it.
const cleanBatch = 500

// cleanup deletes what has expired, in every package that has something to expire.
func (a *App) cleanup(ctx context.Context) error {
	sweeps := []struct {
		name string
		fn   func(ctx context.Context, limit int) (int64, error)
	}{
		{"journeys", a.Journeys.DeleteExpired},
		{"grants", a.Engine.DeleteExpired},
		{"sessions", a.Sessions.DeleteExpired},
		{"applications of sessions", a.Logout.DeleteExpired},
		{"attempts", a.Limits.DeleteExpired},
		{"one-time things", a.Onetime.DeleteExpired},
		{"known browsers", a.Devices.DeleteExpired},
		{"unused clients", a.Clients.DeleteUnused},
		{"unused documents", a.Clients.DeleteUnusedDocuments},
		{"documents of clients", a.Clients.DeleteDocuments},
		{"registration tokens", a.Register.DeleteExpired},
		{"accounts given up", a.Accounts.DeleteDue},
		{"replaced addresses", a.Accounts.DeleteReplaced},
		{"messages", a.deleteMessages},
		{"audit", func(ctx context.Context, limit int) (int64, error) {
			return a.Audit.DeleteBefore(ctx, a.Clock.Now().Add(-a.cfg.Audit.Retention), limit)
		}},
	}
	var failed error
	for _, s := range sweeps {
		for ctx.Err() == nil {
			n, err := s.fn(ctx, cleanBatch)
			if err != nil {
				failed = errors.Join(failed, errs.Wrap("delete expired "+s.name, err))
				break // the other tables must not grow because of this one
			}
			if n == 0 {
				break
			}
			a.Log.DebugContext(ctx, "expired rows deleted", "what", s.name, "rows", n)
			sleep(ctx, 10*time.Millisecond) // let others at the one writer of SQLite
		}
	}
	return failed
}
