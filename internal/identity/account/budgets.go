package account

import (
	"context"
	"sync/atomic"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
)

// Budgets bound the attempts at what can be guessed or flooded. Zero ones get their default.
//
// A password check draws on several at once. From a browser in which the account has signed in
// before it draws on that browser's Account and Streak alone: strangers cannot use those up, and
// what happens there is not held against anybody elsewhere. From any other browser it draws on
// the Account and Streak that all strangers share, on Pair, Source and Site, and in an alarm on
// Alarm.
type Budgets struct {
	// Account bounds failed password checks of one account, whichever name it is called by and
	// whichever page asks: 10 per 15 minutes.
	Account ratelimit.Budget
	// Streak bounds failed checks in a row of one password: 100, and then one more every seven
	// hours. NIST SP 800-63B-4 §3.2.2 stops for good after 100. We do not, because where no mail is
	// sent that would let anybody take an account from its owner for good. A right password or a
	// new one ends the streak.
	Streak ratelimit.Budget
	// Pair bounds failed checks of one account from one network: 5 per 15 minutes. So it takes
	// more than one network to use up Account.
	Pair ratelimit.Budget
	// Source bounds failed checks from one network over all accounts: 100 per 15 minutes.
	Source ratelimit.Budget
	// Site bounds failed checks from one IPv6 /48, for who has 65,536 networks: 400 per 15 minutes.
	Site ratelimit.Budget
	// Failures is how many failed checks over everything are nothing unusual: 1,000 per 15 minutes.
	// Beyond it there is an alarm, and then Alarm bounds one network too: 10 per 15 minutes. Nobody is
	// locked out by what others do.
	Failures, Alarm ratelimit.Budget

	// SignUp bounds sign-ups from one network, successful or not: 30 per hour.
	SignUp ratelimit.Budget
	// Username bounds the usernames that one account tries, taken or not: 10 per hour. Each answer
	// tells whether somebody has that name.
	Username ratelimit.Budget
	// Mail bounds the mails that visitors can have sent to one address, known or not: 3 per hour.
	// Beyond it the answer stays the same and nothing is sent. A browser in which the account has
	// signed in before has a Mail, a Codes and an Asks of its own for what it asks for a name, and draws
	// on nothing else.
	Mail ratelimit.Budget
	// MailSource bounds the mails that one network can have sent: 30 per hour. As with Mail.
	MailSource ratelimit.Budget
	// Codes bounds the mails with a code to sign in to one address: 6 per hour. As with Mail.
	Codes ratelimit.Budget
	// Asks bounds how often one network can ask for a mail at all, sent or not: 120 per hour. Each time
	// leaves rows. It is not silent, for it says nothing about anybody else.
	Asks ratelimit.Budget
}

func (b *Budgets) setDefaults() {
	const quarter = 15 * time.Minute
	for _, d := range []struct {
		at  *ratelimit.Budget
		def ratelimit.Budget
	}{
		{&b.Account, ratelimit.Budget{Name: "password-account", Limit: 10, Per: quarter}},
		{&b.Streak, ratelimit.Budget{Name: "password-streak", Limit: 100, Per: 30 * 24 * time.Hour, Streak: true}},
		{&b.Pair, ratelimit.Budget{Name: "password-pair", Limit: 5, Per: quarter}},
		{&b.Source, ratelimit.Budget{Name: "password-source", Limit: 100, Per: quarter}},
		{&b.Site, ratelimit.Budget{Name: "password-site", Limit: 400, Per: quarter}},
		{&b.Failures, ratelimit.Budget{Name: "password-failures", Limit: 1000, Per: quarter}},
		{&b.Alarm, ratelimit.Budget{Name: "password-alarm", Limit: 10, Per: quarter}},
		{&b.SignUp, ratelimit.Budget{Name: "signup-source", Limit: 30, Per: time.Hour}},
		{&b.Username, ratelimit.Budget{Name: "username-account", Limit: 10, Per: time.Hour}},
		{&b.Mail, ratelimit.Budget{Name: "mail-address", Limit: 3, Per: time.Hour}},
		{&b.MailSource, ratelimit.Budget{Name: "mail-source", Limit: 30, Per: time.Hour}},
		{&b.Codes, ratelimit.Budget{Name: "mail-code-address", Limit: 6, Per: time.Hour}},
		{&b.Asks, ratelimit.Budget{Name: "mail-asks", Limit: 120, Per: time.Hour}},
	} {
		if d.at.Limit == 0 {
			*d.at = d.def
		}
	}
}

// Lanes tells known browsers apart; device.Service is it.
type Lanes interface {
	// Lane returns the id of the browser being served if the user has signed in in it before, or "".
	// It does the same work for a user that nobody is.
	Lane(ctx context.Context, user id.User) (string, error)
}

// attempt is one password check to be counted.
type attempt struct {
	lane     string // the known browser, or "" for a stranger
	reserved *ratelimit.Reservation
}

// reserve counts a check of c's password before it happens, in one statement.
func (s *Service) reserve(ctx context.Context, c credential) (attempt, error) {
	var a attempt
	var err error
	if s.lanes != nil {
		if a.lane, err = s.lanes.Lane(ctx, c.ID); err != nil {
			return a, err
		}
	}
	a.reserved, err = s.limits.Reserve(ctx, s.attemptKeys(c, a.lane, audit.SourceOf(ctx).IP)...)
	return a, err
}

func (s *Service) attemptKeys(c credential, lane, ip string) []ratelimit.Key {
	b, who := s.budgets, c.bucket+"\x00"+lane
	keys := []ratelimit.Key{{Budget: b.Account, Value: who}, {Budget: b.Streak, Value: who + "\x00" + c.hash}}
	if lane != "" {
		return keys
	}
	network := ratelimit.SourceNetwork(ip)
	keys = append(keys, ratelimit.Key{Budget: b.Pair, Value: c.bucket + "\x00" + network}, ratelimit.Key{Budget: b.Source, Value: network})
	if site := ratelimit.SiteNetwork(ip); site != "" {
		keys = append(keys, ratelimit.Key{Budget: b.Site, Value: site})
	}
	if s.alarm.on(s.clock.Now()) {
		keys = append(keys, ratelimit.Key{Budget: b.Alarm, Value: network})
	}
	return keys
}

// alarm is what this instance knows about the failures of all: the count is in the database, but
// reading it at each login would cost everybody for the sake of rare days. An instance learns of
// it by the failures that it serves itself, and one that serves none has nothing to hold off.
type alarm struct{ until atomic.Int64 }

// alarmHold is how long an alarm lasts after the last failure that was too many.
const alarmHold = time.Minute

func (a *alarm) on(now time.Time) bool { return now.UnixMicro() < a.until.Load() }

// failed counts a stranger's failed check. Not being able to is no reason for another answer.
func (s *Service) failed(ctx context.Context, a attempt) {
	if a.lane != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	within, err := s.limits.Count(ctx, ratelimit.Key{Budget: s.budgets.Failures, Value: "all"})
	if err != nil {
		s.log.WarnContext(ctx, "failed sign-in not counted", "error", err)
	}
	if within || err != nil {
		return
	}
	now := s.clock.Now()
	if !s.alarm.on(now) {
		s.log.WarnContext(ctx, "unusually many sign-ins fail: until that ends, networks have fewer attempts",
			"budget", s.budgets.Failures.Limit, "per", s.budgets.Failures.Per, "attempts", s.budgets.Alarm.Limit)
	}
	s.alarm.until.Store(now.Add(alarmHold).UnixMicro())
}
