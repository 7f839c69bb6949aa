package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/config"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/sampleapp"
)

// devOptions are the flags of `signet dev`.
type devOptions struct {
	data, listen, sample, management, logLevel, mail string
}

func devCommand(o *options) *cobra.Command {
	d := devOptions{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try it on this machine: the provider and a sample application",
		Long: "Makes a data folder (SQLite file, master key, signing keys) if there is none, and serves the provider\n" +
			"and, as a separate application, a sample that signs people in with it. Nothing to edit, no default\n" +
			"password, no network needed. For this machine only: use signet serve for others.",
		Example: "  signet dev\n  signet dev --data /tmp/try --listen 127.0.0.1:9000 --sample-listen 127.0.0.1:9001",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Config != "" || len(o.Set) > 0 {
				return usagef("signet dev needs no configuration; use signet serve --config FILE")
			}
			if d.data = o.Data; d.data == "" {
				d.data = defaultData
			}
			return dev(cmd, d)
		},
	}
	cmd.Flags().StringVar(&d.listen, "listen", "127.0.0.1:8080", "address of the provider; its issuer is http://localhost with this port")
	cmd.Flags().StringVar(&d.sample, "sample-listen", "127.0.0.1:8081", "address of the sample application, or off")
	cmd.Flags().StringVar(&d.management, "management-listen", "off", "address for /healthz, /readyz and /metrics")
	cmd.Flags().StringVar(&d.mail, "mail", "mailbox", "mailbox: mails stay here, to be read at /dev/mailbox; off: there is no mail, and addresses are not verified")
	cmd.Flags().StringVar(&d.logLevel, "log-level", "warn", "debug, info (every request), warn or error")
	return cmd
}

// sampleClient is the sample application's client_id.
const sampleClient = "sample"

func dev(cmd *cobra.Command, d devOptions) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	// Ports first: a taken one is the likeliest mistake, and nothing is made then.
	ports, url, err := listenLocal(cmd.Context(), d.listen)
	if err != nil {
		return err
	}
	defer closeAll(ports)
	var samplePorts []net.Listener
	var sampleURL string
	if d.sample != "off" {
		if samplePorts, sampleURL, err = listenLocal(cmd.Context(), d.sample); err != nil {
			return fmt.Errorf("sample application: %w", err)
		}
		defer closeAll(samplePorts)
	}
	cfg, err := devConfig(d, url)
	if err != nil {
		return err
	}
	if sampleURL != "" {
		secret, err := sampleSecret(d.data)
		if err != nil {
			return err
		}
		cfg.Clients = []config.Client{{
			ID: sampleClient, Name: "Sample application", Kind: "web", Secret: secret,
			RedirectURIs:   []string{sampleURL + sampleapp.CallbackPath},
			PostLogoutURIs: []string{sampleURL + sampleapp.PostLogoutPath},
		}}
		sample, err := sampleapp.New(sampleapp.Options{Issuer: url, ClientID: sampleClient, ClientSecret: secret.Reveal(), URL: sampleURL})
		if err != nil {
			return err
		}
		srv := serveSample(sample, samplePorts)
		defer func() { _ = srv.Close() }()
	}
	ctx := cmd.Context()
	a, err := app.New(ctx, cfg, app.Options{Log: newLog(cmd.ErrOrStderr(), cfg), Migrate: true, Dev: true, Listeners: ports})
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		a.Close()
		return err
	}
	greet(cmd.OutOrStdout(), d, url, sampleURL)
	return a.Run(signals)
}

func devConfig(d devOptions, issuer string) (*config.Config, error) {
	if err := makeData(d.data); err != nil {
		return nil, err
	}
	cfg, err := dataConfig(d.data)
	if err != nil {
		return nil, err
	}
	switch d.logLevel {
	case "debug", "info", "warn", "error":
	default:
		return nil, usagef("--log-level must be debug, info, warn or error")
	}
	switch d.mail {
	case "mailbox":
	case "off":
		cfg.Mail = config.Default().Mail
	default:
		return nil, usagef("--mail must be mailbox or off")
	}
	if err := os.WriteFile(filepath.Join(d.data, issuerFile), []byte(issuer+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	cfg.Issuer, cfg.Management.Listen = issuer, d.management
	cfg.Log.Level, cfg.Log.Format = d.logLevel, "text"
	return cfg, nil
}

// listenLocal opens a port of this machine. On a loopback address it opens the other address
// family's too, if it can: browsers take "localhost" for either.
func listenLocal(ctx context.Context, address string) ([]net.Listener, string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", usagef("%q is not an address such as 127.0.0.1:8080", address)
	}
	ip, err := netip.ParseAddr(host)
	if host != "" && host != "localhost" && (err != nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return nil, "", usagef("signet dev is for this machine: %s is not one of its own addresses (127.0.0.1, ::1, localhost, 0.0.0.0)", host)
	}
	if host == "localhost" {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	var lc net.ListenConfig
	first, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		var oe *net.OpError
		if errors.As(err, &oe) && errors.Is(oe.Err, syscall.EADDRINUSE) {
			return nil, "", fmt.Errorf("port %s is taken: choose another one with --listen or --sample-listen", port)
		}
		return nil, "", err
	}
	ports := []net.Listener{first}
	_, port, err = net.SplitHostPort(first.Addr().String())
	if err != nil {
		return nil, "", err
	}
	if other := map[string]string{"127.0.0.1": "::1", "localhost": "::1", "::1": "127.0.0.1"}[host]; other != "" {
		if second, err := lc.Listen(ctx, "tcp", net.JoinHostPort(other, port)); err == nil {
			ports = append(ports, second)
		}
	}
	return ports, "http://localhost:" + port, nil
}

func closeAll(ports []net.Listener) {
	for _, p := range ports {
		_ = p.Close()
	}
}

// sampleSecret returns the sample application's client secret, made at the first start.
func sampleSecret(dir string) (seal.Secret, error) {
	path := filepath.Join(dir, sampleFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(id.NewToken(id.ClientSecret) + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("sample application: %w", err)
	}
	return seal.Secret(strings.TrimSpace(string(text))), nil
}

func serveSample(h http.Handler, ports []net.Listener) *http.Server {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
	for _, p := range ports {
		go func() { _ = srv.Serve(p) }()
	}
	return srv
}

// greet says where everything is, in at most ten lines.
func greet(w io.Writer, d devOptions, issuer, sample string) {
	rows := [][2]string{
		{"Issuer", issuer},
		{"Store", "SQLite, " + filepath.Join(d.data, storeFile)},
		{"Data folder", d.data},
		{"Sign up", issuer + "/signup"},
	}
	if d.mail == "mailbox" {
		rows = append(rows, [2]string{"Mailbox", issuer + "/dev/mailbox"})
	}
	if sample != "" {
		rows = append(rows, [2]string{"Sample application", sample + "  (open this first)"})
	}
	_, _ = fmt.Fprintf(w, "Signet %s, for trying out on this machine. Ctrl-C stops it.\n", buildVersion())
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "  %-19s %s\n", r[0], r[1])
	}
}
