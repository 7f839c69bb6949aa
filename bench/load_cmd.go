package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"signet/bench/load"
)

func runLoad(ctx context.Context, args []string) error {
	var (
		t        load.Target
		fs       = flag.NewFlagSet("bench load", flag.ExitOnError)
		flow     = fs.String("flow", "discovery", "one of the flows below, or several with commas")
		workers  = fs.Int("workers", 16, "operations under way at the same time")
		duration = fs.Duration("duration", 10*time.Second, "no operation starts after this (at most 1h)")
		count    = fs.Int("count", 0, "stop after so many operations (default 1,000,000; exchange: 500)")
		warmup   = fs.Duration("warmup", time.Second, "run unmeasured for this long first")
		user     = fs.String("user", "", "name to sign in with; %d stands for a number below --users")
		users    = fs.Int("users", 1, "how many users the name stands for")
		password = fs.String("password", "", "their password (or environment BENCH_PASSWORD)")
		asJSON   = fs.Bool("json", false, "print JSON")
	)
	fs.StringVar(&t.Issuer, "issuer", "", "issuer URL of the provider")
	fs.StringVar(&t.ClientID, "client-id", "", "client")
	fs.StringVar(&t.ClientSecret, "client-secret", "", "its secret (or environment BENCH_CLIENT_SECRET)")
	fs.StringVar(&t.AuthMethod, "auth", "", "client authentication: basic, post or none (default basic with a secret)")
	fs.StringVar(&t.RedirectURI, "redirect-uri", "http://127.0.0.1:9/callback", "registered redirect URI; nothing needs to listen there")
	fs.StringVar(&t.Scope, "scope", "", `scope to ask for (default "openid" where a user signs in)`)
	introspection := fs.String("introspection", "", "introspection endpoint, where discovery does not name it")
	fs.BoolVar(&t.AllowRemote, "allow-remote", false, "allow targets that are not loopback: only with their owner's consent")
	fs.BoolVar(&t.ForwardedFor, "forwarded-for", false, "let each browser come from another address by X-Forwarded-For")
	fs.Func("param", "name=value to add to authorization and client_credentials requests; repeatable", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want name=value")
		}
		if t.Extra == nil {
			t.Extra = url.Values{}
		}
		t.Extra.Add(name, value)
		return nil
	})
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: bench load --issuer URL --client-id ID [flags]")
		fs.PrintDefaults()
		fmt.Fprintln(fs.Output(), "flows:")
		for _, f := range load.Flows() {
			fmt.Fprintf(fs.Output(), "  %-19s %s\n", f.Name, f.About)
		}
	}
	_ = fs.Parse(args) // exits on error
	if *workers < 1 || *workers > 4096 {
		return errors.New("--workers must be between 1 and 4096")
	}
	t.ClientSecret = orEnv(t.ClientSecret, "BENCH_CLIENT_SECRET")
	if *user != "" {
		t.Users = numbered(*user, orEnv(*password, "BENCH_PASSWORD"), *users)
	}
	if err := t.Open(ctx); err != nil {
		return err
	}
	defer t.Close()
	if *introspection != "" {
		t.Meta.Introspection = *introspection
	}
	for name := range strings.SplitSeq(*flow, ",") {
		r, err := measure(ctx, &t, name, *workers, *warmup, load.Bounds{Duration: *duration, Count: *count})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := report(r, *asJSON); err != nil {
			return err
		}
	}
	return nil
}

func measure(ctx context.Context, t *load.Target, name string, workers int, warmup time.Duration, b load.Bounds) (load.Result, error) {
	f, err := load.Find(name)
	if err != nil {
		return load.Result{}, err
	}
	if f.NeedsUser && t.Users == nil {
		return load.Result{}, errors.New("this flow signs users in: give --user and --password")
	}
	ops, err := f.Prepare(ctx, t, workers, b.Count)
	if err != nil {
		return load.Result{}, err
	}
	if warmup > 0 && name != "exchange" { // whose codes it would use up
		load.Run(ctx, ops, load.Bounds{Duration: warmup})
	}
	r := load.Run(ctx, ops, b)
	r.Flow = name
	return r, ctx.Err()
}

func report(r load.Result, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("%-19s %9.1f/s  %d workers  p50 %s  p90 %s  p99 %s  max %s  failed %d  lost tokens %d\n",
		r.Flow, r.Rate, r.Workers, ms(r.P50), ms(r.P90), ms(r.P99), ms(r.Max), r.Failed, r.Lost)
	for kind, n := range r.Failures {
		fmt.Printf("    %d × %s\n", n, kind)
	}
	if r.Example != "" {
		fmt.Printf("    for example: %s\n", r.Example)
	}
	return nil
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func orEnv(value, name string) string {
	if value != "" {
		return value
	}
	return os.Getenv(name)
}

// numbered yields users whose names differ by a number.
func numbered(pattern, password string, n int) load.Users {
	return func(i int) (string, string) {
		if !strings.Contains(pattern, "%") {
			return pattern, password
		}
		return fmt.Sprintf(pattern, i%max(n, 1)), password
	}
}
