package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"signet/internal/app"
	"signet/internal/identity/device"
	"signet/internal/identity/session"
	"signet/internal/platform/seal"
)

func TestUserResetMFA(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.ok("violet-harbour-lamp-42\n", "create", "--username", "jane", "--password-stdin")
	p.open(func(ctx context.Context, s *app.Services) {
		a, err := s.Accounts.ByIdentifier(ctx, "jane")
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.MFA.BeginTOTP(ctx, a.ID, "test", "jane")
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCode(e.Secret.Reveal(), s.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		err = s.MFA.ConfirmTOTP(ctx, a.ID, e.ID, "test", seal.Secret(code), func(ctx context.Context) error {
			if _, _, err := s.Sessions.Start(ctx, a.ID, session.Event{Method: session.Password, At: s.Clock.Now()}); err != nil {
				return err
			}
			_, cookie, err := s.Devices.Note(ctx, a.ID)
			if err != nil {
				return err
			}
			return s.Devices.Trust(device.WithCookie(ctx, cookie), a.ID, time.Hour)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.MFA.NewRecoveryCodes(ctx, a.ID); err != nil {
			t.Fatal(err)
		}
	})

	if out := p.ok("", "show", "jane"); !strings.Contains(out, "authenticator app, recovery codes (10 left)") {
		t.Errorf("%s", out)
	}
	if out := p.ok("", "show", "jane", "--json"); !strings.Contains(out, `"recovery_codes": 10`) {
		t.Errorf("%s", out)
	}
	var got resetDone
	if err := json.Unmarshal([]byte(p.ok("", "reset-mfa", "jane", "--passkeys", "--json")), &got); err != nil || !got.MFA || got.Browsers != 1 || got.Passkeys != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	p.open(func(ctx context.Context, s *app.Services) {
		has, err := s.MFA.Of(ctx, got.ID)
		if err != nil || has.Any() || has.RecoveryLeft != 0 {
			t.Errorf("left: %+v, %v", has, err)
		}
		if list, err := s.Sessions.List(ctx, got.ID); err != nil || len(list) != 0 {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		if list, err := s.Devices.List(ctx, got.ID); err != nil || len(list) != 0 {
			t.Errorf("%d browsers, %v", len(list), err)
		}
	})
	if out := p.ok("", "reset-mfa", "jane"); !strings.Contains(out, "had no second factor") {
		t.Error(out)
	}
	p.refused(`there is no account "nobody"`, "", "reset-mfa", "nobody")
}
