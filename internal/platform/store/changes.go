package store

import (
	"context"
	"sync"
	"time"
)

// Changes lets processes cache rows that rarely change (clients, keys) and still see a
// change made by another process, the command line included, within its polling interval.
// A writer bumps the topic's counter in the transaction of its change; every process polls
// all counters with one small statement. It works alike on both engines and, unlike
// LISTEN/NOTIFY, behind a transaction-pooling proxy.
type Changes struct {
	db       *DB
	interval time.Duration

	mu       sync.Mutex
	seen     map[string]int64
	hooks    map[string][]func()
	lastPoll time.Time
	started  bool
}

// DefaultPoll is how often counters are read: revocations reach every instance within 1 s.
const DefaultPoll = 500 * time.Millisecond

// NewChanges returns a watcher that polls every interval once Run is called.
func NewChanges(db *DB, interval time.Duration) *Changes {
	return &Changes{db: db, interval: interval, seen: map[string]int64{}, hooks: map[string][]func(){}}
}

const (
	sqlBumpChange  = `INSERT INTO change_counter (topic, value) VALUES ($1, 1) ON CONFLICT (topic) DO UPDATE SET value = change_counter.value + 1`
	sqlReadChanges = `SELECT topic, value FROM change_counter`
)

// Bump records that rows of topic change in the transaction that ctx carries.
func (c *Changes) Bump(ctx context.Context, topic string) error {
	MustTx(ctx)
	_, err := c.db.Q(ctx).Exec(ctx, sqlBumpChange, topic)
	return err
}

// OnChange registers fn to be called after topic has changed, by any process. Register
// before Run. fn must be quick and safe for concurrent use.
func (c *Changes) OnChange(topic string, fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks[topic] = append(c.hooks[topic], fn)
}

// Fresh reports whether the counters were read lately, so that a cached row may be trusted.
// Without it the caller must read the database: fail closed when the store is unreachable.
// Before Run (tools, tests without a poller) it is always false.
func (c *Changes) Fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started && time.Since(c.lastPoll) < 4*c.interval
}

// Poll reads the counters once and calls the hooks of topics that moved.
func (c *Changes) Poll(ctx context.Context) error {
	began := time.Now() // staleness counts from before the read; monotonic, so not the Clock's
	type counter struct {
		topic string
		value int64
	}
	list, err := All(ctx, c.db.Driver, func(r Row) (v counter, err error) {
		err = r.Scan(&v.topic, &v.value)
		return v, err
	}, sqlReadChanges)
	if err != nil {
		return err
	}
	c.mu.Lock()
	var fire []func()
	for _, v := range list {
		if c.seen[v.topic] != v.value {
			c.seen[v.topic] = v.value
			fire = append(fire, c.hooks[v.topic]...)
		}
	}
	c.mu.Unlock()
	for _, fn := range fire {
		fn()
	}
	c.mu.Lock()
	c.lastPoll, c.started = began, true
	c.mu.Unlock()
	return nil
}

// Run polls until ctx ends. A failed poll is tried again at the next tick.
func (c *Changes) Run(ctx context.Context) {
	t := time.NewTicker(c.interval)
	defer t.Stop()
	for {
		pctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		_ = c.Poll(pctx)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
