package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"signet/bench/limit"
	"signet/bench/load"
)

func runLimits(ctx context.Context, args []string) error {
	var (
		fs       = flag.NewFlagSet("bench limits", flag.ExitOnError)
		postgres = fs.String("postgres", "", "URL of a Postgres database to measure in")
		dir      = fs.String("sqlite", "", "folder for a SQLite file to measure in (default: a temporary one)")
		workers  = fs.Int("workers", 16, "database operations under way at the same time")
		conns    = fs.Int("connections", 16, "connections to Postgres")
		duration = fs.Duration("duration", 3*time.Second, "time for each")
		asJSON   = fs.Bool("json", false, "print JSON")
		cost     = limit.Argon2{MemoryKiB: 19456, Time: 2, Parallelism: 1}
	)
	_ = fs.Parse(args) // exits on error
	show := func(name string, r load.Result) error { r.Flow = name; return report(r, *asJSON) }
	b := load.Bounds{Duration: *duration}
	sign, err := limit.ES256()
	if err != nil {
		return err
	}
	if err := show("es256 signature", limit.PerCore(ctx, sign, b)); err != nil {
		return err
	}
	if err := show("argon2id hash", limit.PerCore(ctx, limit.Argon2id(cost), b)); err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "bench"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(*dir) }()
	}
	lite, err := limit.SQLite(ctx, *dir)
	if err != nil {
		return err
	}
	defer lite.Close()
	engines := []struct {
		name string
		*limit.Database
	}{{"sqlite", lite}}
	if *postgres != "" {
		pg, err := limit.Postgres(ctx, *postgres, *conns)
		if err != nil {
			return err
		}
		defer pg.Close()
		engines = append(engines, struct {
			name string
			*limit.Database
		}{"postgres", pg})
	}
	for _, e := range engines {
		if err := show(e.name+" commit", load.Run(ctx, limit.Same(e.Commit, *workers), b)); err != nil {
			return err
		}
		if err := show(e.name+" select", load.Run(ctx, limit.Same(e.Select, *workers), b)); err != nil {
			return err
		}
	}
	return nil
}

// runHandler serves until it is told to stop. It prints its address first.
func runHandler(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bench handler", flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address; must be loopback")
	_ = fs.Parse(args) // exits on error
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return errors.New("the bare handler listens on loopback only")
	}
	fmt.Println("http://" + l.Addr().String())
	s := &http.Server{Handler: limit.Handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
