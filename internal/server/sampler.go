package server

import (
	"sync/atomic"
	"time"
)

// sampler lets a few log lines per second through and counts the rest.
type sampler struct {
	second  atomic.Int64
	used    atomic.Int64
	skipped atomic.Int64
}

const sampledPerSecond = 10

func (s *sampler) allow(now time.Time) bool {
	sec := now.Unix()
	if s.second.Swap(sec) != sec {
		s.used.Store(0)
	}
	if s.used.Add(1) <= sampledPerSecond {
		return true
	}
	s.skipped.Add(1)
	return false
}
