package app

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is how far the heap may grow before garbage is collected at all: less than what two
// password hashes under way take anyway. What lives between requests is some 10 MB.
const heapFloor = 48 << 20

// LetHeapGrow keeps the garbage collector from running many times a second over a small heap.
// Go collects when the heap has doubled, which ours does every few thousand requests; then all
// that lives is looked through again. From now on a collection waits until heapFloor; where more
// than half of that is in use, Go's own rule holds, so there is no limit to run into. An
// operator's GOGC wins. It is for programs: the setting is the process's.
func LetHeapGrow() {
	if os.Getenv("GOGC") != "" {
		return
	}
	watchCollections(func() { debug.SetGCPercent(collectAt(liveHeap(), heapFloor)) })
}

// collectAt returns the growth in percent after which the heap reaches floor, and at least the
// 100 of Go's default.
func collectAt(live, floor uint64) int {
	if live == 0 || live >= floor/2 {
		return 100
	}
	return int(min(floor*100/live-100, math.MaxInt32))
}

// liveHeap returns the bytes that the last collection found in use.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0 // not in this version of Go: keep its default
	}
	return s[0].Value.Uint64()
}

// mark is garbage whose finalizer says that a collection has ended. It has a pointer, since the
// runtime may keep many pointer-free objects in one block.
type mark struct{ each func() }

func watchCollections(each func()) {
	each()
	again(&mark{each})
}

func again(m *mark) {
	runtime.SetFinalizer(m, func(m *mark) {
		m.each()
		again(m)
	})
}
