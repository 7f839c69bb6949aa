package notice_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1"

// people are reached as the map says.
type people map[id.User]notice.Contact

func (p people) Contact(_ context.Context, user id.User) (notice.Contact, error) {
	c, ok := p[user]
	if !ok {
		return c, errs.New(errs.NotFound, "", nil)
	}
	return c, nil
}

type letters struct {
	off  bool
	sent []mail.Message
}

func (l *letters) Enabled() bool { return !l.off }

func (l *letters) Send(_ context.Context, m mail.Message) error {
	l.sent = append(l.sent, m)
	return nil
}

type rig struct {
	*notice.Service
	db    *store.DB
	clock *clock.Fake
	mail  *letters
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		log, err := audit.New(audit.Deps{DB: db, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		sealer, err := seal.New(bytes.Repeat([]byte("m"), 32))
		if err != nil {
			t.Fatal(err)
		}
		one, err := onetime.New(onetime.Deps{DB: db, Clock: c, Seal: sealer})
		if err != nil {
			t.Fatal(err)
		}
		box := &letters{}
		s, err := notice.New(notice.Deps{
			DB: db, Audit: log, OneTime: one, Mail: box, Clock: c, Issuer: "https://id.test",
			Accounts: people{
				"ada": {Verified: []string{"ada@example.com", "ada@example.org"}, Locale: "ko", Zone: "Asia/Seoul"},
				"bob": {Locale: "en"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		fn(t, &rig{s, db, c, box})
	})
}

func (r *rig) send(t *testing.T, user id.User, kind notice.Kind, data map[string]any) {
	t.Helper()
	ctx := audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.7", UserAgent: phone})
	if err := r.db.InTx(ctx, func(ctx context.Context) error { return r.Send(ctx, user, kind, data) }); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) token(t *testing.T) string {
	t.Helper()
	link, _ := r.mail.sent[len(r.mail.sent)-1].Data["NotMe"].(string)
	token, ok := strings.CutPrefix(link, "https://id.test/m/")
	if !ok {
		t.Fatalf("link %q", link)
	}
	return token
}

func TestSend_ToEveryProvenAddress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.send(t, "ada", notice.FactorAdded, map[string]any{"Factor": "totp"})
		if len(r.mail.sent) != 2 || r.mail.sent[1].To != "ada@example.org" {
			t.Fatalf("%+v", r.mail.sent)
		}
		got := r.mail.sent[0]
		want := mail.Message{
			To: "ada@example.com", Account: "ada", Kind: "notice_factor_added", Locale: "ko", Expires: r.clock.Now().Add(notice.NotMeFor),
			Data: map[string]any{
				"Factor": "totp", "Browser": "Safari · iPhone", "IP": "192.0.2.7", "At": "2026년 3월 4일 14:06 KST", "NotMe": got.Data["NotMe"],
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, user := range []id.User{"bob", "nobody"} { // nothing proven, or not there any more
			r.send(t, user, notice.Password, nil)
		}
		r.mail.off = true
		r.send(t, "ada", notice.Password, nil)
		if len(r.mail.sent) != 2 {
			t.Errorf("%d mails", len(r.mail.sent))
		}
		defer func() {
			if recover() == nil {
				t.Error("sent outside of a transaction")
			}
		}()
		_ = r.Send(t.Context(), "ada", notice.Password, nil)
	})
}

func TestTake_OnceWithWhatFollows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.send(t, "ada", notice.SignIn, nil)
		token := r.token(t)
		want := notice.Link{User: "ada", Kind: notice.SignIn, At: r.clock.Now(), To: []string{"ada@example.com", "ada@example.org"}}
		for range 3 { // looking uses nothing up
			if l, err := r.Peek(t.Context(), token); err != nil || !cmp.Equal(l, want) {
				t.Fatalf("%+v, %v", l, err)
			}
		}
		boom := errors.New("boom")
		if _, err := r.Take(t.Context(), token, func(context.Context, notice.Link) error { return boom }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				l, err := r.Take(context.Background(), token, func(context.Context, notice.Link) error { return nil })
				if err == nil && cmp.Equal(l, want) {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d takers won", won.Load())
		}
		r.send(t, "ada", notice.SignIn, nil)
		late := r.token(t)
		r.clock.Advance(notice.NotMeFor)
		if _, err := r.Peek(t.Context(), late); errs.As(err).Key != onetime.KeyExpired {
			t.Errorf("after its time: %v", err)
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	const edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0"
	for _, c := range []struct{ locale, agent, want string }{
		{"en", edge, "Edge on Windows"}, {"ko-KR", edge, "Edge · Windows"}, {"en", "Firefox/1", "Firefox"},
		{"", "curl/8", "an unknown browser"}, {"ko", "", "알 수 없는 브라우저"},
	} {
		if got := notice.Browser(c.locale, c.agent); got != c.want {
			t.Errorf("%s %q: %q", c.locale, c.agent, got)
		}
	}
	at := time.Date(2026, 3, 4, 23, 6, 7, 0, time.UTC)
	for _, c := range []struct{ locale, zone, want string }{
		{"en", "", "4 March 2026, 23:06 UTC"}, {"en", "Asia/Seoul", "5 March 2026, 08:06 KST"}, {"ko", "nowhere", "2026년 3월 4일 23:06 UTC"},
		{"en", "Local", "4 March 2026, 23:06 UTC"}, {"en", "../../etc/passwd", "4 March 2026, 23:06 UTC"},
	} {
		if got := notice.When(c.locale, c.zone, at); got != c.want {
			t.Errorf("%s %q: %q", c.locale, c.zone, got)
		}
	}
}
