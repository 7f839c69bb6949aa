package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"signet/internal/config"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/store/pg"
	"signet/internal/platform/store/sqlite"
	"signet/migrations"
)

// openStore opens the database. One that does not answer is tried again until o.Patience is
// over: at boot, machines come up in any order.
func openStore(ctx context.Context, d config.Database, o Options) (*store.DB, error) {
	began := time.Now() // monotonic
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		db, err := openOnce(ctx, d)
		if err == nil {
			return db, nil
		}
		if left := o.Patience - time.Since(began); left < pause || !errs.Is(err, errs.Unavailable) {
			return nil, err
		}
		o.Log.WarnContext(ctx, "the database does not answer yet", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func openOnce(ctx context.Context, d config.Database) (*store.DB, error) {
	if d.URL == "" {
		return sqlite.Open(ctx, d.Path, sqlite.Options{})
	}
	return pg.Open(ctx, d.URL.Reveal(), pg.Options{MaxConns: d.MaxConns})
}

// checkSchema makes sure that the schema is the one this binary knows. One that is newer or
// was changed by somebody else is never touched.
func checkSchema(ctx context.Context, db *store.DB, migrate bool, log *slog.Logger) error {
	steps, err := store.Migrations(migrations.Files, db.Engine())
	if err != nil {
		return err
	}
	err = store.CheckSchema(ctx, db, steps)
	if !migrate || !errors.Is(err, store.ErrSchemaOld) {
		return err
	}
	applied, err := MigrateDB(ctx, db)
	for _, m := range applied {
		log.InfoContext(ctx, "migration applied", "step", m.Name)
	}
	return err
}

// MigrateDB brings the schema up to date and returns what it applied.
func MigrateDB(ctx context.Context, db *store.DB) ([]store.Migration, error) {
	steps, err := store.Migrations(migrations.Files, db.Engine())
	if err != nil {
		return nil, err
	}
	now, err := db.Now(ctx)
	if err != nil {
		return nil, err
	}
	return store.Migrate(ctx, db, steps, now)
}

// Migrate opens the store of cfg and brings its schema up to date.
func Migrate(ctx context.Context, cfg *config.Config, o Options) ([]store.Migration, error) {
	db, err := openStore(ctx, cfg.Database, o.withDefaults())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return MigrateDB(ctx, db)
}

// discipline sets the clock after the database's and returns how far the machine was off.
func discipline(ctx context.Context, db *store.DB, c *clock.System) (time.Duration, error) {
	before := time.Now()
	reference, err := db.Now(ctx)
	if err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	return c.Discipline(reference, before, time.Now()), nil
}
