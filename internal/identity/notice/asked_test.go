package notice_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/platform/id"
)

// A question goes to the primary verified address alone, leads to its page, and ends with the request; who
// has none, or is nobody, is written nothing.
func TestAsked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ask := func(user id.User) {
			t.Helper()
			err := r.db.InTx(t.Context(), func(ctx context.Context) error {
				return r.Asked(ctx, user, notice.Question{Application: "Bank", Page: "/account/requests/x", Expires: r.clock.Now().Add(5 * time.Minute)})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, user := range []id.User{"ada", "bob", "nobody"} {
			ask(user)
		}
		if len(r.mail.sent) != 1 {
			t.Fatalf("%+v", r.mail.sent)
		}
		m := r.mail.sent[0]
		if m.To != "ada@example.com" || m.Account != "ada" || m.Kind != "asked" || m.Locale != "ko" || !m.Expires.Equal(r.clock.Now().Add(5*time.Minute)) ||
			m.Data["Application"] != "Bank" || m.Data["Link"] != "https://id.test/account/requests/x" || !strings.Contains(m.Data["At"].(string), "14:06") {
			t.Errorf("%+v", m)
		}
		r.mail.off = true
		if ask("ada"); len(r.mail.sent) != 1 {
			t.Error("written while mail is off")
		}
	})
}
