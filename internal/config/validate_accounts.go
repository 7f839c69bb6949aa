package config

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func checkMail(c *Config) (string, string) {
	m := c.Mail
	if m.SMTP.Host == "" {
		return "", ""
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		return "mail.from", "is missing or not an address: the sender of mail, such as Example ID <no-reply@example.com>"
	}
	switch {
	case m.SMTP.TLS == "none" && !loopback(m.SMTP.Host):
		return "mail.smtp.tls", "none is for a server on this machine only: codes and links would cross the network in clear"
	case m.SMTP.Username == "" && m.SMTP.Password != "":
		return "mail.smtp.username", "is missing although there is a password"
	}
	return "", ""
}

func checkSignUp(c *Config) (string, string) {
	s := c.SignUp
	for _, d := range s.Domains {
		if !reDomain.MatchString(d) {
			return "signup.domains", strconv.Quote(d) + " is not a domain such as example.com"
		}
	}
	switch {
	case s.Mode == "domains" && len(s.Domains) == 0:
		return "signup.domains", "is missing: whose addresses are admitted"
	case s.Mode == "domains" && !c.mail():
		return "signup.mode", "domains needs mail: without it nobody proves an address"
	case c.Login.MailCode && !c.mail():
		return "login.mail_code", "needs mail"
	case s.TermsVersion != "" && c.Branding.TermsURL == "":
		return "branding.terms_url", "is missing although people are asked to accept the terms"
	}
	return "", ""
}

// mail reports whether mail can leave.
func (c *Config) mail() bool { return c.Mail.SMTP.Host != "" || c.Mail.dev }

// KeepMail makes mail stay in the outbox, to be looked at on a page: for signet dev.
func (m *Mail) KeepMail() { m.dev = true }

// Kept reports whether mail stays in the outbox.
func (m *Mail) Kept() bool { return m.dev }

func checkBreach(c *Config) (string, string) {
	if api := c.Passwords.BreachAPI; api != "" && !webAddress(api, true) {
		return "passwords.breach_api", "is not an address that begins with https://"
	}
	return "", ""
}

func checkBranding(c *Config) (string, string) {
	b := c.Branding
	if b.Accent != "" && !reColour.MatchString(b.Accent) {
		return "branding.accent", strconv.Quote(b.Accent) + " is not a colour such as #2a47b8"
	}
	for _, l := range [][2]string{{"help_url", b.HelpURL}, {"privacy_url", b.PrivacyURL}, {"terms_url", b.TermsURL}} {
		mailto := l[0] == "help_url" && strings.HasPrefix(l[1], "mailto:")
		if l[1] != "" && !webAddress(l[1], false) && !mailto {
			return "branding." + l[0], "is not a web address"
		}
	}
	for tag, text := range b.Text {
		if !slices.Contains([]string{"en", "ko"}, tag) {
			return "branding.text", strconv.Quote(tag) + " is not a language of the pages: en, ko"
		}
		if utf8.RuneCountInString(text) > 600 {
			return "branding.text", "is longer than 600 characters"
		}
	}
	return "", ""
}

func upstreamProblems(u Upstream) [][2]string {
	var ps [][2]string
	add := func(bad bool, at, text string) {
		if bad {
			ps = append(ps, [2]string{at, text})
		}
	}
	add(!reName.MatchString(u.Name), ".name", strconv.Quote(u.Name)+" is not 1 to 32 lower-case letters, digits or -")
	add(strings.TrimSpace(u.Label) == "", ".label", "is missing: it stands on the button")
	add(u.Kind == "", ".kind", "is missing: oidc or github")
	add(u.Kind == "oidc" && badIssuer(u.Issuer), ".issuer", "is not an issuer such as https://login.example.com")
	add(u.BaseURL != "" && !webAddress(u.BaseURL, true), ".base_url", "is not an address that begins with https://")
	add(u.ClientID == "", ".client_id", "is missing")
	add(u.ClientSecret == "", ".client_secret", "is missing: client_secret_file")
	for _, d := range u.Domains {
		add(!reDomain.MatchString(d), ".domains", strconv.Quote(d)+" is not a domain such as example.com")
	}
	for name := range u.Claims {
		add(!slices.Contains([]string{"email", "email_verified", "name", "given_name", "family_name", "username", "picture"}, name),
			".claims", strconv.Quote(name)+" is not a claim that is taken over")
	}
	return ps
}

// badIssuer reports whether s cannot be the issuer of another provider (OIDC Discovery §3: https, no
// query, no fragment; a path is allowed).
func badIssuer(s string) bool { return !webAddress(s, true) || strings.ContainsAny(s, "?#") }

// webAddress reports whether s is an absolute web address; with secure, one that the guarded client
// would ask.
func webAddress(s string, secure bool) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && !secure
}

var (
	reDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	reColour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	reName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
)
