package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

func clientCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Register and manage the applications that people sign in to",
		Long: "A client is an application that sends people here to sign in, or asks tokens for itself.\n" +
			"Kinds: web (runs on a server), spa (runs in the browser), native (runs on a device),\n" +
			"machine (no people involved).\n\n" +
			"Changes reach running instances within a second. Clients declared in the configuration file are\n" +
			"shown here, and changed there.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(clientCreate(o), clientList(o), clientShow(o), clientUpdate(o), clientRotate(o),
		clientSimple(o, "disable", "Make a client unusable until it is enabled again", "disabled",
			func(ctx context.Context, s *client.Service, cid id.Client) error { return s.Disable(ctx, cid) }),
		clientSimple(o, "enable", "Make a disabled client usable again", "enabled",
			func(ctx context.Context, s *client.Service, cid id.Client) error { return s.Enable(ctx, cid) }),
		clientSimple(o, "approve", "End the quarantine of a client that registered itself", "approved",
			func(ctx context.Context, s *client.Service, cid id.Client) error { return s.Approve(ctx, cid) }),
		clientSimple(o, "delete", "Delete a client with everything that people granted it", "deleted",
			func(ctx context.Context, s *client.Service, cid id.Client) error { return s.Delete(ctx, cid) }),
	)
	return cmd
}

// withApp runs fn with the services over the store that the flags name.
func (o *options) withApp(ctx context.Context, fn func(*app.Services) error) error {
	s, err := o.openApp(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return fn(s)
}

func clientCreate(o *options) *cobra.Command {
	var kind, name, cid string
	var asJSON bool
	var flags metadataFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register a client; its secret is shown once",
		Example: `  signet client create --kind web --name Shop --redirect-uri https://shop.example.com/callback
  signet client create --kind spa --name "Shop front" --redirect-uri http://localhost:5173/callback
  signet client create --kind native --name "Shop app" --redirect-uri com.example.shop:/callback \
      --redirect-uri http://127.0.0.1/callback
  signet client create --kind machine --name "Nightly export" --scope orders:read --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := client.Defaults(client.Kind(kind))
			if err := flags.apply(cmd, &m); err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				n := client.NewClient{ID: id.Client(cid), Name: name, Kind: client.Kind(kind), Metadata: m}
				if err := ensureAlg(cmd.Context(), s, n.Kind, m); err != nil {
					return err
				}
				c, secret, err := s.Clients.Create(cmd.Context(), n)
				if err != nil {
					return plain("the client was not created", err)
				}
				return printCreated(cmd.OutOrStdout(), c, secret, asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", "web, spa, native or machine (required)")
	f.StringVar(&name, "name", "", "name that people see when they are asked for consent (required)")
	f.StringVar(&cid, "id", "", "client_id to use (default: a generated one)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	flags.bind(cmd, false)
	_ = cmd.MarkFlagRequired("kind")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

// ensureAlg makes the signing key for the client's ID tokens, if it is the first to want one of
// its algorithm. It comes before the client is written, so that a secret is never lost to a
// failure after it; metadata that will be refused makes no key.
func ensureAlg(ctx context.Context, s *app.Services, kind client.Kind, m client.Metadata) error {
	if m.IDTokenAlg == "" || m.Validate(kind) != nil {
		return nil
	}
	return s.Keys.EnsureAlg(ctx, m.IDTokenAlg)
}

func printCreated(w io.Writer, c client.Client, secret seal.Secret, asJSON bool) error {
	if asJSON {
		return printJSON(w, clientJSON(&c, secret, time.Time{}))
	}
	if _, err := fmt.Fprintf(w, "Client %s was created.\n\n", c.Name); err != nil {
		return err
	}
	err := printFields(w, []field{
		{"Client ID", string(c.ID)}, {"Client secret", secret.Reveal()},
		{"Authentication", string(c.Metadata.AuthMethod)}, {"Scopes", strings.Join(c.Metadata.Scopes, " ")},
	})
	if err == nil && secret != "" {
		_, err = fmt.Fprintln(w, "\nThe secret is shown now and never again. If it is lost: signet client rotate-secret "+string(c.ID))
	}
	return err
}

func clientList(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the clients",
		Example: "  signet client list\n  signet client list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := s.Clients.List(cmd.Context(), client.ListOptions{})
				if err != nil {
					return err
				}
				if asJSON {
					out := make([]merged, len(list))
					for i := range list {
						out[i] = clientJSON(&list[i], "", s.Clock.Now())
					}
					return printJSON(cmd.OutOrStdout(), out)
				}
				rows := make([][]string, len(list))
				for i, c := range list {
					status := string(c.Status)
					if c.Active() && c.Metadata.Quarantined {
						status = "quarantined"
					}
					rows[i] = []string{string(c.ID), string(c.Kind), status, c.ManagedBy, when(c.CreatedAt), c.Name}
				}
				return printTable(cmd.OutOrStdout(), "There are no clients yet: signet client create --help",
					[]string{"CLIENT ID", "KIND", "STATUS", "MANAGED BY", "CREATED", "NAME"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func clientShow(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show CLIENT_ID",
		Short:   "Show everything about a client, except its secret",
		Example: "  signet client show shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				c, err := s.Clients.Recorded(cmd.Context(), id.Client(args[0]))
				if err != nil {
					return plain("the client cannot be shown", err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), clientJSON(c, "", s.Clock.Now()))
				}
				return printClient(cmd.OutOrStdout(), c, s.Clock.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printClient(w io.Writer, c *client.Client, now time.Time) error {
	m := c.Metadata
	lines := func(list []string) string { return strings.Join(list, "\n  \t") }
	lifetime := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	list := []field{
		{"Client ID", string(c.ID)}, {"Name", c.Name}, {"Kind", string(c.Kind)}, {"Status", string(c.Status)}, {"Managed by", c.ManagedBy},
		{"Redirect URIs", lines(m.RedirectURIs)}, {"After logout", lines(m.PostLogoutRedirectURIs)},
		{"Grant types", strings.Join(m.GrantTypes, " ")}, {"Authentication", string(m.AuthMethod)},
		{"Scopes", strings.Join(m.Scopes, " ")}, {"Audiences", lines(m.Audiences)}, {"Origins", lines(m.Origins(c.Kind))},
		{"JWKS URI", m.JWKSURI}, {"First party", yes(m.FirstParty)}, {"PKCE required", yes(m.RequirePKCE)}, {"Two factors required", yes(m.RequireMFA)},
		{"Access tokens", m.AccessTokenFormat}, {"ID token algorithm", m.IDTokenAlg},
		{"Access token TTL", lifetime(m.AccessTokenTTL)}, {"Refresh idle TTL", lifetime(m.RefreshIdleTTL)},
		{"Refresh absolute TTL", lifetime(m.RefreshAbsoluteTTL)}, {"Refresh grace", lifetime(m.RefreshGrace)},
		{"Homepage", m.ClientURI}, {"Logo", m.LogoURI}, {"Policy", m.PolicyURI}, {"Terms", m.TOSURI},
		{"Created", when(c.CreatedAt)}, {"Updated", when(c.UpdatedAt)},
	}
	for _, s := range c.Secrets(now) {
		text := "since " + when(s.CreatedAt)
		if !s.ExpiresAt.IsZero() {
			text += ", until " + when(s.ExpiresAt)
		}
		list = append(list, field{"Secret", text})
	}
	return printFields(w, list)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// clientJSON is a client in the names of RFC 7591 §3.2.1, with ours beside them.
func clientJSON(c *client.Client, secret seal.Secret, now time.Time) merged {
	type secretJSON struct {
		CreatedAt time.Time  `json:"created_at"`
		ExpiresAt *time.Time `json:"expires_at,omitempty"`
	}
	head := struct {
		ID        id.Client     `json:"client_id"`
		Secret    string        `json:"client_secret,omitempty"`
		Name      string        `json:"client_name"`
		Kind      client.Kind   `json:"kind"`
		Status    client.Status `json:"status"`
		ManagedBy string        `json:"managed_by"`
		CreatedAt time.Time     `json:"created_at"`
		UpdatedAt time.Time     `json:"updated_at"`
		Secrets   []secretJSON  `json:"secrets,omitempty"`
	}{c.ID, secret.Reveal(), c.Name, c.Kind, c.Status, c.ManagedBy, c.CreatedAt, c.UpdatedAt, nil}
	if !now.IsZero() {
		for _, s := range c.Secrets(now) {
			one := secretJSON{CreatedAt: s.CreatedAt}
			if !s.ExpiresAt.IsZero() {
				one.ExpiresAt = &s.ExpiresAt
			}
			head.Secrets = append(head.Secrets, one)
		}
	}
	return merged{head, c.Metadata}
}

func clientUpdate(o *options) *cobra.Command {
	var name string
	var asJSON bool
	var flags metadataFlags
	cmd := &cobra.Command{
		Use:   "update CLIENT_ID",
		Short: "Change a client; what is not named stays as it is",
		Long: "Changes what the flags name and leaves the rest. A list flag replaces the whole list; the add- and\n" +
			"remove- flags change single entries. Running instances follow within a second.",
		Example: `  signet client update shop --add-redirect-uri https://shop.example.com/callback2
  signet client update shop --first-party --refresh-grace 0s
  signet client update shop --auth-method private_key_jwt --jwks-uri https://shop.example.com/jwks.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !changesSomething(cmd) {
				return usagef("nothing to change: name at least one flag")
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				ctx, cid := cmd.Context(), id.Client(args[0])
				old, err := s.Clients.Recorded(ctx, cid)
				if err != nil {
					return plain("the client was not changed", err)
				}
				edit := func(d *client.Draft) error {
					if cmd.Flags().Changed("name") {
						d.Name = name
					}
					return flags.apply(cmd, &d.Metadata)
				}
				trial := client.Draft{Metadata: old.Metadata}
				if err := edit(&trial); err != nil {
					return err
				}
				if old.ManagedBy == client.ManagedByAdmin {
					if err := ensureAlg(ctx, s, old.Kind, trial.Metadata); err != nil {
						return err
					}
				}
				c, err := s.Clients.Update(ctx, cid, edit)
				if err != nil {
					return plain("the client was not changed", err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), clientJSON(&c, "", s.Clock.Now()))
				}
				if err := printClient(cmd.OutOrStdout(), &c, s.Clock.Now()); err != nil || !c.NeedsSecret(s.Clock.Now()) {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "\nThe client has no secret yet: signet client rotate-secret "+string(c.ID))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name that people see when they are asked for consent")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	flags.bind(cmd, true)
	return cmd
}

// changesSomething reports whether a flag was given that says what to change.
func changesSomething(cmd *cobra.Command) bool {
	n := cmd.Flags().NFlag()
	for _, where := range []string{"data", "config", "json", "set"} {
		if cmd.Flags().Changed(where) {
			n--
		}
	}
	return n > 0
}

func clientRotate(o *options) *cobra.Command {
	var overlap time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate-secret CLIENT_ID",
		Short: "Give a client a new secret; the old one works on for a while",
		Long: "Makes a new secret and shows it once. The old one stays valid for the overlap, in which the\n" +
			"application can change over. With --overlap 0s all old ones end at once: for a secret that leaked.",
		Example: "  signet client rotate-secret shop\n  signet client rotate-secret shop --overlap 0s",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				secret, err := s.Clients.RotateSecret(cmd.Context(), id.Client(args[0]), overlap)
				if err != nil {
					return plain("the secret was not rotated", err)
				}
				w := cmd.OutOrStdout()
				if asJSON {
					return printJSON(w, struct {
						ID     string `json:"client_id"`
						Secret string `json:"client_secret"`
					}{args[0], secret.Reveal()})
				}
				if err := printFields(w, []field{{"Client ID", args[0]}, {"New secret", secret.Reveal()}}); err != nil {
					return err
				}
				end := "All old secrets have ended."
				if overlap > 0 {
					end = "The old secret ends " + when(s.Clock.Now().Add(overlap)) + "."
				}
				_, err = fmt.Fprintf(w, "\nThe new secret is shown now and never again. %s\n", end)
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old secret stays valid, up to 720h")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// clientSimple is a subcommand that does one thing to one client.
func clientSimple(o *options, verb, short, done string, act func(context.Context, *client.Service, id.Client) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     verb + " CLIENT_ID",
		Short:   short,
		Example: "  signet client " + verb + " shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				if err := act(cmd.Context(), s.Clients, id.Client(args[0])); err != nil {
					return plain("the client was not "+done, err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"client_id": args[0], "result": done})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Client %s is %s.\n", args[0], done)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
