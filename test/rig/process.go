package rig

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the top folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no caller")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

var build struct {
	sync.Once
	path string
	err  error
}

// Binary is the provider: SIGNET_BIN where it is set, otherwise built once per test program.
func Binary(t testing.TB) string {
	t.Helper()
	build.Do(func() {
		if build.path = os.Getenv("SIGNET_BIN"); build.path != "" {
			return
		}
		var dir string
		if dir, build.err = os.MkdirTemp("", "signet-rig"); build.err != nil {
			return
		}
		build.path = filepath.Join(dir, "signet")
		cmd := exec.Command("go", "build", "-o", build.path, "./cmd/signet")
		cmd.Dir = Root(t)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// FreePort is a port of the loopback that nobody listens on at the moment.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Process is a running program that dies with the test.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  *buffer
	done chan struct{}
}

// Start runs the program; what it writes is printed if the test fails.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, log: &buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in the log
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", p.cmd, tail(p.log.String()))
		}
	})
	return p
}

// tail is the end of a log, from a line's beginning.
func tail(log string) string {
	const most = 4000
	if len(log) <= most {
		return log
	}
	_, rest, _ := strings.Cut(log[len(log)-most:], "\n")
	return "…\n" + rest
}

// Answers waits until url, asked for under the name host, answers 200.
func (p *Process) Answers(url, host string) *Process {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		req.Host = host
		if answer, err := http.DefaultClient.Do(req); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s ended:\n%s", p.cmd, p.log)
		case <-ctx.Done():
			p.t.Fatalf("%s does not answer %s:\n%s", p.cmd, url, p.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill is kill -9: nothing of the program gets to run again.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop asks the program to end and waits until it has.
func (p *Process) Stop() { p.signal(syscall.SIGTERM) }

func (p *Process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // fails only when it has ended already
	<-p.done
}

// Log is what the program wrote so far.
func (p *Process) Log() string { return p.log.String() }

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
