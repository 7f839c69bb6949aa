package apptest

import "testing"

// Mail is a mail as it was sent.
type Mail struct{ Kind, Subject, Text, HTML string }

// Mails returns the mails to an address, oldest first, after everything due was delivered.
func (a *App) Mails(t testing.TB, to string) []Mail { t.Helper(); return nil }

// MailCode returns the code in the newest mail to an address that has one.
func (a *App) MailCode(t testing.TB, to string) string { t.Helper(); return "" }

// MailLink returns the first link in the newest mail to an address that has one.
func (a *App) MailLink(t testing.TB, to string) string { t.Helper(); return "" }
