package app

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestCollectAt_ReachesTheFloorAndNeverLessThanGosRule(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, c := range []struct {
		live, floor uint64
		want        int
	}{
		{0, 64 * mb, 100}, // not known
		{8 * mb, 64 * mb, 700},
		{10 * mb, 64 * mb, 540},
		{31 * mb, 64 * mb, 106},
		{32 * mb, 64 * mb, 100},
		{500 * mb, 64 * mb, 100},
		{1, math.MaxUint64 / 200, math.MaxInt32},
	} {
		if got := collectAt(c.live, c.floor); got != c.want {
			t.Errorf("collectAt(%d, %d) = %d, want %d", c.live, c.floor, got, c.want)
		}
	}
}

func TestWatchCollections_SeesEachOfThem(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	watchCollections(func() { seen.Add(1) })
	for round := range int32(3) {
		deadline := time.Now().Add(10 * time.Second)
		for seen.Load() < round+2 { // one at once, one per collection
			if time.Now().After(deadline) {
				t.Fatalf("seen %d collections, want %d", seen.Load()-1, round+1)
			}
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}
	if liveHeap() == 0 {
		t.Error("the runtime does not say how large the live heap is")
	}
}
