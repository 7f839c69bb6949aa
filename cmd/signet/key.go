package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/oauth/keys"
)

func keyCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List and rotate the keys that sign tokens",
		Long: "Keys rotate by themselves. A new key is published before it signs, so that everyone who caches the\n" +
			"key set knows it in time; an old one stays published until what it signed has expired.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyList(o), keyRotate(o))
	return cmd
}

// keyJSON is a key as the commands print it.
type keyJSON struct {
	ID         string     `json:"kid"`
	Alg        string     `json:"alg"`
	State      keys.State `json:"state"`
	CreatedAt  time.Time  `json:"created_at"`
	ActivateAt time.Time  `json:"activate_at"`
	RetireAt   *time.Time `json:"retire_at,omitempty"`
	RemoveAt   *time.Time `json:"remove_at,omitempty"`
}

func printKeys(w io.Writer, list []keys.Key, now time.Time, asJSON bool) error {
	if asJSON {
		out := []keyJSON{}
		for _, k := range list {
			j := keyJSON{string(k.ID), k.Alg, k.State(now), k.CreatedAt, k.ActivateAt, nil, nil}
			if !k.RetireAt.IsZero() {
				j.RetireAt, j.RemoveAt = &k.RetireAt, &k.RemoveAt
			}
			out = append(out, j)
		}
		return printJSON(w, out)
	}
	var rows [][]string
	for _, k := range list {
		rows = append(rows, []string{k.Alg, string(k.ID), string(k.State(now)), when(k.ActivateAt), when(k.RetireAt), when(k.RemoveAt)})
	}
	return printTable(w, "There are no keys yet: the server makes them when it starts.",
		[]string{"ALGORITHM", "KEY ID", "STATE", "SIGNS FROM", "UNTIL", "REMOVED"}, rows)
}

func keyList(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the signing keys and where each is in its life",
		Example: "  signet key list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := s.Keys.List(cmd.Context())
				if err != nil {
					return err
				}
				return printKeys(cmd.OutOrStdout(), list, s.Clock.Now(), asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func keyRotate(o *options) *cobra.Command {
	var alg string
	var now, compromised, asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Publish successors for the signing keys",
		Long: "Publishes a successor for the signing key of each algorithm, or of the one named. It takes over when\n" +
			"its publication has reached everyone; with --now it does so in seconds, and applications that cache\n" +
			"the key set must read it again.\n\n" +
			"--compromised is for private keys that others may know: the keys leave the key set at once, nothing\n" +
			"they signed is accepted here any more, and new ones sign. Services that verify tokens with a cached\n" +
			"key set accept old tokens until they read it again.",
		Example: "  signet key rotate\n  signet key rotate --alg ES256 --now\n  signet key rotate --compromised",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if alg != "" && !keys.Known(alg) {
				return usagef("--alg is %q, must be one of %v", alg, keys.Algorithms())
			}
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				list, err := rotateKeys(cmd.Context(), s.Keys, alg, now, compromised)
				if err != nil {
					return err
				}
				return printKeys(cmd.OutOrStdout(), list, s.Clock.Now(), asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&alg, "alg", "", "only this algorithm: ES256, RS256, PS256 or EdDSA")
	f.BoolVar(&now, "now", false, "let the successors sign as soon as all instances know them")
	f.BoolVar(&compromised, "compromised", false, "void the present keys and everything they signed")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("now", "compromised")
	return cmd
}

// rotateKeys rotates the algorithm, or all that are in use, and returns all keys.
func rotateKeys(ctx context.Context, s *keys.Service, alg string, now, compromised bool) ([]keys.Key, error) {
	algs := []string{alg}
	if alg == "" {
		list, err := s.List(ctx)
		if err != nil {
			return nil, err
		}
		algs = nil
		for _, k := range list {
			if !slices.Contains(algs, k.Alg) {
				algs = append(algs, k.Alg)
			}
		}
		if len(algs) == 0 {
			return nil, fmt.Errorf("there are no keys yet: the server makes them when it starts")
		}
	}
	for _, a := range algs {
		var err error
		if compromised {
			_, err = s.Replace(ctx, a)
		} else {
			_, err = s.Rotate(ctx, a, now)
		}
		if err != nil {
			return nil, fmt.Errorf("rotate %s: %w", a, err)
		}
	}
	return s.List(ctx)
}
