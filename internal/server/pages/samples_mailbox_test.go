package pages

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"signet/internal/platform/mail"
)

func init() { areaSamples = append(areaSamples, mailboxSamples) }

// mailboxSamples are the developer's mailbox and a mail in it.
func mailboxSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	at := func(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
	one := mail.Stored{
		ID: "0197a0de-0000-7000-8000-000000000002", To: "ada.lovelace@example.com", Kind: "reset", Lang: "en",
		Subject: "12345678 is your code <script>", At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), HTML: "<p>12345678</p>",
		Text: "Enter this code:\n\n    12345678\n\nChoose a new password:\nhttps://id.example.com/m/sgn_ml_x\n\nhttps://evil.example/x\n",
	}
	add("mailbox", "mailbox", http.StatusOK, p.mailboxView(at(mailboxPath), loc, []mail.Stored{one}))
	add("mailbox-empty", "mailbox", http.StatusOK, p.mailboxView(at(mailboxPath), loc, nil))
	v := p.mailView(at(mailboxPath+"/x"), loc, one)
	add("letter", "mailbox_mail", http.StatusOK, v)
	if data, ok := v.Data.(struct {
		Mail       mail.Stored
		At         instant
		Links      []string
		HTML, Back string
	}); !ok || len(data.Links) != 1 {
		t.Errorf("links %+v", v.Data)
	}
}
