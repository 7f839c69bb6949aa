package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed MongoStandIn.java
var mongoStandIn []byte

const mongoPort = 27117

// process is a program with its log in a file.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	log  string
	pid  string // file with its id, for a later run with --stop
}

// start runs a program in a process group of its own, so that an interrupt at the terminal does
// not reach one that is to be left running.
func start(work, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{}), log: filepath.Join(work, name+".log"), pid: filepath.Join(work, name+".pid")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in the log
	}()
	return p, os.WriteFile(p.pid, []byte(strconv.Itoa(p.cmd.Process.Pid)), 0o600)
}

// until waits for ready, or for the program to end before it is.
func (p *process) until(ctx context.Context, most time.Duration, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !ready(ctx) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended, see %s", p.name, p.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready, see %s", p.name, p.log)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	_ = os.Remove(p.pid)
}

// stopKept ends what an earlier run left.
func stopKept(work string) error {
	for _, name := range []string{"suite", "mongo"} {
		file := filepath.Join(work, name+".pid")
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		// A number may have been given to another program since.
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(command), "java") {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				return err
			}
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func startMongo(ctx context.Context, o options) (*process, error) {
	source := filepath.Join(o.work, "MongoStandIn.java")
	if err := os.WriteFile(source, mongoStandIn, 0o600); err != nil {
		return nil, err
	}
	p, err := start(o.work, "mongo", nil, o.java, "-Xmx3g", "-cp", filepath.Join(o.mongoLib, "*"), source, strconv.Itoa(mongoPort))
	if err != nil {
		return nil, err
	}
	return p, p.until(ctx, time.Minute, func(ctx context.Context) bool { return listens(ctx, mongoPort) })
}

func listens(ctx context.Context, port int) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// startSuite runs the suite in its development mode, in which nobody signs in to it: for the
// loopback only. It knows no hosts but those of this run: its pages name scripts elsewhere, which
// its browser would fetch in every module, and the providers of its own login, which get an
// address where nobody listens.
func startSuite(ctx context.Context, o options, api *api) (*process, error) {
	host, port, err := net.SplitHostPort(suiteListen)
	if err != nil {
		return nil, err
	}
	hosts := filepath.Join(o.work, "hosts")
	if err := writeHosts(hosts); err != nil {
		return nil, err
	}
	p, err := start(o.work, "suite", nil, o.java, "-Xmx3g", "-Djdk.tls.maxHandshakeMessageSize=65536", "-Djdk.net.hosts.file="+hosts, "-jar", o.suite,
		"--server.address="+host, "--server.port="+port,
		fmt.Sprintf("--spring.mongodb.uri=mongodb://127.0.0.1:%d/test_suite", mongoPort),
		"--openid.mongodb.targetFeatureCompatibilityVersion=",
		"--fintechlabs.devmode=true", "--fintechlabs.startredir=false", "--fintechlabs.show_external_ip_address=false",
		"--fintechlabs.base_url="+suiteURL, "--fintechlabs.base_mtls_url="+suiteMTLSURL,
		"--oidc.google.iss=https://"+suiteHost+":9", "--oidc.gitlab.iss=https://"+suiteHost+":9")
	if err != nil {
		return nil, err
	}
	return p, p.until(ctx, 4*time.Minute, func(ctx context.Context) bool { _, err := api.version(ctx); return err == nil })
}

// writeHosts writes the file from which the suite's Java takes all names.
func writeHosts(file string) error {
	names := []string{"localhost", suiteHost, issuerHost}
	if own, err := os.Hostname(); err == nil {
		names = append(names, own)
	}
	return os.WriteFile(file, []byte("127.0.0.1 "+strings.Join(names, " ")+"\n"), 0o600)
}
