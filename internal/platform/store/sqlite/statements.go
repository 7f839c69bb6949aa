package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements bounds the prepared statements of a pool. The house's statements are
// constants, some with a varying number of rows; beyond the bound they run unprepared.
const maxStatements = 512

// pool is a set of connections that keeps each statement prepared, as pgx does by itself:
// parsing and planning cost SQLite more than most of our statements take to run. SQLite
// prepares again by itself when the schema has changed. A prepared statement has one cursor per
// connection: within a transaction, rows are read to the end before the same text runs again,
// as store.All does.
type pool struct {
	*sql.DB

	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPool(db *sql.DB) *pool { return &pool{DB: db, statements: map[string]*sql.Stmt{}} }

func (p *pool) known(q string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.statements[q]
}

// prepared returns the statement, or nil where it must run as text: then its own error says
// what is wrong. It takes a connection, so nothing that holds the writer's may call it.
func (p *pool) prepared(ctx context.Context, q string) *sql.Stmt {
	if s := p.known(q); s != nil {
		return s
	}
	p.mu.RLock()
	full := len(p.statements) >= maxStatements
	p.mu.RUnlock()
	if full {
		return nil
	}
	s, err := p.PrepareContext(ctx, q)
	if err != nil {
		return nil
	}
	// Not locked while preparing: who waits for a connection must not hold up its holder.
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.statements[q]; first != nil {
		_ = s.Close()
		return first
	}
	p.statements[q] = s
	return s
}

func (p *pool) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if s := p.prepared(ctx, q); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return p.DB.ExecContext(ctx, q, args...)
}

func (p *pool) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if s := p.prepared(ctx, q); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, q, args...)
}

func (p *pool) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	if s := p.prepared(ctx, q); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, q, args...)
}

// transaction runs the statements that its pool knows; others it runs as text and notes, to
// be prepared once the transaction has given its connection back.
type transaction struct {
	*sql.Tx
	pool  *pool
	noted []string
}

func (t *transaction) statement(ctx context.Context, q string) *sql.Stmt {
	if s := t.pool.known(q); s != nil {
		return t.StmtContext(ctx, s)
	}
	t.noted = append(t.noted, q)
	return nil
}

func (t *transaction) learn(ctx context.Context) {
	for _, q := range t.noted {
		t.pool.prepared(ctx, q)
	}
}

func (t *transaction) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if s := t.statement(ctx, q); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, q, args...)
}

func (t *transaction) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if s := t.statement(ctx, q); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, q, args...)
}

func (t *transaction) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	if s := t.statement(ctx, q); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, q, args...)
}
