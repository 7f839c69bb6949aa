package compare

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error  // why it ended, once done is closed
	url  string // of the bare handler
}

// startProcess runs a program whose output goes to the end of a file.
func startProcess(ctx context.Context, logFile, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd}
	return p, p.run()
}

func (p *process) run() error {
	p.done = make(chan struct{})
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// stop asks the program to end and makes it end if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// startHandler runs this program as the bare handler: a process of its own, as the provider
// is one.
func startHandler(ctx context.Context, o Options) (*process, error) {
	cmd := exec.CommandContext(ctx, o.Bench, "handler")
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, o.Log
	p := &process{cmd: cmd}
	err = p.run()
	_ = w.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("bare handler: %w", err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// freeAddress finds a port that nobody listens on right now.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// resident returns the resident memory of a process in bytes (Linux).
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// cpu adds up the processor time of the programs that take part in a measurement: this one,
// which generates the load, the provider, the bare handler, and Postgres with its children.
// It is 0 where there is no /proc.
type cpu struct {
	pids       []int
	postmaster int
}

func newCPU(a, b *process, postmaster int) *cpu {
	return &cpu{pids: []int{os.Getpid(), a.cmd.Process.Pid, b.cmd.Process.Pid}, postmaster: postmaster}
}

func (c *cpu) seconds() float64 {
	var ticks float64
	for _, pid := range c.pids {
		_, t := stat(pid)
		ticks += t
	}
	if c.postmaster == 0 {
		return ticks / ticksPerSecond
	}
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range list {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if parent, t := stat(pid); parent == c.postmaster {
			ticks += t
		}
	}
	return ticks / ticksPerSecond
}

const ticksPerSecond = 100 // USER_HZ, on every Linux that Go runs on

// stat returns a process's parent and its processor time (proc(5), /proc/pid/stat).
func stat(pid int) (parent int, ticks float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may hold anything; fields are counted after it.
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(f[1])
	for _, s := range f[11:13] { // user and system time
		t, _ := strconv.ParseFloat(s, 64)
		ticks += t
	}
	return parent, ticks
}

// tail returns the end of a file, for error texts.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		_, _ = f.Seek(-2000, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}
