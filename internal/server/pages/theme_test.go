package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestTheme_ChosenRememberedAndTakenBack(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	post := func(form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/theme", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		if err := p.switchTheme(w, r); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := post(url.Values{"theme": {"dark"}, "return": {"/account/profile"}})
	set := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/account/profile" || len(set) != 1 || set[0].Value != "dark" || set[0].MaxAge != year || !set[0].HttpOnly {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = post(url.Values{"theme": {"auto"}, "return": {"https://evil.example/"}}, set[0])
	if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || w.Header().Get("Location") != "/" {
		t.Errorf("%v", w.Header())
	}
	if w = post(url.Values{"theme": {"\"><script>"}}); len(w.Result().Cookies()) != 0 {
		t.Errorf("%v", w.Header())
	}
}

// The page that answers a switch wears the theme already, and the other cookies stay readable.
func TestTheme_WornByTheAnswerUnderWay(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	r := httptest.NewRequest(http.MethodPost, "/signin/x/signup", nil)
	r.AddCookie(&http.Cookie{Name: cookieTheme, Value: "light"})
	r.AddCookie(&http.Cookie{Name: cookieSession, Value: "sgn_sess_x"})
	if !wear(httptest.NewRecorder(), r, "dark") {
		t.Fatal("dark is no theme")
	}
	v := p.view(r, p.texts.fallback, "login.title")
	if v.Theme != "dark" || readCookie(r, cookieSession) != "sgn_sess_x" {
		t.Errorf("theme %q, cookies %v", v.Theme, r.Cookies())
	}
	current := ""
	for _, c := range v.Themes {
		if c.Current {
			current += c.Tag
		}
	}
	if current != "dark" {
		t.Errorf("current: %s", current)
	}
	if wear(httptest.NewRecorder(), r, "sepia") || wear(httptest.NewRecorder(), r, "") {
		t.Error("not a theme, and yet worn")
	}
	wear(httptest.NewRecorder(), r, "auto")
	if theme(r) != "" {
		t.Error("auto is no choice")
	}
}

func TestTheme_CookieOfAStranger(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieTheme, Value: "sepia"})
	r.AddCookie(&http.Cookie{Name: cookieLast, Value: strings.Repeat("a", 65)})
	if theme(r) != "" || lastUsed(r) != "" {
		t.Errorf("%q %q", theme(r), lastUsed(r))
	}
}

func TestLastUsed_MarksOneWayInThisBrowserOnly(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	usedLast(w, r, "fed.corp")
	again := httptest.NewRequest(http.MethodGet, "/login", nil)
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("%v", c)
		}
		again.AddCookie(c)
	}
	mine, another := p.view(again, p.texts.fallback, "login.title"), p.view(r, p.texts.fallback, "login.title")
	if mine.Last("fed.corp") == "" || mine.Last("pwd") != "" || another.Last("fed.corp") != "" || another.Last("") != "" {
		t.Errorf("%q %q %q", mine.Last("fed.corp"), mine.Last("pwd"), another.Last("fed.corp"))
	}
	usedLast(w, r, "not a way")
	if n := len(w.Result().Cookies()); n != 1 {
		t.Errorf("%d cookies", n)
	}
}

// What is stripped from the sources before they are served must never stand within a string.
func TestStatic_CommentsAndIndentAreNoPartOfTheCode(t *testing.T) {
	t.Parallel()
	js, err := joined(".js")
	if err != nil {
		t.Fatal(err)
	}
	out := string(uncommented(".js", js))
	open := false
	for line := range strings.Lines(string(js)) {
		if strings.Count(line, "`")%2 == 1 {
			open = !open
		}
		if open {
			t.Fatalf("a template over several lines would lose its indent: %s", line)
		}
	}
	if strings.Contains(out, "\n//") || strings.HasPrefix(out, "//") || !strings.Contains(out, "https://") && strings.Contains(string(js), "https://") {
		t.Error("comments of the script")
	}
	css := string(uncommented(".css", []byte(styleSheet(t))))
	if strings.Contains(css, "/*") || strings.Count(css, "{") != strings.Count(css, "}") || strings.Count(css, "{") != strings.Count(strings.ReplaceAll(styleSheet(t), "{…}", ""), "{") {
		t.Error("comments of the style sheet")
	}
}
