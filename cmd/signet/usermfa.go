package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"signet/internal/app"
	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// factorsRecord are the second factors of an account in JSON.
type factorsRecord struct {
	TOTP          bool `json:"totp"`
	Passkeys      int  `json:"passkeys"`
	RecoveryCodes int  `json:"recovery_codes"` // unused ones
}

func factorsJSON(f mfa.Factors) factorsRecord {
	return factorsRecord{TOTP: f.TOTP, Passkeys: f.Passkeys, RecoveryCodes: f.RecoveryLeft}
}

func factorsText(f mfa.Factors) string {
	var list []string
	if f.TOTP {
		list = append(list, "authenticator app")
	}
	if f.Passkeys > 0 {
		list = append(list, fmt.Sprintf("passkeys (%d)", f.Passkeys))
	}
	if f.RecoveryLeft > 0 {
		list = append(list, fmt.Sprintf("recovery codes (%d left)", f.RecoveryLeft))
	}
	return dash(strings.Join(list, ", "))
}

// resetDone says what a reset took away.
type resetDone struct {
	ID       id.User `json:"id"`
	MFA      bool    `json:"mfa"`      // an authenticator app or recovery codes
	Passkeys int     `json:"passkeys"` // how many were removed
	Browsers int64   `json:"browsers"` // how many were forgotten
}

func userResetMFA(o *options) *cobra.Command {
	var passkeys, asJSON bool
	cmd := &cobra.Command{
		Use:   "reset-mfa USER",
		Short: "Take the second factors of an account away, and end all its sign-ins",
		Long: "For somebody who has lost their second factor and their recovery codes. First make sure that you are\n" +
			"talking to the owner: afterwards the password alone opens the account, or a new second factor is set up\n" +
			"with it where the service requires one. Authenticator app and recovery codes go, no browser stays\n" +
			"remembered, every session ends, and the owner is told by mail.\n\n" +
			"Passkeys stay, unless --passkeys is given; the last one of somebody without another way in stays anyway.",
		Example: "  signet user reset-mfa jane@example.com\n  signet user reset-mfa jane --passkeys",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(s *app.Services) error {
				a, err := findUser(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				done, err := resetMFA(cmd.Context(), s, a.ID, passkeys)
				if err != nil {
					return inWords("the second factors were not reset", err, 0)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), done)
				}
				if !done.MFA && done.Passkeys == 0 {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "Account %s had no second factor to reset. Its sign-ins have ended.\n", nameOf(a))
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "The second factors of account %s were reset. Its sign-ins have ended.\n", nameOf(a))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&passkeys, "passkeys", false, "remove the passkeys as well")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func resetMFA(ctx context.Context, s *app.Services, user id.User, passkeys bool) (done resetDone, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		done = resetDone{ID: user}
		if done.MFA, err = s.MFA.Reset(ctx, user); err != nil {
			return err
		}
		if passkeys && s.Passkeys != nil {
			if done.Passkeys, err = removePasskeys(ctx, s, user); err != nil {
				return err
			}
		}
		if done.Browsers, err = s.Devices.RevokeAll(ctx, user); err != nil {
			return err
		}
		if err := s.Journeys.EndOthers(ctx, user, ""); err != nil {
			return err
		}
		for factor, gone := range map[string]bool{"totp": done.MFA, "passkey": done.Passkeys > 0} {
			if !gone {
				continue
			}
			if err := s.Notices.Send(ctx, user, notice.FactorRemoved, map[string]any{"Factor": factor}); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// removePasskeys removes what can go: the last way in stays.
func removePasskeys(ctx context.Context, s *app.Services, user id.User) (n int, err error) {
	list, err := s.Passkeys.List(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, c := range list {
		switch err := s.Passkeys.Remove(ctx, user, c.ID); {
		case errs.Is(err, errs.Conflict):
		case err != nil:
			return n, err
		default:
			n++
		}
	}
	return n, nil
}
