package outbox

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// post is an outbox with a handler that the test decides about.
type post struct {
	*Service
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	log   *bytes.Buffer

	mu   sync.Mutex
	got  []Delivery
	fail func(Delivery) error
}

func newPost(t *testing.T, db *store.DB, c *clock.Fake) *post {
	t.Helper()
	p := &post{t: t, db: db, clock: c, log: &bytes.Buffer{}}
	sealer, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	p.Service, err = New(Deps{DB: db, Clock: c, Seal: sealer, Audit: log, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.Register("test", p.handle, Options{})
	return p
}

func (p *post) handle(_ context.Context, d Delivery) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, d)
	if p.fail != nil {
		return p.fail(d)
	}
	return nil
}

func (p *post) attempts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func (p *post) put(payload string, life time.Duration) string {
	p.t.Helper()
	return p.putMessage(Message{Kind: "test", Subject: "u1", Recipient: "ada@example.com", Payload: []byte(payload), Expires: p.clock.Now().Add(life)})
}

func (p *post) putMessage(m Message) (id string) {
	p.t.Helper()
	err := p.db.InTx(p.t.Context(), func(ctx context.Context) (err error) {
		id, err = p.Put(ctx, m)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *post) deliver(want int) {
	p.t.Helper()
	n, err := p.Deliver(p.t.Context())
	if err != nil || n != want {
		p.t.Fatalf("delivered %d, want %d (%v)", n, want, err)
	}
}

func (p *post) item(id string) Item {
	p.t.Helper()
	list, err := p.List(p.t.Context(), Filter{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range list {
		if i.ID == id {
			return i
		}
	}
	p.t.Fatalf("no message %s among %v", id, list)
	return Item{}
}

func each(t *testing.T, fn func(t *testing.T, p *post)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, newPost(t, db, clock.NewFake(start))) })
}

func payloadOf(t *testing.T, db *store.DB, id string) []byte {
	t.Helper()
	var b []byte
	if err := db.QueryRow(t.Context(), `SELECT payload FROM outbox WHERE id = $1`, id).Scan(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPut_SealedDeliveredOnceThenEmptied(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id := p.put("the code is 12345678", time.Hour)
		if raw := payloadOf(t, p.db, id); len(raw) == 0 || bytes.Contains(raw, []byte("12345678")) {
			t.Errorf("payload at rest: %q", raw)
		}
		p.deliver(1)
		p.deliver(0)
		if len(p.got) != 1 || string(p.got[0].Payload) != "the code is 12345678" || p.got[0].ID != id || p.got[0].Attempt != 1 ||
			p.got[0].Recipient != "ada@example.com" || !p.got[0].CreatedAt.Equal(start) {
			t.Errorf("got %+v", p.got)
		}
		if i := p.item(id); i.State != Done || !i.EndedAt.Equal(start) {
			t.Errorf("item %+v", i)
		}
		if raw := payloadOf(t, p.db, id); len(raw) != 0 {
			t.Errorf("payload after delivery: %q", raw)
		}
	})
}

// Neither the act without the message nor the message without the act.
func TestPut_GoesWithItsTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		boom := errors.New("boom")
		err := p.db.InTx(t.Context(), func(ctx context.Context) error {
			if _, err := p.Put(ctx, Message{Kind: "test", Recipient: "a", Payload: []byte("x"), Expires: start.Add(time.Hour)}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		p.deliver(0)
		defer func() {
			if recover() == nil {
				t.Error("Put outside of a transaction did not panic")
			}
		}()
		_, _ = p.Put(t.Context(), Message{})
	})
}

func TestPut_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		good := Message{Kind: "test", Recipient: "a", Payload: []byte("x"), Expires: start.Add(time.Hour)}
		for name, change := range map[string]func(*Message){
			"unknown kind": func(m *Message) { m.Kind = "telex" },
			"no payload":   func(m *Message) { m.Payload = nil },
			"huge payload": func(m *Message) { m.Payload = make([]byte, maxPayload+1) },
			"huge name":    func(m *Message) { m.Recipient = strings.Repeat("a", maxRecipient+1) },
			"expired":      func(m *Message) { m.Expires = start },
		} {
			m := good
			change(&m)
			if err := p.db.InTx(t.Context(), func(ctx context.Context) error { _, err := p.Put(ctx, m); return err }); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
	})
}

func TestPut_DiscardIsNeverDeliveredNorShown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.putMessage(Message{Kind: "test", Recipient: "nobody@example.com", Payload: []byte("x"), Expires: start.Add(time.Hour), Discard: true})
		p.deliver(0)
		list, err := p.List(t.Context(), Filter{})
		if err != nil || len(list) != 0 {
			t.Errorf("listed %v, %v", list, err)
		}
		var n int64
		if err := p.db.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE recipient <> ''`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows name who was asked for (%v)", n, err)
		}
	})
}

func TestDeliver_BackOffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.fail = func(Delivery) error { return errors.New("451 ada@example.com try later") }
		id := p.put("x", 90*24*time.Hour)
		last := time.Duration(0)
		for n := 1; n <= 12; n++ {
			p.deliver(1)
			p.deliver(0) // it rests
			i := p.item(id)
			rest := i.Due.Sub(p.clock.Now())
			if i.Attempts != n || i.UnderWay || rest < 4*time.Second || rest > longest+longest/5 {
				t.Fatalf("after attempt %d: %+v, rest %v", n, i, rest)
			}
			if n < 8 && rest <= last {
				t.Errorf("rest %v after %v", rest, last)
			}
			last = rest
			p.clock.Advance(rest)
		}
		if i := p.item(id); i.State != Pending || i.LastError != "451 [recipient] try later" {
			t.Errorf("item %+v", i)
		}
		if strings.Contains(p.log.String(), "ada@example.com") {
			t.Error("the log names the person")
		}
	})
}

// A code that works for ten minutes must have more than a chance or two in them.
func TestPause_LeavesChancesToShortLives(t *testing.T) {
	t.Parallel()
	chances := 0
	for left := 10 * time.Minute; left > 0; chances++ {
		left -= pause(chances+1, left)
	}
	if chances < 15 {
		t.Errorf("only %d attempts in ten minutes", chances)
	}
	for n := 1; n < 500; n++ {
		if d := pause(n, 90*24*time.Hour); d <= 0 || d > longest+longest/5 {
			t.Fatalf("pause %d is %v", n, d)
		}
	}
}

func TestDeliver_PermanentEndsIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.fail = func(Delivery) error { return Permanent(errors.New("550 no such\r\nmailbox")) }
		id := p.put("x", time.Hour)
		p.deliver(1)
		p.clock.Advance(30 * time.Minute)
		p.deliver(0)
		if i := p.item(id); i.State != Dead || i.LastError != "550 no such mailbox" || i.Attempts != 1 {
			t.Errorf("item %+v", i)
		}
		// An operator who knows better may try again while it is worth something.
		p.fail = nil
		if err := p.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		p.deliver(1)
		if i := p.item(id); i.State != Done || string(p.got[1].Payload) != "x" {
			t.Errorf("item %+v, got %+v", i, p.got)
		}
	})
}

func TestDeliver_ExpiredIsDroppedNotSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.fail = func(Delivery) error { return errors.New("down") }
		id := p.put("secret", 10*time.Minute)
		p.deliver(1)
		p.fail = nil
		p.clock.Advance(10 * time.Minute)
		p.deliver(0)
		i := p.item(id)
		if p.attempts() != 1 || i.State != Dead || i.LastError != "expired: down" || len(payloadOf(t, p.db, id)) != 0 {
			t.Errorf("%d attempts, item %+v", p.attempts(), i)
		}
		if err := p.Retry(t.Context(), id); !errors.Is(err, ErrExpired) {
			t.Errorf("retry: %v", err)
		}
	})
}

// Mail server down for two hours, then up: what expires first goes first, what has expired does
// not go, and each goes once.
func TestDeliver_OutageOfTwoHours(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.fail = func(Delivery) error { return errors.New("connection refused") }
		for range 6 {
			p.put("notice", 72*time.Hour)
		}
		down := p.clock.Now().Add(2 * time.Hour)
		for p.clock.Now().Before(down) {
			p.put("code", 30*time.Minute) // a sign-up every ten minutes
			if _, err := p.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				p.clock.Advance(time.Minute)
				if _, err := p.Deliver(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.put("code", 30*time.Minute)
		p.mu.Lock()
		p.got, p.fail = nil, nil
		p.mu.Unlock()
		up := p.clock.Now()
		for !p.clock.Now().After(up.Add(longest + longest/5)) { // the longest pause ends just before
			if _, err := p.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.clock.Advance(10 * time.Second)
		}
		seen := map[string]int{}
		kinds := map[string]int{}
		for _, d := range p.got {
			seen[d.ID]++
			kinds[string(d.Payload)]++
			if d.Expires.Before(up) {
				t.Errorf("%s was sent although it expired %v before", d.Payload, up.Sub(d.Expires))
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		// The sign-ups of the last 30 minutes, and the new one.
		if kinds["notice"] != 6 || kinds["code"] != 3 {
			t.Errorf("sent %v", kinds)
		}
		d, err := p.Depth(t.Context())
		if err != nil || d.Pending != 0 || d.Dead != 10 {
			t.Errorf("depth %+v, %v", d, err)
		}
	})
}

func TestDeliver_FirstToExpireFirst(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		for range 3 * batch {
			p.put("notice", 72*time.Hour)
		}
		p.put("code", 10*time.Minute)
		if _, err := p.deliverOne(); err != nil {
			t.Fatal(err)
		}
		first := false
		for _, d := range p.got {
			first = first || string(d.Payload) == "code"
		}
		if !first || len(p.got) != batch {
			t.Errorf("the first %d do not have the code among them", len(p.got))
		}
	})
}

func (p *post) deliverOne() (int, error) { return p.Service.deliver(p.t.Context(), p.kinds["test"]) }

// Eight workers over two instances: nothing twice, nothing lost.
func TestDeliver_TwoInstancesShareTheWork(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			a, b := newPost(t, storetest.Connect(t, url), c), newPost(t, storetest.Connect(t, url), c)
			want := map[string]bool{}
			for range 41 {
				want[a.put("x", time.Hour)] = true
			}
			var wg sync.WaitGroup
			for i := range 8 {
				p := []*post{a, b}[i%2]
				wg.Go(func() {
					if _, err := p.Deliver(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for range 10 { // whoever lost the race for the last rows saw none and left
				if _, err := a.Deliver(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]int{}
			for _, d := range append(a.got, b.got...) {
				got[d.ID]++
			}
			if len(got) != len(want) {
				t.Errorf("%d of %d were delivered", len(got), len(want))
			}
			for id, n := range got {
				if n != 1 || !want[id] {
					t.Errorf("%s was delivered %d times", id, n)
				}
			}
		})
	}
}

// kill -9 in the middle of an attempt: the row is nobody else's until the claim ends, then it is.
func TestDeliver_KilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			dead, alive := newPost(t, storetest.Connect(t, url), c), newPost(t, storetest.Connect(t, url), c)
			id := dead.put("x", time.Hour)
			claims, err := dead.claim(t.Context(), dead.kinds["test"]) // and then nothing more
			if err != nil || len(claims) != 1 {
				t.Fatalf("%v, %v", claims, err)
			}
			alive.deliver(0)
			if i := alive.item(id); !i.UnderWay || i.Attempts != 1 {
				t.Errorf("item %+v", i)
			}
			if err := alive.Retry(t.Context(), id); !errors.Is(err, ErrUnderWay) {
				t.Errorf("retry of a message under way: %v", err)
			}
			if err := alive.Drop(t.Context(), id); !errors.Is(err, ErrUnderWay) {
				t.Errorf("drop of a message under way: %v", err)
			}
			c.Advance(lease)
			if i := alive.item(id); i.UnderWay {
				t.Errorf("item %+v", i)
			}
			alive.deliver(1)
			if len(alive.got) != 1 || alive.got[0].ID != id || alive.got[0].Attempt != 2 {
				t.Errorf("got %+v", alive.got)
			}
		})
	}
}

// The store fails between the receiver's word and our note of it: the same message again, under
// the same id, and only then. A claim that ended does not undo what was delivered.
func TestDeliver_CrashBetweenAcceptAndMark(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id := p.put("x", time.Hour)
		broken := newPost(t, p.db, p.clock)
		ctx, crash := context.WithCancel(t.Context())
		broken.fail = func(Delivery) error { crash(); return nil }
		down := p.db.Wrapped(func(q store.Querier) store.Querier { return deaf{q, ctx} })
		broken.d.DB = down
		if _, err := broken.Deliver(t.Context()); !errs.Is(err, errs.Unavailable) {
			t.Fatalf("the lost note went unnoticed: %v", err)
		}
		if i := p.item(id); i.State != Pending || !i.UnderWay {
			t.Errorf("item %+v", i)
		}
		p.clock.Advance(lease)
		p.deliver(1)
		p.deliver(0)
		if len(p.got) != 1 || p.got[0].ID != broken.got[0].ID || p.got[0].Answered != broken.got[0].Answered || p.item(id).State != Done {
			t.Errorf("got %+v and %+v", broken.got, p.got)
		}
	})
}

// deaf is a store that answers no more once ctx has ended.
type deaf struct {
	store.Querier
	ctx context.Context //nolint:containedctx // the test's switch
}

func (d deaf) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if d.ctx.Err() != nil {
		return 0, store.Fault(true, storetest.ErrInjected)
	}
	return d.Querier.Exec(ctx, sql, args...)
}

// An attempt that lasts longer than a claim keeps the message, so that one that died is taken over soon
// without another being disturbed.
func TestDeliver_HeldWhileItLasts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id, other := p.put("x", time.Hour), newPost(t, p.db, p.clock)
		p.beat = time.Millisecond
		p.fail = func(Delivery) error {
			for range 4 {
				p.clock.Advance(lease / 2)
				want, end := p.clock.Now().Add(lease), time.Now().Add(time.Minute)
				for p.item(id).Due != want {
					if time.Now().After(end) {
						return errors.New("the claim was not renewed")
					}
					time.Sleep(time.Millisecond)
				}
				other.deliver(0)
			}
			return errors.New("too busy")
		}
		p.deliver(1)
		if i := p.item(id); i.State != Pending || i.UnderWay || i.LastError != "too busy" || len(other.got) != 0 {
			t.Errorf("%+v, %d elsewhere", i, len(other.got))
		}
	})
}

// An attempt ends when the message is another instance's.
func TestDeliver_EndsWithItsClaim(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db, clock.NewFake(start))
		id := p.put("x", time.Hour)
		p.beat = time.Millisecond
		p.Register("test", func(ctx context.Context, _ Delivery) error {
			if _, err := p.db.Exec(t.Context(), `UPDATE outbox SET due_at = due_at + 1 WHERE id = $1`, id); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}, Options{Patience: 5 * time.Minute})
		p.deliver(1)
		if i := p.item(id); !i.UnderWay || i.LastError != "" {
			t.Errorf("the loser had the last word: %+v", i)
		}
	})
}

// An attempt whose claim cannot be renewed ends before another instance may begin one, whether the store says
// so or does not answer at all.
func TestDeliver_EndsBeforeItsClaim(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"refusing": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, storetest.Open(t, store.SQLite), clock.NewFake(start))
			id := p.put("x", time.Hour)
			p.beat, p.answer = time.Millisecond, 10*time.Millisecond
			p.d.DB = p.db.Wrapped(func(q store.Querier) store.Querier { return severed{q, hangs} })
			until := p.clock.Now().Add(lease)
			var lost atomic.Bool
			p.Register("test", func(ctx context.Context, _ Delivery) error {
				p.clock.Advance(lease / 4) // there is time for another renewal
				select {
				case <-ctx.Done():
					return errors.New("given up too early")
				case <-time.After(grace + time.Second):
				}
				p.clock.Advance(until.Sub(p.clock.Now()) - beat - answer - grace) // and now for none
				select {
				case <-ctx.Done():
					lost.Store(p.clock.Now().Before(until))
				case <-time.After(10 * grace):
				}
				return ctx.Err()
			}, Options{Patience: 5 * time.Minute})
			p.deliver(1)
			if !lost.Load() {
				t.Errorf("it went on: %+v", p.item(id))
			}
		})
	}
}

// severed is a store in which no claim is renewed.
type severed struct {
	store.Querier
	hangs bool
}

func (s severed) QueryRow(ctx context.Context, sql string, args ...any) store.Row {
	if sql != sqlHold {
		return s.Querier.QueryRow(ctx, sql, args...)
	}
	if s.hangs {
		<-ctx.Done()
	}
	return noRow{}
}

type noRow struct{}

func (noRow) Scan(...any) error { return store.Fault(true, storetest.ErrInjected) }

// What is said of an attempt that nobody knows the end of can be said again; after the recipient's own
// refusal everything may be another.
func TestDeliver_Answered(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id := p.put("x", 48*time.Hour)
		var refusals []time.Time
		for _, answers := range []bool{false, true, false, false, true, false} {
			p.fail = func(Delivery) error {
				if answers {
					refusals = append(refusals, p.clock.Now())
					return Refused(errors.New("no"))
				}
				return errors.New("nobody there")
			}
			p.deliver(1)
			p.clock.Advance(longest + longest/5)
		}
		if i := p.item(id); !i.EndedAt.IsZero() || i.State != Pending {
			t.Errorf("%+v", i)
		}
		none := time.Time{}
		want := []time.Time{none, none, refusals[0], refusals[0], refusals[0], refusals[1]}
		for n, d := range p.got {
			if !d.Answered.Equal(want[n]) {
				t.Errorf("attempt %d: answered %v, want %v", d.Attempt, d.Answered, want[n])
			}
		}
		// What an operator sends once more was answered, as far as anybody knows.
		if _, err := p.db.Exec(t.Context(), `UPDATE outbox SET state = 'dead' WHERE id = $1`, id); err != nil {
			t.Fatal(err)
		}
		if err := p.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		p.fail = nil
		p.deliver(1)
		if d := p.got[len(p.got)-1]; !d.Answered.Equal(p.clock.Now()) {
			t.Errorf("%+v", d)
		}
	})
}

// An attempt that outlived its claim must not disturb whoever has the row now, unless it succeeded.
func TestDeliver_LateResult(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id := p.put("x", time.Hour)
		var second Item
		p.fail = func(d Delivery) error {
			if d.Attempt > 1 {
				return nil
			}
			p.clock.Advance(lease + time.Second)
			if _, err := p.db.Exec(t.Context(), `UPDATE outbox SET attempts = 2, due_at = due_at + 1000000000 WHERE id = $1`, id); err != nil {
				return err
			}
			second = p.item(id)
			return errors.New("too late")
		}
		p.deliver(1)
		if i := p.item(id); i != second || !i.UnderWay {
			t.Errorf("a late failure changed %+v to %+v", second, i)
		}
	})
}

func TestDeliver_FaultAtEveryStatement(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		for n := int64(1); n <= 4; n++ {
			for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
				healthy := newPost(t, db, c)
				id := healthy.put("x", 24*time.Hour)
				faulty, count := storetest.FailAt(db, n, mode)
				broken := newPost(t, faulty, c)
				_, _ = broken.Deliver(t.Context())
				if count.Load() < n {
					t.Fatalf("only %d statements", count.Load())
				}
				c.Advance(2 * lease)
				if _, err := healthy.Deliver(t.Context()); err != nil {
					t.Fatal(err)
				}
				total := len(broken.got) + len(healthy.got)
				if i := healthy.item(id); i.State != Done || total != 1 {
					t.Errorf("statement %d, mode %d: delivered %d times, %+v", n, mode, total, i)
				}
			}
		}
	})
}

func TestDeliver_PanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.fail = func(Delivery) error { panic("handler") }
		id := p.put("x", time.Hour)
		p.deliver(1)
		if i := p.item(id); i.State != Pending || i.LastError != "panic: handler" || i.UnderWay {
			t.Errorf("item %+v", i)
		}
	})
}

// What takes the process with it each time must end some day.
func TestDeliver_GivesUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		id := p.put("x", 10000*time.Hour)
		if _, err := p.db.Exec(t.Context(), `UPDATE outbox SET attempts = $1, last_error = 'boom' WHERE id = $2`, maxAttempts, id); err != nil {
			t.Fatal(err)
		}
		p.deliver(0)
		if i := p.item(id); i.State != Dead || i.LastError != "gave up: boom" || p.attempts() != 0 {
			t.Errorf("item %+v", i)
		}
		if err := p.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		p.deliver(1)
	})
}

// A payload moved to another row, or sealed under another key, is not delivered to anybody.
func TestDeliver_MovedPayload(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		mine, theirs := p.put("mine", time.Hour), p.put("theirs", time.Hour)
		if _, err := p.db.Exec(t.Context(), `UPDATE outbox SET payload = $1 WHERE id = $2`, payloadOf(t, p.db, theirs), mine); err != nil {
			t.Fatal(err)
		}
		p.deliver(2)
		if len(p.got) != 1 || string(p.got[0].Payload) != "theirs" || p.item(mine).State != Dead {
			t.Errorf("got %+v", p.got)
		}
	})
}

func TestRun_WokenByPut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		time.Sleep(20 * time.Millisecond) // it has looked, and rests
		for range 5 {
			id := p.put("x", time.Hour)
			for deadline := time.Now().Add(10 * time.Second); p.item(id).State != Done; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not delivered")
				}
			}
		}
		stop()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("Run does not end")
		}
	})
}

// A server that hangs for one kind holds up no other.
func TestRun_KindsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.Register("slow", func(ctx context.Context, _ Delivery) error { <-ctx.Done(); return ctx.Err() }, Options{})
		for range 2 * batch {
			p.putMessage(Message{Kind: "slow", Recipient: "x", Payload: []byte("x"), Expires: start.Add(time.Hour)})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		id := p.put("x", time.Hour)
		for deadline := time.Now().Add(10 * time.Second); p.item(id).State != Done; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not delivered")
			}
		}
		stop() // and the hanging ones are cut off after a moment, to be tried again
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("Run does not end")
		}
	})
}

func TestManage_ListRetryDrop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		ctx := t.Context()
		p.fail = func(Delivery) error { return errors.New("down") }
		resting := p.put("a", time.Hour)
		p.deliver(1)
		p.fail = func(Delivery) error { return Permanent(errors.New("no")) }
		dead := p.put("b", time.Hour)
		p.deliver(1)
		p.fail = nil
		done := p.put("c", time.Hour)
		p.deliver(1)

		list, err := p.List(ctx, Filter{State: Dead})
		if err != nil || len(list) != 1 || list[0].ID != dead {
			t.Errorf("dead: %+v, %v", list, err)
		}
		if list, err = p.List(ctx, Filter{Limit: 2}); err != nil || len(list) != 2 {
			t.Errorf("limit: %+v, %v", list, err)
		}
		if d, err := p.Depth(ctx); err != nil || d.Pending != 1 || d.Dead != 1 || !d.Oldest.Equal(start) {
			t.Errorf("depth %+v, %v", d, err)
		}
		if err := p.Retry(ctx, resting); err != nil { // no need to wait for the end of its rest
			t.Error(err)
		}
		p.deliver(1)
		for _, fn := range []func(context.Context, string) error{p.Retry, p.Drop} {
			if err := fn(ctx, done); !errors.Is(err, ErrDelivered) {
				t.Errorf("delivered: %v", err)
			}
			if err := fn(ctx, "nonsense"); !errors.Is(err, ErrUnknown) {
				t.Errorf("unknown: %v", err)
			}
		}
		if err := p.Drop(ctx, dead); err != nil {
			t.Error(err)
		}
		records, err := p.d.Audit.List(ctx, audit.Filter{Target: dead})
		if err != nil || len(records) != 1 || records[0].Action != "outbox.drop" {
			t.Errorf("audit %+v, %v", records, err)
		}
	})
}

func TestDeleteDone_KeepsWhatMayBeRetried(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		ctx := t.Context()
		p.fail = func(d Delivery) error {
			if string(d.Payload) == "dead" {
				return Permanent(errors.New("no"))
			}
			return nil
		}
		dead := p.put("dead", time.Hour)
		p.put("done", time.Hour)
		p.deliver(2)
		if n, err := p.DeleteDone(ctx, start, 10); err != nil || n != 0 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if len(payloadOf(t, p.db, dead)) == 0 {
			t.Error("a dead message that could be retried lost its payload")
		}
		p.clock.Advance(time.Hour)
		if n, err := p.DeleteDone(ctx, start, 10); err != nil || n != 0 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if len(payloadOf(t, p.db, dead)) != 0 {
			t.Error("a dead message that expired keeps its payload")
		}
		waiting := p.put("done", time.Hour)
		if n, err := p.DeleteDone(ctx, p.clock.Now().Add(time.Second), 1); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if n, err := p.DeleteDone(ctx, p.clock.Now().Add(time.Second), 10); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
		p.deliver(1)
		if p.item(waiting).State != Done {
			t.Error("what waited was not delivered")
		}
	})
}

// TestTallies: an operator sees how each recipient of a kind stands.
func TestTallies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		p.Register("other", p.handle, Options{})
		put := func(kind, to string) string {
			return p.putMessage(Message{Kind: kind, Recipient: to, Payload: []byte("x"), Expires: p.clock.Now().Add(time.Hour)})
		}
		put("test", "a")
		p.deliver(1)
		p.clock.Advance(time.Second)
		waits := put("test", "a")
		put("test", "b")
		put("other", "c")
		list, err := p.Tallies(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		want := []Tally{
			{Recipient: "a", Pending: 1, Done: 1, Oldest: start.Add(time.Second), Delivered: start},
			{Recipient: "b", Pending: 1, Oldest: start.Add(time.Second)},
		}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Error(diff)
		}
		if item, err := p.Find(t.Context(), waits); err != nil || item.Recipient != "a" || item.State != Pending {
			t.Errorf("%+v %v", item, err)
		}
		if _, err := p.Find(t.Context(), "nothing"); !errs.Is(err, errs.NotFound) {
			t.Errorf("a message that is not there: %v", err)
		}
		if only, err := p.List(t.Context(), Filter{Recipient: "b"}); err != nil || len(only) != 1 || only[0].Recipient != "b" {
			t.Errorf("%+v %v", only, err)
		}
	})
}

// TestRun_Loops: as many batches of a kind are under way at once as it asked for.
func TestRun_Loops(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *post) {
		const loops = 3
		busy, free := make(chan struct{}, 4*loops*batch), make(chan struct{})
		p.Register("wide", func(context.Context, Delivery) error {
			busy <- struct{}{}
			<-free
			return nil
		}, Options{Loops: loops})
		for range 2 * loops * batch {
			p.putMessage(Message{Kind: "wide", Recipient: "r", Payload: []byte("x"), Expires: p.clock.Now().Add(time.Hour)})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		for range loops * batch {
			select {
			case <-busy:
			case <-time.After(20 * time.Second):
				t.Fatal("fewer batches are under way than loops")
			}
		}
		select {
		case <-busy:
			t.Error("more messages are under way than loops allow")
		case <-time.After(50 * time.Millisecond):
		}
		stop()
		close(free)
		<-done
	})
}
