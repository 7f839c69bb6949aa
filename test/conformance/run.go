package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// rig is everything that runs beside the modules.
type rig struct {
	o            options
	authority    *authority
	front        *front
	resource     *resource
	api          *api
	mongo, suite *process // nil where an earlier run left them
	provider     *provider
	version      string // of the suite
	build        string // of the provider
	logs         *os.File
}

func newRig(ctx context.Context, o options) (*rig, error) {
	if err := checkNames(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.work, 0o700); err != nil {
		return nil, err
	}
	a, err := newAuthority(o.work)
	if err != nil {
		return nil, err
	}
	r := &rig{o: o, authority: a, api: newAPI(a)}
	if err := r.open(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) open(ctx context.Context) (err error) {
	if r.logs, err = os.Create(filepath.Join(r.o.work, "front.log")); err != nil {
		return err
	}
	if err := r.findBinary(ctx); err != nil {
		return err
	}
	if r.front, err = startFront(ctx, r.authority, r.logs); err != nil {
		return err
	}
	if r.resource, err = startResource(ctx, r.authority, r.logs); err != nil {
		return err
	}
	switch _, err := r.api.version(ctx); {
	case err == nil && !r.o.keep:
		return errors.New("a suite runs already: use it with --keep, or end it with --stop")
	case err != nil:
		if err := r.startSuite(ctx); err != nil {
			return err
		}
	}
	if r.version, err = r.api.version(ctx); err != nil {
		return err
	}
	fmt.Printf("suite %s, provider %s\n", r.version, r.build)
	return nil
}

func (r *rig) startSuite(ctx context.Context) (err error) {
	if r.mongo, err = startMongo(ctx, r.o); err != nil {
		return err
	}
	r.suite, err = startSuite(ctx, r.o, r.api)
	return err
}

// findBinary builds the provider unless one was named.
func (r *rig) findBinary(ctx context.Context) error {
	if r.o.signet == "" {
		r.o.signet = filepath.Join(r.o.work, "signet-bin")
		state, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output()
		if err != nil {
			return fmt.Errorf("git describe: %w", err)
		}
		version := "-X main.version=" + strings.TrimSpace(string(state))
		build := exec.CommandContext(ctx, "go", "build", "-ldflags", version, "-o", r.o.signet, "./cmd/signet")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	out, err := exec.CommandContext(ctx, r.o.signet, "version").Output()
	r.build = strings.TrimSpace(string(out))
	return err
}

func (r *rig) close() {
	r.provider.stop()
	if r.front != nil {
		r.front.close()
	}
	r.resource.close()
	if !r.o.keep {
		r.suite.stop()
		r.mongo.stop()
	}
	if r.logs != nil {
		_ = r.logs.Close()
	}
}

// checkNames says what to do where the names of the suite and the provider lead nowhere.
func checkNames(ctx context.Context) error {
	for _, host := range []string{suiteHost, issuerHost} {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil || len(found) == 0 || found[0] != "127.0.0.1" {
			return fmt.Errorf("add to the file of hosts: 127.0.0.1 %s %s", suiteHost, issuerHost)
		}
	}
	return nil
}

// runGroup runs plans of a group against a fresh provider.
func (r *rig) runGroup(ctx context.Context, g group, plans []plan) ([]planResult, error) {
	registrations := make([]*registration, len(plans))
	r.resource.person.forget()
	api, resource := r.resource.registered()
	clients := []map[string]any{resource}
	for i, p := range plans {
		var err error
		if registrations[i], err = register(p, r.authority); err != nil {
			return nil, err
		}
		clients = append(clients, registrations[i].provider...)
	}
	var err error
	if r.provider, err = startProvider(ctx, r.o, r.authority, given{g.settings, api, clients, people(plans)}); err != nil {
		return nil, err
	}
	if !r.o.wait {
		defer func() { r.provider.stop(); r.provider = nil }()
	}
	results := make([]planResult, len(plans))
	var running errgroup.Group
	running.SetLimit(max(1, r.o.parallel))
	if g.rotates {
		running.SetLimit(1) // what one plan does to the keys, the others would see
	}
	for i, p := range plans {
		running.Go(func() (err error) {
			if results[i], err = r.runPlan(ctx, g, p, configuration(p, registrations[i])); err != nil {
				return fmt.Errorf("%s: %w", p.key, err)
			}
			return nil
		})
	}
	return results, running.Wait()
}

// runPlan runs the modules of a plan, one after the other, and saves their results.
func (r *rig) runPlan(ctx context.Context, g group, p plan, config map[string]any) (planResult, error) {
	result := planResult{Key: p.key, Group: g.name, Plan: p.name, Variant: p.variant, Suite: r.version, Provider: r.build,
		Date: time.Now().Format(time.DateOnly), Partial: r.o.modules != ""}
	id, modules, err := r.api.createPlan(ctx, p.name, p.variant, config)
	if err != nil {
		return result, err
	}
	modules = slices.DeleteFunc(modules, func(m moduleRef) bool { return !matchesAny(r.o.modules, m.Module) })
	if len(modules) == 0 {
		return result, nil
	}
	dir := filepath.Join(r.o.out, p.key)
	if result.Partial {
		dir += ".part" // beside the results of the whole plan, which stay
	}
	if err := emptyDir(dir); err != nil {
		return result, err
	}
	fmt.Printf("%s: %s%s, %s\n", p.key, p.name, shown(p.variant), suiteURL+"/plan-detail.html?plan="+id)
	for i, m := range modules {
		mr, log, err := r.runModule(ctx, id, m)
		if err != nil {
			return result, fmt.Errorf("%s: %w", m.Module, err)
		}
		result.Modules = append(result.Modules, mr)
		printModule(os.Stdout, p, mr)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d-%s.json", i+1, m.Module)), log, 0o600); err != nil {
			return result, err
		}
	}
	export, err := r.api.export(ctx, id)
	if err != nil {
		return result, err
	}
	if err := os.WriteFile(filepath.Join(dir, "export.zip"), export, 0o600); err != nil {
		return result, err
	}
	return result, result.save(dir)
}

// emptyDir makes an empty folder: logs of an earlier run would be taken for those of this one.
func emptyDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// matchesAny says whether a name matches one of the patterns; no patterns match everything.
func matchesAny(patterns, name string) bool {
	if patterns == "" {
		return true
	}
	for pattern := range strings.SplitSeq(patterns, ",") {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}

// rotates is the one module that waits, configured, for something to be done at the provider.
const rotates = "oidcc-server-rotate-keys"

// runModule runs a module to its end, or to the end of its time.
func (r *rig) runModule(ctx context.Context, planID string, m moduleRef) (moduleResult, []byte, error) {
	began := time.Now()
	id, err := r.api.createModule(ctx, planID, m)
	if err != nil {
		return moduleResult{}, nil, err
	}
	if m.Module == rotates {
		if err := r.rotateBefore(ctx, id); err != nil {
			return moduleResult{}, nil, err
		}
	}
	inTime, err := r.finish(ctx, id)
	if err != nil {
		return moduleResult{}, nil, err
	}
	info, err := r.api.info(ctx, id)
	if err != nil {
		return moduleResult{}, nil, err
	}
	log, err := r.api.log(ctx, id)
	if err != nil {
		return moduleResult{}, nil, err
	}
	var entries []logEntry
	if err := json.Unmarshal(log, &entries); err != nil {
		return moduleResult{}, nil, err
	}
	mr := newModuleResult(m, id, info, entries)
	mr.Seconds = int(time.Since(began).Seconds())
	if !inTime {
		mr.Status = "TIMEOUT"
	}
	return mr, log, nil
}

// rotateBefore rotates the provider's keys between the module's two looks at them.
func (r *rig) rotateBefore(ctx context.Context, id string) error {
	if _, err := r.api.waitFor(ctx, id, "CONFIGURED", "FINISHED", "INTERRUPTED"); err != nil {
		return err
	}
	if err := r.provider.rotate(ctx); err != nil {
		return err
	}
	return r.api.startModule(ctx, id)
}

// finish waits for a module's end; it cancels one that takes too long, which mostly means that
// it waits for a person, because no script knows the page.
func (r *rig) finish(ctx context.Context, id string) (bool, error) {
	for began := time.Now(); time.Since(began) < r.o.timeout; {
		state, err := r.api.waitFor(ctx, id, "FINISHED", "INTERRUPTED")
		if err != nil || state != "" {
			return true, err
		}
	}
	if err := r.api.cancelModule(ctx, id); err != nil {
		return false, err
	}
	_, err := r.api.waitFor(ctx, id, "FINISHED", "INTERRUPTED")
	return false, err
}

// printModule writes at once: plans run side by side.
func printModule(w io.Writer, p plan, m moduleResult) {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-9s %4d s  %s: %s\n", m.verdict(), m.Seconds, p.key, m.Module+shown(m.Variant))
	for _, f := range m.Findings {
		fmt.Fprintf(&b, "             %s %s: %s\n", f.Result, f.Condition, f.Message)
	}
	_, _ = io.WriteString(w, b.String())
}
