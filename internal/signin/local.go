package signin

import (
	"time"

	"signet/internal/identity/session"
	"signet/internal/oauth"
)

// LocalLogin is what an application is told of a sign-in that one of our own pages stands for: the page
// on which a device is let in. l says what was asked of the person for it.
func (s *Service) LocalLogin(sess *session.Session, l Local) oauth.Login {
	return s.loginSince(&Journey{Local: &l}, sess, time.Time{}, l.ACRValues)
}

// loginSince leaves out what is too old for the journey, begun at since; acr are the classes asked for.
func (s *Service) loginSince(j *Journey, sess *session.Session, since time.Time, acr []string) oauth.Login {
	counted := sess.Without(s.facts(j, nil).stale(since))
	return oauth.Login{
		User: sess.User, Session: sess.ID, AuthTime: sess.AuthTime(), ACR: counted.ACR(acr...), AMR: counted.AMR(),
		Remembered: sess.Has(session.KnownBrowser),
	}
}
