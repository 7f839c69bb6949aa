// Package pages has everything that people see: sign-in and sign-up, the account chooser,
// consent, sign-out, the account pages, and errors. Pages are rendered on the server, complete
// without script, in English and Korean. The package parses forms, sets the cookies, calls
// internal/signin for every step of a journey and the identity services for accounts, and
// renders; it holds no rules and no SQL. Which page comes next is never its choice but
// signin.Next's. internal/app mounts its routes, internal/server/oidc hands it checked
// protocol requests.
package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/federation"
	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/mail"
	"signet/internal/platform/store"
	"signet/internal/server"
	"signet/internal/signin"
)

// Deps is what Pages needs.
type Deps struct {
	// Issuer is the public origin; its host is shown in the foot of every page.
	Issuer string
	// Name is what the service calls itself on its pages; "" means Signet.
	Name string
	// Locale is the language for people who ask for none that we speak; "" means en.
	Locale string
	// Dev makes error pages show developers what was received and what is registered.
	Dev bool
	// MinPassword is the least length of a new password, for the text that says so.
	MinPassword int
	// MailCode offers a code by mail instead of the password.
	MailCode bool
	// Brand is the operator's own look.
	Brand Brand

	Clock     clock.Clock
	Journeys  *signin.Service
	Accounts  *account.Service
	Sessions  *session.Service
	MFA       *mfa.Service
	Devices   *device.Service
	Passkeys  *passkey.Service // nil: there are none
	Upstreams *federation.Service
	Notices   *notice.Service
	Mail      *mail.Service
	Engine    *oauth.Engine
	Clients   *client.Service
	Audit     *audit.Log
	DB        *store.DB // for acts that several services make together
	Log       *slog.Logger
}

// Pages is the set of handlers. It is safe for concurrent use.
type Pages struct {
	d     Deps
	host  string
	texts *texts
	views views
	files *static
	brand *brand

	signUps account.SignUpPolicy
}

// New returns Pages, with every template parsed and every language loaded.
func New(d Deps) (*Pages, error) {
	for name, missing := range map[string]bool{
		"Clock": d.Clock == nil, "Journeys": d.Journeys == nil, "Accounts": d.Accounts == nil, "Sessions": d.Sessions == nil,
		"MFA": d.MFA == nil, "Devices": d.Devices == nil, "Upstreams": d.Upstreams == nil, "Notices": d.Notices == nil,
		"Mail": d.Mail == nil, "Audit": d.Audit == nil, "DB": d.DB == nil,
		"Engine": d.Engine == nil, "Clients": d.Clients == nil, "Log": d.Log == nil,
	} {
		if missing {
			return nil, errors.New("pages: missing dependency " + name)
		}
	}
	p, err := build(d)
	if err == nil {
		p.signUps = d.Accounts.Policy()
	}
	return p, err
}

// build is New without services: what rendering needs.
func build(d Deps) (*Pages, error) {
	u, err := url.Parse(d.Issuer)
	if err != nil || u.Host == "" {
		return nil, errors.New("pages: Deps.Issuer is not an origin")
	}
	if d.Name == "" {
		d.Name = "Signet"
	}
	if d.MinPassword == 0 {
		d.MinPassword = 15
	}
	p := &Pages{d: d, host: u.Host}
	if p.texts, err = loadTexts(d.Locale); err != nil {
		return nil, err
	}
	css, err := joined(".css")
	if err != nil {
		return nil, err
	}
	if p.brand, err = loadBrand(d.Brand, string(css), d.Log); err != nil {
		return nil, err
	}
	if p.files, err = loadStatic(p.brand); err != nil {
		return nil, err
	}
	if p.views, err = newViews(); err != nil {
		return nil, err
	}
	return p, nil
}

// Locales lists the languages that the pages speak, for discovery.
func (p *Pages) Locales() []string { return tagNames() }

// Routes is the site map: one list per area, each beside its handlers.
func (p *Pages) Routes() []server.Route {
	return slices.Concat(
		p.coreRoutes(),
		p.signUpRoutes(), p.verifyRoutes(), p.landingRoutes(), p.inviteRoutes(), p.termsRoutes(),
		p.recoveryRoutes(), p.mailCodeRoutes(), p.addressRoutes(), p.notMeRoutes(), p.activityRoutes(), p.dataRoutes(),
		p.deviceRoutes(), p.askedRoutes(), p.mfaRoutes(), p.enrollRoutes(), p.securityRoutes(),
		p.clientLogoRoutes(), p.passkeyRoutes(), p.upstreamRoutes(), p.mailboxRoutes(), p.brandingRoutes(),
	)
}

// get and post make the routes of pages.
func (p *Pages) get(path string, h server.HandlerFunc) server.Route {
	return server.Route{Method: http.MethodGet, Path: path, Area: server.Browser, Handler: p.sourced(h)}
}

func (p *Pages) post(path string, h server.HandlerFunc) server.Route {
	return server.Route{Method: http.MethodPost, Path: path, Area: server.Browser, Handler: p.sourced(h)}
}

func (p *Pages) coreRoutes() []server.Route {
	return []server.Route{
		p.get("/", p.home),
		p.get("/login", p.startLogin),
		p.get("/signup", p.startSignUp),

		p.get("/signin/{journey}", p.resume),
		p.get("/signin/{journey}/login", p.loginForm),
		p.post("/signin/{journey}/login", p.loginPassword),
		p.get("/signin/{journey}/select", p.selectForm),
		p.post("/signin/{journey}/select", p.selectAccount),
		p.get("/signin/{journey}/consent", p.consentForm),
		p.post("/signin/{journey}/consent", p.consentAnswer),
		p.post("/signin/{journey}/cancel", p.cancel),
		p.get("/signin/{journey}/logout", p.leaveForm),
		p.post("/signin/{journey}/logout", p.leave),

		p.get("/logout", p.logoutForm),
		p.post("/logout", p.logout),
		p.get("/logged-out", p.loggedOut),

		p.get("/account", p.overview),
		p.get("/account/profile", p.profileForm),
		p.post("/account/profile", p.profileSave),
		p.get("/account/username", p.usernameForm),
		p.post("/account/username", p.usernameSave),
		p.get("/account/password", p.passwordForm),
		p.post("/account/password", p.passwordChange),
		p.get("/account/sessions", p.sessionList),
		p.post("/account/sessions", p.sessionEnd),
		p.get("/account/applications", p.applicationList),
		p.post("/account/applications", p.applicationRevoke),
		p.get("/.well-known/change-password", p.changePassword),

		p.post("/locale", p.switchLanguage),
		p.get("/static/{file}", p.files.serve),
	}
}

// sourced notes where a request comes from: for the audit log, and from which known browser.
func (p *Pages) sourced(h server.HandlerFunc) server.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return h(w, withSource(r))
	}
}

func withSource(r *http.Request) *http.Request {
	ctx := r.Context()
	if audit.SourceOf(ctx) == (audit.Source{}) {
		ctx = audit.WithSource(ctx, audit.Source{IP: server.ClientIP(r), UserAgent: r.UserAgent(), RequestID: server.RequestID(r)})
	}
	return r.WithContext(device.WithCookie(ctx, readCookie(r, cookieDevice)))
}

// seeOther sends the browser on with a GET. to is always a path of ours or an address that a
// journey froze after it was checked (never input).
func seeOther(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// home is the front door for people who typed the address.
func (p *Pages) home(w http.ResponseWriter, _ *http.Request) error { return seeOther(w, "/account") }

// changePassword is the well-known address that password managers open (W3C change-password-url).
func (p *Pages) changePassword(w http.ResponseWriter, _ *http.Request) error {
	return seeOther(w, "/account/password")
}

// initial is the letter on the tile of an application or person.
func initial(name string) string {
	for _, r := range strings.TrimSpace(name) {
		return strings.ToUpper(string(r))
	}
	return "·"
}
