package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"signet/internal/identity/account"
	"signet/internal/identity/federation"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

var upstreamFrames = map[string]string{"away": "card", "upstream": "account"}

const upstreamPath = "/account/upstream"

func (p *Pages) upstreamRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/upstream/{provider}", p.resume), // the page on the way there, reloaded
		p.post("/signin/{journey}/upstream/{provider}", p.upstreamStart),
		p.get("/signin/{journey}/unlink", p.resume),
		p.post("/signin/{journey}/unlink", p.upstreamForget),
		p.get("/upstream/{provider}/callback", p.upstreamBack),

		p.get(upstreamPath, p.upstreamList),
		p.post(upstreamPath, p.upstreamAct),
	}
}

// upstreamButton is a way to sign in through another provider.
type upstreamButton struct{ Action, Text, Last string }

// linking is an identity of another provider that waits for the owner of an account.
type linking struct{ Text, Forget, Action string }

// wayUpstream is a provider in the memory of the way used last.
func wayUpstream(provider string) string { return "fed." + provider }

// withUpstreams puts the buttons on the login page, and what waits for this sign-in to be linked.
func (p *Pages) withUpstreams(r *http.Request, page *view, v *visit) {
	if p.d.Upstreams == nil {
		return
	}
	parked := p.parked(r, v)
	page.Linking = p.linkingOf(v, parked, "link.login", "link.login_owner")
	var mine []federation.Link
	if v.owed.Again {
		var err error
		if mine, err = p.d.Upstreams.List(r.Context(), v.owed.Account.ID); err != nil {
			p.d.Log.ErrorContext(r.Context(), "no providers on this page", "error", err)
			return
		}
	}
	for _, one := range p.d.Upstreams.Providers() {
		switch {
		case parked != nil && parked.Identity.Provider == one.Name: // that is where they come from
		case v.owed.Again && !canRenew(one, mine):
		default:
			page.Upstreams = append(page.Upstreams, upstreamButton{
				Action: journeyPath(v.j.ID, "upstream/"+one.Name), Text: v.loc.T("upstream.sign_in", "Provider", one.Label),
				Last: page.Last(wayUpstream(one.Name)),
			})
		}
	}
}

// canRenew reports whether a provider can confirm that somebody who is signed in is still there:
// one that they have linked, and that can be told to ask again.
func canRenew(one federation.Provider, mine []federation.Link) bool {
	if one.Kind == federation.GitHub {
		return false
	}
	for _, l := range mine {
		if l.Provider == one.Name {
			return true
		}
	}
	return false
}

// parked returns the identity that waits in this journey, nil for none.
func (p *Pages) parked(r *http.Request, v *visit) *federation.Parked {
	thing := v.j.Parked(signin.ParkedLink)
	if thing == "" || p.d.Upstreams == nil {
		return nil
	}
	parked, err := p.d.Upstreams.Parked(r.Context(), thing)
	if err != nil {
		if !errs.Is(err, errs.NotFound) {
			p.d.Log.ErrorContext(r.Context(), "an upstream identity that waits cannot be read", "error", err)
		}
		return nil
	}
	return &parked
}

// linkingOf says what will be linked: with anybody's account, or with the one that has its address.
func (p *Pages) linkingOf(v *visit, parked *federation.Parked, anybody, owner string) *linking {
	if parked == nil {
		return nil
	}
	key := anybody
	if parked.For != "" {
		key = owner
	}
	return &linking{
		Text:   v.loc.T(key, "Provider", p.providerLabel(parked.Identity.Provider), "Who", parked.Identity.Label()),
		Forget: v.loc.T("link.forget"), Action: journeyPath(v.j.ID, "unlink"),
	}
}

func (p *Pages) providerLabel(name string) string {
	if one, ok := p.d.Upstreams.Provider(name); ok {
		return one.Label
	}
	return name
}

// upstreamStart is the button of a provider.
func (p *Pages) upstreamStart(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	hint := v.j.LoginHint()
	if parked := p.parked(r, v); parked != nil && hint == "" {
		hint = parked.Identity.Email
	}
	return p.goUpstream(w, r, v, r.PathValue("provider"), hint)
}

// goUpstream shows the page from which the browser leaves for the provider. It is a page and no
// redirect because browsers hold all the redirects after a form post against the policy of the form's
// page, and nobody knows where a provider sends people on its own ground.
func (p *Pages) goUpstream(w http.ResponseWriter, r *http.Request, v *visit, provider, hint string) error {
	in := federation.Start{
		Provider: provider, Browser: readCookie(r, cookieBrowser), Journey: v.j.ID, Hint: hint, Locale: v.loc.tag,
		Fresh: v.owed.Again, Again: asksAgain(v.j),
	}
	to, err := p.d.Upstreams.Start(r.Context(), in)
	if err != nil {
		return p.upstreamFailed(w, r, v, provider, err)
	}
	return p.showAway(w, p.page(r, v, "upstream.away"), provider, to, journeyPath(v.j.ID, "login"))
}

// asksAgain reports whether the application wants a new sign-in, whoever is signed in anywhere.
func asksAgain(j *signin.Journey) bool {
	if j.Request == nil {
		return false
	}
	for _, prompt := range j.Request.Prompt {
		if prompt == "login" {
			return true
		}
	}
	return j.Request.MaxAge != nil
}

// away is a page that moves on by itself.
type away struct{ To, Text, Button, Back string }

func (p *Pages) showAway(w http.ResponseWriter, page *view, provider, to, back string) error {
	p.fillAway(page, p.providerLabel(provider), to, back)
	// Works without script, and unlike Location is no part of the form's navigation.
	w.Header().Set("Refresh", "0; url="+to)
	return p.render(w, http.StatusOK, "away", page)
}

func (p *Pages) fillAway(page *view, label, to, back string) {
	page.Title = page.T("upstream.away", "Provider", label)
	page.Heading = page.Title
	page.Path = back
	page.Data = away{to, page.T("upstream.away_text", "Provider", label), page.T("upstream.away_go", "Provider", label), back}
}

// routed sends people on whose address belongs to a provider: their password, if they have typed one,
// is not even looked at. Somebody who has just come from a provider and proves an account here is not
// sent back.
func (p *Pages) routed(w http.ResponseWriter, r *http.Request, v *visit, typed string) (bool, error) {
	if p.d.Upstreams == nil || !strings.Contains(typed, "@") || p.parked(r, v) != nil {
		return false, nil
	}
	email, err := account.ParseEmail(typed)
	if err != nil {
		return false, nil
	}
	_, domain, _ := strings.Cut(email.Key(), "@")
	one, ok := p.d.Upstreams.ForDomain(domain)
	if !ok {
		return false, nil
	}
	return true, p.goUpstream(w, r, v, one.Name, email.String())
}

// upstreamFailed shows the login page with what went wrong: there may be another way in.
func (p *Pages) upstreamFailed(w http.ResponseWriter, r *http.Request, v *visit, provider string, err error) error {
	status, text, ok := upstreamProblem(w, v.loc, p.providerLabel(provider), err)
	if !ok {
		return p.overtaken(w, v, err)
	}
	page := p.loginView(r, v)
	page.Path = journeyPath(v.j.ID, "login")
	return p.showLogin(w, r, v, status, page.fail("", text))
}

// upstreamProblem turns a failure into a status and a sentence; ok is false for faults of ours.
func upstreamProblem(w http.ResponseWriter, loc *locale, label string, err error) (status int, text string, ok bool) {
	e := errs.As(err)
	switch e.Key {
	case federation.KeyUnreachable:
		return http.StatusServiceUnavailable, loc.T(e.Key, "Provider", label), true
	case federation.KeyDenied, federation.KeyRefused, federation.KeyNotFresh, federation.KeyTaken, federation.KeyLastWay:
		status := http.StatusUnauthorized
		if e.Kind == errs.Conflict {
			status = http.StatusConflict
		}
		return status, loc.T(e.Key, "Provider", label), true
	}
	if e.Kind == errs.Limited || e.Kind == errs.Busy {
		return attempt(w, loc, err)
	}
	return 0, "", false
}

// upstreamBack takes the answer of a provider. It comes from another site, so nothing in it counts
// but what the state proves: which browser left, for whom, and where it was.
func (p *Pages) upstreamBack(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead { // whoever only looks uses nothing up
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.Invalid, "", err)
	}
	provider := r.PathValue("provider")
	a, err := p.d.Upstreams.Callback(r.Context(), provider, readCookie(r, cookieBrowser), query)
	switch {
	case a.User != "":
		return p.upstreamLinked(w, r, provider, a, err)
	case a.Journey == "":
		return err
	case errs.Is(err, errs.Conflict): // the same answer again: a reload
		return seeOther(w, journeyPath(a.Journey, ""))
	}
	r.SetPathValue("journey", string(a.Journey))
	v, gone := p.arrive(w, r, signin.Login)
	switch {
	case v == nil || gone != nil:
		return gone
	case err != nil:
		return p.upstreamFailed(w, r, v, provider, err)
	}
	owner, err := p.d.Upstreams.Owner(r.Context(), a.Identity)
	switch {
	case err == nil:
		err = p.upstreamOwner(w, r, v, owner, a)
	case errs.Is(err, errs.NotFound):
		err = p.upstreamStranger(w, r, v, a)
	}
	if err != nil {
		return p.upstreamFailed(w, r, v, provider, err)
	}
	return nil
}

// proofOf is what a provider's answer proves.
func proofOf(user id.User, a federation.Answer) signin.Proof {
	method := session.Upstream
	if a.MFA {
		method = session.UpstreamMFA
	}
	return signin.Proof{User: user, Event: session.Event{Method: method, At: a.At, Credential: a.Identity.Provider}}
}

// upstreamOwner signs in whoever the identity belongs to.
func (p *Pages) upstreamOwner(w http.ResponseWriter, r *http.Request, v *visit, owner id.User, a federation.Answer) error {
	who, err := p.d.Accounts.ByID(r.Context(), owner)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err != nil || who.Status != account.Active {
		return errs.New(errs.Unauthenticated, federation.KeyRefused, errors.New("the account is gone or disabled"))
	}
	var out signin.Outcome
	j := *v.j
	err = p.d.DB.InTx(r.Context(), func(ctx context.Context) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		if err := p.d.Upstreams.SignedIn(ctx, owner, a.Identity); err != nil {
			return err
		}
		out, err = p.d.Journeys.Authenticated(ctx, &j, proofOf(owner, a), v.sess)
		return err
	})
	if err != nil {
		return err
	}
	v.j = &j
	usedLast(w, r, wayUpstream(a.Identity.Provider))
	return p.upstreamEntered(w, r, v, out)
}

// upstreamEntered is entered at the end of a way over another site. If the journey leads on to its
// application there is a page in between: we may be at the end of the provider's own form, whose page
// admits us by its policy and cannot know the application.
func (p *Pages) upstreamEntered(w http.ResponseWriter, r *http.Request, v *visit, out signin.Outcome) error {
	carry(w, r, out)
	if out.Session != nil {
		v.sess = out.Session
	}
	var err error
	if v.owed, err = p.d.Journeys.Decide(r.Context(), v.j, v.sess); err != nil {
		return err
	}
	if v.j.Request == nil || v.owed.Step != signin.Done && v.owed.Step != signin.Refuse {
		return p.proceed(w, r, v)
	}
	page := p.page(r, v, "upstream.returned")
	onward := journeyPath(v.j.ID, "")
	page.Path = onward
	page.Data = away{To: onward, Text: v.loc.T("upstream.returned_text"), Button: v.loc.T("upstream.returned_go")}
	w.Header().Set("Refresh", "0; url="+onward)
	return p.render(w, http.StatusOK, "away", page)
}

// upstreamStranger is for an identity that belongs to nobody. An address alone, verified or not, opens
// no account: whoever has one proves it now, in this journey, and the identity is linked with that.
func (p *Pages) upstreamStranger(w http.ResponseWriter, r *http.Request, v *visit, a federation.Answer) error {
	i := a.Identity
	one, _ := p.d.Upstreams.Provider(i.Provider)
	if i.Verified {
		who, err := p.owner(r.Context(), i.Email)
		switch {
		case err == nil:
			return p.park(w, r, v, federation.Parked{Identity: i, For: who.ID}, "login")
		case !errs.Is(err, errs.NotFound):
			return err
		case one.Create:
			return p.upstreamJoin(w, r, v, a)
		}
		return p.park(w, r, v, federation.Parked{Identity: i}, "login")
	}
	page := "login"
	if one.Create {
		d, err := p.door(r)
		if err != nil {
			return err
		}
		if d.shut == "" {
			page = "signup"
		}
	}
	return p.park(w, r, v, federation.Parked{Identity: i}, page)
}

// owner finds the account with an address that a provider tells. What is no address finds nobody: it
// could be somebody's username.
func (p *Pages) owner(ctx context.Context, address string) (account.Account, error) {
	if _, err := account.ParseEmail(address); err != nil {
		return account.Account{}, errs.New(errs.NotFound, "", err)
	}
	return p.d.Accounts.ByIdentifier(ctx, address)
}

// park makes the identity wait for the owner of an account.
func (p *Pages) park(w http.ResponseWriter, r *http.Request, v *visit, parked federation.Parked, page string) error {
	j := *v.j
	err := p.d.DB.InTx(r.Context(), func(ctx context.Context) error {
		j = *v.j // as it was, should the transaction be tried again
		thing, err := p.d.Upstreams.Park(ctx, parked)
		if err != nil {
			return err
		}
		return p.d.Journeys.Park(ctx, &j, signin.ParkedLink, thing)
	})
	if err != nil {
		return err
	}
	return seeOther(w, journeyPath(v.j.ID, page))
}

// upstreamForget is the button of somebody who does not want to link anything.
func (p *Pages) upstreamForget(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	if err := p.d.Journeys.Park(r.Context(), v.j, signin.ParkedLink, ""); err != nil {
		return p.overtaken(w, v, err)
	}
	return p.proceed(w, r, v)
}

// upstreamJoin makes an account for somebody whose provider vouches for their address, under the
// rules of sign-up.
func (p *Pages) upstreamJoin(w http.ResponseWriter, r *http.Request, v *visit, a federation.Answer) error {
	_, invitation, err := p.invitation(r)
	if err != nil {
		return err
	}
	i := a.Identity
	in := account.NewAccount{
		Email: i.Email, EmailVerified: true, Username: i.Username, Source: "upstream",
		Profile: account.Profile{Name: i.Name, GivenName: i.GivenName, FamilyName: i.FamilyName, Picture: i.Picture, Locale: v.loc.tag},
	}
	var out signin.Outcome
	j := *v.j
	enter := func(ctx context.Context, made account.Account) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		if _, err := p.d.Upstreams.Link(ctx, made.ID, i); err != nil {
			return err
		}
		proof := proofOf(made.ID, a)
		proof.New = true
		out, err = p.d.Journeys.Authenticated(ctx, &j, proof, v.sess)
		return err
	}
	for {
		_, err = p.d.Accounts.Join(r.Context(), in, account.Admission{Invitation: invitation}, enter)
		if err == nil || !mend(&in, err) {
			break
		}
	}
	e := errs.As(err)
	switch {
	case err == nil:
	case e.Key == account.KeyEmailTaken: // by somebody else, a moment ago
		return p.park(w, r, v, federation.Parked{Identity: i}, "login")
	case e.Key == federation.KeyTaken || e.Kind == errs.Conflict && e.Field == "":
		return errs.New(errs.Conflict, "", err) // the same person twice at once: go where the other one led
	case e.Kind == errs.Forbidden || turnedAwayPages[e.Key] != "" || e.Kind == errs.Invalid:
		return p.turnedAway(w, r, v.loc, e.Key, journeyPath(v.j.ID, "login"))
	default:
		return err
	}
	invitationUsed(w, r)
	v.j = &j
	usedLast(w, r, wayUpstream(i.Provider))
	return p.upstreamEntered(w, r, v, out)
}

// mend drops from in what the provider says and our rules do not admit, a username that is taken for
// one: the person can choose another later. It reports whether it is worth another try.
func mend(in *account.NewAccount, err error) bool {
	fields := map[string]*string{
		"username": &in.Username, "name": &in.Profile.Name, "given_name": &in.Profile.GivenName, "family_name": &in.Profile.FamilyName,
		"picture": &in.Profile.Picture,
	}
	dropped := false
	for _, e := range fieldErrors(err) {
		field := fields[e.Field]
		if field == nil {
			return false
		}
		dropped = dropped || *field != ""
		*field = ""
	}
	return dropped
}
