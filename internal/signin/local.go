package signin

import (
	"time"

	"signet/internal/identity/session"
	"signet/internal/oauth"
)

// LocalLogin is what an application is told of a sign-in that one of our own pages stands for: the page
// on which a device is let in. l says what was asked of the person for it.
func (s *Service) LocalLogin(sess *session.Session, l Local) oauth.Login {
	j := &Journey{Local: &l}
	counted := sess.Without(s.facts(j, nil).stale(time.Time{}))
	return oauth.Login{User: sess.User, Session: sess.ID, AuthTime: sess.AuthTime(), ACR: counted.ACR(l.ACRValues...), AMR: counted.AMR(), Remembered: sess.Has(session.KnownBrowser)}
}
