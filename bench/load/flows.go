package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Flow is one thing that clients do with a provider.
type Flow struct {
	Name      string
	About     string
	NeedsUser bool // signs users in
	// Prepare does what must be there before the clock starts (sign-ins, first tokens) and
	// returns one operation per worker. Count is the number of operations that flows which
	// consume something must prepare; others ignore it.
	Prepare func(ctx context.Context, t *Target, workers, count int) ([]Op, error)
	// Bare returns the operations of the same flow sent to an endpoint that answers every
	// request with a fixed body; nil for flows of more than one request.
	Bare func(t *Target, endpoint string) Op
}

// Flows lists all flows in the order of the report.
func Flows() []Flow {
	return []Flow{
		{
			Name: "discovery", About: "GET the discovery document",
			Prepare: same(func(t *Target) Op { return t.getOp(t.Meta.Discovery) }),
			Bare:    (*Target).getOp,
		},
		{
			Name: "jwks", About: "GET the signing keys",
			Prepare: same(func(t *Target) Op { return t.getOp(t.Meta.JWKS) }),
			Bare:    (*Target).getOp,
		},
		{
			Name: "client_credentials", About: "a token for the client itself",
			Prepare: same(func(t *Target) Op { return t.clientCredentialsOp(t.Meta.Token) }),
			Bare:    (*Target).clientCredentialsOp,
		},
		{
			Name: "introspect", About: "ask whether an access token is live",
			Prepare: prepareIntrospect,
			Bare:    func(t *Target, endpoint string) Op { return t.introspectOp(endpoint, random()+random()) },
		},
		{
			Name: "authorize", NeedsUser: true, About: "a signed-in browser asks for a code",
			Prepare: prepareAuthorize,
		},
		{
			Name: "exchange", NeedsUser: true, About: "redeem a code (codes are fetched before the clock starts)",
			Prepare: prepareExchange,
			Bare:    bareExchange,
		},
		{
			Name: "code", NeedsUser: true, About: "a signed-in browser: authorize, code, tokens",
			Prepare: prepareCode,
		},
		{
			Name: "refresh", NeedsUser: true, About: "each worker refreshes a token family of its own",
			Prepare: prepareRefresh,
			Bare:    bareRefresh,
		},
		{
			Name: "refresh-burst", NeedsUser: true, About: "one operation: all workers present the same refresh token at once",
			Prepare: prepareBurst,
		},
		{
			Name: "login", NeedsUser: true, About: "a new browser: login page, password, code, tokens",
			Prepare: same(func(t *Target) Op { return t.loginOp() }),
		},
	}
}

// Find returns the flow with the name.
func Find(name string) (Flow, error) {
	all := Flows()
	if i := slices.IndexFunc(all, func(f Flow) bool { return f.Name == name }); i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	return Flow{}, fmt.Errorf("no flow %q; there are: %s", name, strings.Join(names, ", "))
}

// same prepares a flow whose workers share nothing and need nothing.
func same(op func(*Target) Op) func(context.Context, *Target, int, int) ([]Op, error) {
	return func(_ context.Context, t *Target, workers, _ int) ([]Op, error) {
		ops := make([]Op, workers)
		for i := range ops {
			ops[i] = op(t)
		}
		return ops, nil
	}
}

// each prepares the workers a few at a time: a sign-in costs the provider a password hash.
func each(ctx context.Context, workers int, prepare func(ctx context.Context, worker int) (Op, error)) ([]Op, error) {
	ops := make([]Op, workers)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range ops {
		g.Go(func() (err error) {
			ops[i], err = prepare(ctx, i)
			return err
		})
	}
	return ops, g.Wait()
}

func (t *Target) getOp(u string) Op {
	return func(ctx context.Context) error {
		body, err := t.fetch(ctx, u)
		if err == nil && len(body) == 0 {
			return failure("bad answer", "empty body")
		}
		return err
	}
}

func (t *Target) clientCredentialsOp(endpoint string) Op {
	return func(ctx context.Context) error {
		_, err := t.clientCredentials(ctx, endpoint)
		return err
	}
}

func (t *Target) introspectOp(endpoint, token string) Op {
	return func(ctx context.Context) error { return t.introspect(ctx, endpoint, token) }
}

func prepareIntrospect(ctx context.Context, t *Target, workers, _ int) ([]Op, error) {
	return each(ctx, workers, func(ctx context.Context, w int) (Op, error) {
		var token Tokens
		var err error
		if t.Users != nil {
			token, err = t.signIn(ctx, w)
		} else {
			token, err = t.clientCredentials(ctx, t.Meta.Token)
		}
		return t.introspectOp(t.Meta.Introspection, token.AccessToken), err
	})
}

// signIn walks the whole way with a new browser.
func (t *Target) signIn(ctx context.Context, user int) (Tokens, error) {
	g, err := t.newBrowser().authorize(ctx, user)
	if err != nil {
		return Tokens{}, err
	}
	return t.exchange(ctx, t.Meta.Token, g)
}

func (t *Target) loginOp() Op {
	next := loginUser()
	return func(ctx context.Context) error {
		_, err := t.signIn(ctx, next())
		return err
	}
}

// mix gives each worker another starting point in the list of users.
var mix atomic.Int64

// loginUser spreads logins over all users, as different people do.
func loginUser() func() int {
	n := int(mix.Add(1)) * 7919
	return func() int { n += 104729; return n }
}

// signedIn returns a browser that has a session.
func (t *Target) signedIn(ctx context.Context, user int) (*browser, error) {
	b := t.newBrowser()
	g, err := b.authorize(ctx, user)
	if err != nil {
		return nil, err
	}
	_, err = t.exchange(ctx, t.Meta.Token, g)
	return b, err
}

func prepareAuthorize(ctx context.Context, t *Target, workers, _ int) ([]Op, error) {
	return each(ctx, workers, func(ctx context.Context, w int) (Op, error) {
		b, err := t.signedIn(ctx, w)
		return func(ctx context.Context) error {
			_, err := b.authorize(ctx, -1)
			return err
		}, err
	})
}

func prepareCode(ctx context.Context, t *Target, workers, _ int) ([]Op, error) {
	return each(ctx, workers, func(ctx context.Context, w int) (Op, error) {
		b, err := t.signedIn(ctx, w)
		return func(ctx context.Context) error {
			g, err := b.authorize(ctx, -1)
			if err != nil {
				return err
			}
			_, err = t.exchange(ctx, t.Meta.Token, g)
			return err
		}, err
	})
}

func prepareExchange(ctx context.Context, t *Target, workers, count int) ([]Op, error) {
	if count <= 0 {
		count = 500
	}
	browsers := make([]*browser, workers)
	_, err := each(ctx, workers, func(ctx context.Context, w int) (op Op, err error) {
		browsers[w], err = t.signedIn(ctx, w)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return exchangeOps(ctx, t, browsers, count)
}

// exchangeOps fetches count codes with the browsers and returns operations that redeem
// them until none is left.
func exchangeOps(ctx context.Context, t *Target, browsers []*browser, count int) ([]Op, error) {
	codes := make(chan codeGrant, count)
	g, gctx := errgroup.WithContext(ctx)
	for w, b := range browsers {
		n := count / len(browsers)
		if w < count%len(browsers) {
			n++
		}
		g.Go(func() error {
			for range n {
				c, err := b.authorize(gctx, -1)
				if err != nil {
					return err
				}
				codes <- c
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	close(codes)
	ops := make([]Op, len(browsers))
	for i := range ops {
		ops[i] = func(ctx context.Context) error {
			c, ok := <-codes
			if !ok {
				return ErrDone
			}
			_, err := t.exchange(ctx, t.Meta.Token, c)
			return err
		}
	}
	return ops, nil
}

func bareExchange(t *Target, endpoint string) Op {
	return func(ctx context.Context) error {
		_, err := t.exchange(ctx, endpoint, codeGrant{random(), random()})
		return err
	}
}

func bareRefresh(t *Target, endpoint string) Op {
	token := random()
	return func(ctx context.Context) error {
		_, err := t.refresh(ctx, endpoint, token)
		return err
	}
}

func prepareRefresh(ctx context.Context, t *Target, workers, _ int) ([]Op, error) {
	return each(ctx, workers, func(ctx context.Context, w int) (Op, error) {
		token, err := t.family(ctx, w)
		return func(ctx context.Context) error {
			next, err := t.refresh(ctx, t.Meta.Token, token)
			if err != nil {
				return t.refreshFailed(ctx, err, w, &token)
			}
			if next.RefreshToken != "" {
				token = next.RefreshToken
			}
			return nil
		}, err
	})
}

// family signs a user in and returns the refresh token.
func (t *Target) family(ctx context.Context, user int) (string, error) {
	tokens, err := t.signIn(ctx, user)
	if err == nil && tokens.RefreshToken == "" {
		err = errors.New("the provider gave no refresh token: is offline_access in the scope and allowed to the client?")
	}
	return tokens.RefreshToken, err
}

// refreshFailed tells a failed request, after which a careful client tries the same token
// again, from a lost token: the family is dead though its client did nothing wrong. A new
// family takes the place of a lost one so that the run goes on.
func (t *Target) refreshFailed(ctx context.Context, err error, user int, token *string) error {
	f, ok := errors.AsType[*Failure](err)
	if !ok || !strings.HasSuffix(f.Kind, " invalid_grant") {
		return err
	}
	f.Lost = true
	if next, err := t.family(ctx, user); err == nil {
		*token = next
	}
	return f
}

// prepareBurst makes one operation that presents the same refresh token from all workers at
// the same time, as the tabs of one application do, and goes on with the successor. Whatever
// the provider answers to the late ones, an honest family must live on.
func prepareBurst(ctx context.Context, t *Target, workers, _ int) ([]Op, error) {
	token, err := t.family(ctx, 0)
	if err != nil {
		return nil, err
	}
	return []Op{func(ctx context.Context) error {
		answers := make([]Tokens, workers)
		errs := make([]error, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { answers[i], errs[i] = t.refresh(ctx, t.Meta.Token, token) })
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				return t.refreshFailed(ctx, err, 0, &token)
			}
			if next := answers[i].RefreshToken; next != "" {
				token = next
			}
		}
		return nil
	}}, nil
}
