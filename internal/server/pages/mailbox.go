package pages

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"signet/internal/platform/errs"
	"signet/internal/platform/mail"
	"signet/internal/server"
)

// The mailbox shows developers the mails that would have been sent. It exists only in development,
// where nothing leaves the machine; anybody who can open the page can read everything.

var mailboxFrames = map[string]string{"mailbox": "card", "mailbox_mail": "card"}

const mailboxPath = "/dev/mailbox"

func (p *Pages) mailboxRoutes() []server.Route {
	if !p.keepsMail() {
		return nil
	}
	return []server.Route{
		p.get(mailboxPath, p.mailbox),
		p.get(mailboxPath+".json", p.mailboxJSON),
		p.get(mailboxPath+"/{mail}", p.mailboxMail),
		p.get(mailboxPath+"/{mail}/html", p.mailboxHTML),
	}
}

func (p *Pages) keepsMail() bool { return p.d.Dev && p.d.Mail != nil && p.d.Mail.Kept() }

func (p *Pages) mailbox(w http.ResponseWriter, r *http.Request) error {
	all, err := p.d.Mail.Mailbox(r.Context())
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "mailbox", p.mailboxView(r, p.texts.of(r, nil), all))
}

func (p *Pages) mailboxView(r *http.Request, loc *locale, all []mail.Stored) *view {
	type row struct {
		Path, Subject, Lang, To string
		At                      instant
	}
	var rows []row
	for _, m := range all {
		rows = append(rows, row{mailboxPath + "/" + url.PathEscape(m.ID), m.Subject, m.Lang, m.To, loc.instant(m.At)})
	}
	v := p.view(r, loc, "mailbox.title")
	v.Data = struct{ Mails []row }{rows}
	return v
}

// mailboxJSON is the mailbox for programs, newest first; ?to= asks for the mails to one address.
func (p *Pages) mailboxJSON(w http.ResponseWriter, r *http.Request) error {
	all, err := p.d.Mail.Mailbox(r.Context())
	if err != nil {
		return err
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.Invalid, "", err)
	}
	out := []mail.Stored{}
	for _, m := range all {
		if to := q.Get("to"); to == "" || to == m.To {
			out = append(out, m)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(out)
}

// stored finds the mail that the address names.
func (p *Pages) stored(r *http.Request) (mail.Stored, error) {
	all, err := p.d.Mail.Mailbox(r.Context())
	if err != nil {
		return mail.Stored{}, err
	}
	for _, m := range all {
		if m.ID == r.PathValue("mail") {
			return m, nil
		}
	}
	return mail.Stored{}, errs.New(errs.NotFound, "", nil)
}

func (p *Pages) mailboxMail(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored(r)
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "mailbox_mail", p.mailView(r, p.texts.of(r, nil), m))
}

var reLinkLine = regexp.MustCompile(`(?m)^https?://\S+$`)

func (p *Pages) mailView(r *http.Request, loc *locale, m mail.Stored) *view {
	data := struct {
		Mail       mail.Stored
		At         instant
		Links      []string
		HTML, Back string
	}{Mail: m, At: loc.instant(m.At), HTML: mailboxPath + "/" + url.PathEscape(m.ID) + "/html", Back: mailboxPath}
	for _, l := range reLinkLine.FindAllString(m.Text, -1) {
		if strings.HasPrefix(l, p.d.Issuer+"/") {
			data.Links = append(data.Links, l)
		}
	}
	v := p.view(r, loc, "mailbox.mail")
	v.Heading, v.Data = m.Subject, data
	return v
}

// mailboxHTML shows the HTML part as a document of no origin: as in a mail program, nothing in it
// runs, loads or knows the person.
func (p *Pages) mailboxHTML(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", m.Lang)
	h.Set("Content-Length", strconv.Itoa(len(m.HTML)))
	h.Set("Content-Security-Policy", "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; "+
		"form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	_, err = w.Write([]byte(m.HTML))
	return err
}
