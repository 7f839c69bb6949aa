package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
)

func TestHash_IsPHCArgon2idAndVerifies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newService(t, Deps{})
	h, err := s.Hash(ctx, tulips)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %s", h)
	}
	if again, _ := s.Hash(ctx, tulips); again == h {
		t.Error("two hashes of one password are equal: no salt")
	}
	for pw, want := range map[seal.Secret]bool{
		tulips: true, "Tulips and herons": false, tulips + " ": false, " " + tulips: false, "": false,
		seal.Secret(strings.Repeat("x", 1<<20)): false, tulips + "\x00": false,
	} {
		got, err := s.Verify(ctx, h, pw)
		if err != nil || got.OK != want || got.Upgrade {
			t.Errorf("%.20q: %+v, %v", pw.Reveal(), got, err)
		}
	}
}

func TestHash_NothingIsTruncated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newService(t, Deps{})
	long := strings.Repeat("한", MaxLength-1)
	h, err := s.Hash(ctx, seal.Secret(long+"a"))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := s.Verify(ctx, h, seal.Secret(long+"b")); r.OK {
		t.Error("the last of 256 characters does not count")
	}
	if r, _ := s.Verify(ctx, h, seal.Secret(long+"a")); !r.OK {
		t.Error("a password of 256 characters does not verify")
	}
	if _, err := s.Hash(ctx, seal.Secret(strings.Repeat("x", maxBytes+1))); keyOf(err) != KeyTooLong {
		t.Errorf("beyond the limit: %v", err)
	}
}

// Composed and decomposed are one password for us; a foreign hash is met as typed as well.
func TestVerify_Normalisation(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newService(t, Deps{})
	composed, decomposed := seal.Secret("caf\u00e9 au lait, tr\u00e8s chaud"), seal.Secret("cafe\u0301 au lait, tre\u0300s chaud")
	ours, err := s.Hash(ctx, decomposed)
	if err != nil {
		t.Fatal(err)
	}
	for _, pw := range []seal.Secret{composed, decomposed} {
		if r, err := s.Verify(ctx, ours, pw); err != nil || r != (Result{OK: true}) {
			t.Errorf("our hash, %q: %+v, %v", pw.Reveal(), r, err)
		}
	}
	// What another system made of the decomposed form: not normalised.
	salt := []byte("sixteen-bytes-ok")
	key := pbkdf2Digests["sha256"](decomposed.Reveal(), salt, 10, 32)
	theirs := "pbkdf2:sha256:10$" + string(salt) + "$" + hexOf(key)
	if r, err := s.Verify(ctx, theirs, decomposed); err != nil || !r.OK || !r.Upgrade {
		t.Errorf("foreign hash as typed: %+v, %v", r, err)
	}
	if r, _ := s.Verify(ctx, theirs, composed); r.OK {
		t.Error("foreign hash matched a form that was not typed")
	}
}

func TestVerify_UpgradesCheaperHashes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	old, err := newService(t, Deps{Params: Params{MemoryKiB: 64, Time: 1, Parallelism: 1}}).Hash(ctx, tulips)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p    Params
		want bool
	}{
		{Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, false},
		{Params{MemoryKiB: 128, Time: 1, Parallelism: 1}, true},
		{Params{MemoryKiB: 64, Time: 2, Parallelism: 1}, true},
		{Params{MemoryKiB: 32, Time: 1, Parallelism: 1}, false}, // never downwards
	} {
		r, err := newService(t, Deps{Params: tt.p}).Verify(ctx, old, tulips)
		if err != nil || !r.OK || r.Upgrade != tt.want {
			t.Errorf("%+v: %+v, %v", tt.p, r, err)
		}
		if r, _ := newService(t, Deps{Params: tt.p}).Verify(ctx, old, "wrong"); r.Upgrade {
			t.Error("upgrade without the right password")
		}
	}
}

// Unknown accounts cost what known ones do: one derivation of the same cost for each form of what
// was typed, through the same gate.
func TestVerify_DecoyDoesTheSameWork(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{Params: Params{MemoryKiB: 128, Time: 2, Parallelism: 1}})
	if s.decoy.params != s.params || s.decoy.scheme != Argon2id || len(s.decoy.want) != keyBytes {
		t.Errorf("decoy costs %+v, a hash %+v", s.decoy.params, s.params)
	}
	derived := 0
	derive := s.decoy.derive
	s.decoy.derive = func(pw []byte) []byte { derived++; return derive(pw) }
	for _, tt := range []struct {
		stored, typed string
		want          int
	}{
		{"", tulips, 1},
		{"", "", 1},
		{"", "cafe\u0301 au lait", 2},       // as for a known account
		{"", strings.Repeat("x", 1<<20), 1}, // not read, but not answered sooner
		{"$argon2id$v=19$m=4194304,t=1,p=1$x$y", tulips, 1}, // a row that cannot be used
		{"plain text", tulips, 1},
	} {
		derived = 0
		if r, err := s.Verify(context.Background(), tt.stored, seal.Secret(tt.typed)); err != nil || r != (Result{}) {
			t.Errorf("%.20q: %+v, %v", tt.typed, r, err)
		}
		if derived != tt.want {
			t.Errorf("%q, %.20q: %d derivations, want %d", tt.stored, tt.typed, derived, tt.want)
		}
	}
}

func TestGate_QueuesThenSheds(t *testing.T) {
	t.Parallel()
	g := newGate(1, 50*time.Millisecond)
	leave, err := g.enter(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.enter(context.Background(), 1)
	e := errs.As(err)
	if e.Kind != errs.Busy || e.RetryAfter < time.Second {
		t.Fatalf("after the deadline: %v, retry after %v", err, e.RetryAfter)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = g.enter(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a visitor who left: %v", err)
	}
	got := make(chan error)
	go func() {
		l, err := g.enter(context.Background(), 5) // more than there are: takes all
		if err == nil {
			defer l()
		}
		got <- err
	}()
	leave()
	if err := <-got; err != nil {
		t.Errorf("slot came free in time: %v", err)
	}
	if inUse, queued, shed := g.stats(); queued != 0 || shed != 1 || inUse > 1 {
		t.Errorf("in use %d, queued %d, shed %d", inUse, queued, shed)
	}
}

func TestGate_ShedsAtOnceWhenHopeless(t *testing.T) {
	t.Parallel()
	g := newGate(1, time.Minute)
	g.mean.Store(int64(time.Hour))
	leave, err := g.enter(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan struct{})
	go func() { defer close(waiting); _, _ = g.enter(ctx, 1) }()
	for g.queued.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if _, err := g.enter(context.Background(), 1); !errs.Is(err, errs.Busy) {
		t.Errorf("got %v", err)
	}
	if time.Since(began) > 30*time.Second {
		t.Error("waited for nothing")
	}
	cancel()
	<-waiting
}

func TestGate_NeverMoreThanItsSlots(t *testing.T) {
	t.Parallel()
	g := newGate(3, time.Minute)
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			weight := int64(1 + i%4)
			leave, err := g.enter(context.Background(), weight)
			if err != nil {
				t.Error(err)
				return
			}
			n := now.Add(min(weight, 3))
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond)
			now.Add(-min(weight, 3))
			leave()
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d slots in use at once", most.Load())
	}
}

func TestService_BusyChecksNothing(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{Slots: 1, QueueTimeout: time.Millisecond})
	h, err := s.Hash(context.Background(), tulips)
	if err != nil {
		t.Fatal(err)
	}
	leave, err := s.gate.enter(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Verify(context.Background(), h, tulips); !errs.Is(err, errs.Busy) || r.OK {
		t.Errorf("verify: %+v, %v", r, err)
	}
	if _, err := s.Hash(context.Background(), tulips); !errs.Is(err, errs.Busy) {
		t.Errorf("hash: %v", err)
	}
	leave()
	if r, err := s.Verify(context.Background(), h, tulips); err != nil || !r.OK {
		t.Errorf("after the rush: %+v, %v", r, err)
	}
}

// Who would be shed at once hears so before anything else is done; who may wait does not.
func TestAdmit_RefusesWhoWouldWaitTooLong(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{Slots: 2, QueueTimeout: time.Second})
	if err := s.Admit(); err != nil {
		t.Errorf("with nobody waiting: %v", err)
	}
	s.gate.mean.Store(int64(100 * time.Millisecond))
	s.gate.queued.Store(20) // a second of work
	if err := s.Admit(); err != nil {
		t.Errorf("with a second to wait: %v", err)
	}
	s.gate.queued.Store(21)
	if err := s.Admit(); !errs.Is(err, errs.Busy) || errs.As(err).RetryAfter < time.Second {
		t.Errorf("with more to wait: %v", err)
	}
	if _, _, shed := s.Stats(); shed != 1 {
		t.Errorf("%d shed", shed)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

// BenchmarkHash is the bare cost of a login at the default parameters.
func BenchmarkHash(b *testing.B) {
	s, err := New(Deps{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Hash(context.Background(), tulips); err != nil {
			b.Fatal(err)
		}
	}
}
