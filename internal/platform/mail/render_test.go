package mail

import (
	"bytes"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/outbox"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/web"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const issuer = "https://id.example.com"

// tryNew makes a service that only renders.
func tryNew(t testing.TB, change func(*Deps)) (*Service, error) {
	t.Helper()
	db := storetest.Open(t, store.SQLite)
	c := clock.NewFake(now)
	sealer, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	box, err := outbox.New(outbox.Deps{DB: db, Clock: c, Seal: sealer, Audit: trail, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{Outbox: box, Clock: c, Log: log, Name: "Example ID", Issuer: issuer, Dev: true}
	change(&d)
	return New(d)
}

func newWriter(t testing.TB) *Service {
	t.Helper()
	s, err := tryNew(t, func(*Deps) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// full is data with every field of a kind.
func full(kind string) map[string]any {
	out := map[string]any{}
	for name, f := range fields(kind) {
		switch f.form {
		case code:
			out[name] = seal.Secret("12345678")
		case link:
			out[name] = issuer + "/m/" + strings.ToLower(name)
		case address:
			out[name] = strings.ToLower(name) + "@example.net"
		case count:
			out[name] = 3
		case ip:
			out[name] = "2001:db8::7"
		case term:
			out[name] = "passkey"
		case words:
			out[name] = map[string]any{
				"At": now, "Browser": "Firefox on Linux", "Place": "Seoul, South Korea", "Name": "Mina Kim", "Inviter": "Ada Lovelace", "Provider": "Example Works", "Application": "Example Bank",
			}[name]
		}
	}
	return out
}

func mustWrite(t testing.TB, s *Service, m Message) letter {
	t.Helper()
	l, err := s.write(m, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func message(kind, tag string) Message {
	return Message{To: "ada@example.net", Kind: kind, Locale: tag, Data: full(kind), Expires: now.Add(30 * time.Minute)}
}

// What people read, word for word.
func TestWrite_Golden(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for _, tag := range languages {
		for _, kind := range Kinds() {
			l := mustWrite(t, s, message(kind, tag))
			golden(t, tag+"/"+kind+".txt", "Subject: "+l.Subject+"\n\n"+l.Text)
		}
	}
	golden(t, "en/reset.html", mustWrite(t, s, message("reset", "en")).HTML)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update if it is meant): %s", name, diff)
	}
}

// Every mail in every language: both parts carry code and links, the code stands in the subject,
// nothing is fetched from anywhere, and it can be read on dark screens.
func TestWrite_EveryMail(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	placeholder := regexp.MustCompile(`\{\{|\}\}|<no value>|\{n\}`)
	for _, tag := range languages {
		for _, kind := range Kinds() {
			l := mustWrite(t, s, message(kind, tag))
			for part, text := range map[string]string{"subject": l.Subject, "text": l.Text, "html": l.HTML} {
				if placeholder.MatchString(text) || text == "" || strings.Contains(text, "\r") {
					t.Errorf("%s/%s: %s %q", tag, kind, part, text)
				}
			}
			if strings.Contains(l.Subject, "\n") || utf8.RuneCountInString(l.Subject) > 78 {
				t.Errorf("%s/%s: subject %q", tag, kind, l.Subject)
			}
			for name, f := range kinds[kind] {
				value := full(kind)[name]
				text, _ := value.(string)
				switch f.form {
				case code:
					if text = "12345678"; !strings.Contains(l.Subject, text) {
						t.Errorf("%s/%s: the code is not in the subject %q", tag, kind, l.Subject)
					}
				case link:
				default:
					continue
				}
				if !strings.Contains(l.Text, text) || !strings.Contains(l.HTML, text) {
					t.Errorf("%s/%s: %s is not in both parts", tag, kind, name)
				}
			}
			if !strings.Contains(l.HTML, "prefers-color-scheme: dark") || !strings.Contains(l.HTML, `lang="`+tag+`"`) {
				t.Errorf("%s/%s: no dark colours, or no language", tag, kind)
			}
			noRemote(t, tag+"/"+kind, l.HTML)
		}
	}
}

// noRemote checks that opening a mail tells nobody about it, and that its links lead to us.
func noRemote(t *testing.T, name, page string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			switch tok.Data {
			case "img", "link", "script", "iframe", "object", "form", "audio", "video", "base", "svg":
				t.Errorf("%s: <%s>", name, tok.Data)
			}
			for _, a := range tok.Attr {
				if a.Key == "src" || a.Key == "background" || strings.HasPrefix(a.Key, "on") ||
					strings.Contains(a.Val, "url(") || a.Key == "href" && !strings.HasPrefix(a.Val, issuer+"/") {
					t.Errorf("%s: <%s %s=%q>", name, tok.Data, a.Key, a.Val)
				}
			}
		case html.TextToken:
			if text := string(z.Text()); strings.Contains(text, "@import") || strings.Contains(text, "url(") {
				t.Errorf("%s: the style sheet fetches something", name)
			}
		case html.EndTagToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// hostile is what strangers put into names (security case SU-05).
var hostile = []string{
	"{{.Secret}}", "${7*7}", `<a href="//evil.example">x</a>`, "<script>alert(1)</script>", "www.evil.example/login",
	"https://evil.example", "evil.example", "security@evil.example", "x\r\nBcc: victim@example.com\r\n\r\nfake text",
	"Click\n\n[button Link] here", "- Browser: fake", strings.Repeat("A", 10_000), "\u202eelpmaxe.live\u202c", "a\u200bb\u2060c", "x'\"><img src=//e>",
	"evil。example", "http:\\\\evil.example", "evil.example:8080", "\x00\x1b[31m", string([]byte{0xff, 0xfe}),
}

var reAutoLink = regexp.MustCompile(`(?i)(https?:[/\\]|www\.[\p{L}\p{N}]|[\p{L}\p{N}-]+[.。．][\p{L}]{2,}|[\p{L}\p{N}]@[\p{L}\p{N}])`)

// SU-05: whatever people call themselves stays one short piece of text.
func TestWrite_HostileNamesStayText(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for _, h := range hostile {
		for _, kind := range Kinds() {
			plain := mustWrite(t, s, message(kind, "en"))
			m := message(kind, "en")
			for name, f := range fields(kind) {
				if f.form == words || f.form == term || f.form == ip {
					m.Data[name] = h
				}
			}
			l := mustWrite(t, s, m)
			if strings.Contains(l.Subject, "\n") || strings.Count(l.Text, "\n") > strings.Count(plain.Text, "\n") {
				t.Errorf("%s with %q: more lines than before: %q", kind, h, l.Text)
			}
			if len(l.Text) > len(plain.Text)+10*(maxWords+len("\u2060")*maxWords) || strings.ContainsAny(l.Text, "\r\x00\x1b\u202e\u200b") || !utf8.ValidString(l.Text) {
				t.Errorf("%s with %.40q: %q", kind, h, l.Text)
			}
			noRemote(t, kind, l.HTML)
			if a, b := tags(plain.HTML), tags(l.HTML); b > a {
				t.Errorf("%s with %q: %d tags instead of %d", kind, h, b, a)
			}
		}
		if found := reAutoLink.FindString(inert(h)); found != "" {
			t.Errorf("%q becomes %q, of which %q looks like a link", h, inert(h), found)
		}
	}
}

func tags(page string) int {
	n := 0
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return n
		case html.StartTagToken, html.SelfClosingTagToken:
			n++
		default:
		}
	}
}

// Mails to an address that nobody has proven carry no words of whoever typed it there.
func TestWrite_StrangersHaveNoSay(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for _, kind := range []string{"verify_signup", "already_registered", "verify_address"} {
		for _, tag := range languages {
			m := message(kind, tag)
			for _, name := range []string{"Name", "Browser", "Place"} {
				m.Data[name] = "Your prize waits"
			}
			if l := mustWrite(t, s, m); strings.Contains(l.Subject+l.Text+l.HTML, "prize") {
				t.Errorf("%s/%s: %s", tag, kind, l.Text)
			}
		}
	}
}

func TestInert_KeepsNamesReadable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Mina Kim": "Mina Kim", "김민아": "김민아", "J. R. R. O'Neil": "J. R. R. O'Neil", "2 January 2026, 03:04 UTC": "2 January 2026, 03:04 UTC",
		"Chrome 120.0": "Chrome 120.0", "  a \t b ": "a b", "evil.com": "evil.\u2060com", "a/b": "a/\u2060b",
	} {
		if got := inert(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestWrite_Refuses(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for name, change := range map[string]func(*Message){
		"unknown kind":       func(m *Message) { m.Kind = "advertisement" },
		"unknown field":      func(m *Message) { m.Data["Url"] = "x" },
		"missing field":      func(m *Message) { delete(m.Data, "Link") },
		"empty field":        func(m *Message) { m.Data["Code"] = "" },
		"no text":            func(m *Message) { m.Data["Browser"] = 1.5 },
		"foreign link":       func(m *Message) { m.Data["Link"] = "https://id.example.com.evil.example/m/x" },
		"link with a break":  func(m *Message) { m.Data["Link"] = issuer + "/m/x\ny" },
		"link with a user":   func(m *Message) { m.Data["Link"] = issuer + "@evil.example/" },
		"javascript":         func(m *Message) { m.Data["Link"] = "javascript:alert(1)" },
		"code with a space":  func(m *Message) { m.Data["Code"] = "1234 5678" },
		"code with markup":   func(m *Message) { m.Data["Code"] = "<b>1</b>" },
		"code without bound": func(m *Message) { m.Data["Code"] = strings.Repeat("1", 40) },
	} {
		m := message("reset", "en")
		change(&m)
		if l, err := s.write(m, now); err == nil {
			t.Errorf("%s: %q", name, l.Text)
		}
	}
}

// What is optional may be left out, and leaves no trace.
func TestWrite_OnlyWhatIsRequired(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for _, tag := range languages {
		for _, kind := range Kinds() {
			m := message(kind, tag)
			for name, f := range fields(kind) {
				if !f.required {
					delete(m.Data, name)
				}
			}
			l := mustWrite(t, s, m)
			for line := range strings.Lines(l.Text) {
				if strings.HasSuffix(strings.TrimSpace(line), ":") && !strings.Contains(l.Text, strings.TrimSpace(line)+"\nhttps") &&
					!strings.Contains(l.Text, strings.TrimSpace(line)+"\n\n") {
					t.Errorf("%s/%s: %q announces nothing", tag, kind, line)
				}
			}
			if strings.Contains(l.Text, "\n\n\n") || strings.Contains(l.HTML, "<dl style=\"margin:20px 0\">\n</dl>") || strings.Contains(l.HTML, `href=""`) {
				t.Errorf("%s/%s: empty parts:\n%s", tag, kind, l.Text)
			}
		}
	}
}

func TestWrite_Language(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for wish, want := range map[string]string{"ko": "ko", "ko-KR": "ko", "KO_kr": "ko", "en-GB": "en", "de": "en", "": "en", "../../etc": "en"} {
		m := message("test", wish)
		if l := mustWrite(t, s, m); l.Lang != want {
			t.Errorf("%q: %s, want %s", wish, l.Lang, want)
		}
	}
	korean, err := tryNew(t, func(d *Deps) { d.Locale = "ko" })
	if err != nil {
		t.Fatal(err)
	}
	if l := mustWrite(t, korean, message("test", "de")); l.Lang != "ko" {
		t.Errorf("the default is %s", l.Lang)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	s := newWriter(t)
	for d, want := range map[time.Duration][2]string{
		0: {"1 minute", "1분"}, 59*time.Minute + 59*time.Second: {"60 minutes", "60분"}, 90 * time.Minute: {"90 minutes", "90분"},
		2 * time.Hour: {"2 hours", "2시간"}, 24 * time.Hour: {"24 hours", "24시간"}, 7 * 24 * time.Hour: {"7 days", "7일"}, 10 * time.Minute: {"10 minutes", "10분"},
	} {
		for i, tag := range languages {
			if got := s.templates.byTag[tag].duration(d); got != want[i] {
				t.Errorf("%v: %q, want %q", d, got, want[i])
			}
		}
	}
}

// WCAG 2.2 §1.4.3: the words on the button can be read on any colour that an operator chooses.
func TestAccent_TextOnTheButton(t *testing.T) {
	t.Parallel()
	for _, accent := range []string{"#000000", "#ffffff", "#ffff00", "#2a47b8", "#ff0000", "#00ff00", "#808080", "#767676", "#757575"} {
		css, err := accentCSS(accent)
		if err != nil {
			t.Fatal(err)
		}
		text := string(css)[strings.LastIndex(string(css), "#"):]
		a, b := luminance(accent)+0.05, luminance(text)+0.05
		if ratio := max(a, b) / min(a, b); ratio < 4.5 {
			t.Errorf("%s: contrast %.2f", css, ratio)
		}
	}
	for _, bad := range []string{"red", "#fff", "#12345g", "#123456;background:url(//evil)"} {
		if _, err := accentCSS(bad); err == nil {
			t.Errorf("%q is a colour", bad)
		}
	}
}

func TestTemplates_OperatorsOwn(t *testing.T) {
	t.Parallel()
	own := func(name, text string) fs.FS { return fstest.MapFS{name: {Data: []byte(text)}} }
	s, err := tryNew(t, func(d *Deps) {
		d.Templates = own("en/test.txt", "\ufeffSubject: Hello from {{.Host}}\r\n\r\nOne line.\r\n\r\n[quiet] {{.Service}}\r\n")
	})
	if err != nil {
		t.Fatal(err)
	}
	l := mustWrite(t, s, message("test", "en"))
	if l.Subject != "Hello from id.example.com" || !strings.HasPrefix(l.Text, "One line.\n\nExample ID\n") {
		t.Errorf("%q %q", l.Subject, l.Text)
	}
	if l := mustWrite(t, s, message("test", "ko")); !strings.Contains(l.Subject, "시험") {
		t.Errorf("what is not theirs is not ours: %q", l.Subject)
	}
	for name, files := range map[string]fs.FS{
		"mistyped name":      own("en/tset.txt", "Subject: x\n\nx"),
		"no subject":         own("en/test.txt", "Hello\n\nx"),
		"broken template":    own("en/test.txt", "Subject: x\n\n{{.Service"),
		"unknown field":      own("en/reset.txt", "Subject: x\n\n{{.Password}}"),
		"unknown button":     own("en/reset.txt", "Subject: x\n\n[button Home] Go"),
		"unknown paragraph":  own("en/reset.txt", "Subject: x\n\n[image] x"),
		"fact without label": own("en/reset.txt", "Subject: x\n\n- fact"),
		"broken words":       own("en/words.json", "{"),
		"words missing":      own("ko/words.json", "{}"),
		"broken layout":      own("layout.html", "{{range}}"),
		"layout asks more":   own("layout.txt", "{{.Secret}}"),
	} {
		if _, err := tryNew(t, func(d *Deps) { d.Templates = files }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Notes beside the templates are nobody's business.
	if _, err := tryNew(t, func(d *Deps) { d.Templates = own("README.md", "notes") }); err != nil {
		t.Error(err)
	}
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Deps){
		"no outbox":        func(d *Deps) { d.Outbox = nil },
		"no issuer":        func(d *Deps) { d.Issuer = "id" },
		"unknown language": func(d *Deps) { d.Locale = "de" },
		"no sender":        func(d *Deps) { d.SMTP = &SMTP{Host: "mx.example.com", Port: 587} },
		"no port":          func(d *Deps) { d.From, d.SMTP = "a@example.com", &SMTP{Host: "mx.example.com"} },
		"in clear":         func(d *Deps) { d.From, d.SMTP = "a@example.com", &SMTP{Host: "mx.example.com", Port: 25, TLS: NoTLS} },
		"unknown mode":     func(d *Deps) { d.From, d.SMTP = "a@example.com", &SMTP{Host: "mx.example.com", Port: 25, TLS: "maybe"} },
		"bad colour":       func(d *Deps) { d.Brand.Accent = "red" },
	} {
		if _, err := tryNew(t, change); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKinds_HaveTheirTemplates(t *testing.T) {
	t.Parallel()
	for _, tag := range languages {
		files, err := fs.Glob(web.Files, "mail/"+tag+"/*.txt")
		if err != nil || len(files) != len(kinds) {
			t.Errorf("%s: %d templates for %d mails, %v", tag, len(files), len(kinds), err)
		}
	}
	ours, err := loadTemplates(Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.try(); err != nil {
		t.Error(err)
	}
}

// docs/mail.md has every mail with its fields.
func TestKinds_AreDocumented(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/mail.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		_, row, found := strings.Cut(string(b), "| `"+kind+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if !found {
			t.Errorf("%s is missing", kind)
		}
		for name, f := range kinds[kind] {
			if !strings.Contains(row, "`"+name+"`") || strings.Contains(row, "`"+name+"`*") == f.required {
				t.Errorf("%s: %s is missing, or wrong about whether it may be empty", kind, name)
			}
		}
	}
}

func FuzzInert(f *testing.F) {
	for _, h := range hostile {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := inert(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\u202e") || utf8.RuneCountInString(got) > 2*maxWords {
			t.Errorf("%q becomes %q", s, got)
		}
		if found := reAutoLink.FindString(got); found != "" {
			t.Errorf("%q becomes %q, of which %q looks like a link", s, got, found)
		}
	})
}

func FuzzParseMail(f *testing.F) {
	files, _ := fs.Glob(web.Files, "mail/*/*.txt")
	for _, name := range files {
		b, err := fs.ReadFile(web.Files, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, file string) {
		m, err := parseMail(file)
		if err == nil && m.subject == nil {
			t.Error("neither a mail nor an error")
		}
	})
}
