package main

// The suite visits the provider's pages with a browser of its own and does there what its
// configuration says. These are the scripts: what to do at an address is a list of tasks, each
// for one page and skipped, where optional, on any other.

const (
	anyPage  = issuer + "/*"
	callback = suiteURL + "/test/*/callback*"
)

type (
	command []any
	script  struct {
		Match string `json:"match"`
		Limit int    `json:"match-limit,omitempty"` // visits; then the next script that matches
		Tasks []task `json:"tasks"`
	}
	task struct {
		Name     string    `json:"task"`
		Match    string    `json:"match"`
		Optional bool      `json:"optional,omitempty"`
		Commands []command `json:"commands,omitempty"`
	}
)

// What a wait does with the page it was waiting for: the suite keeps it as evidence, where a
// person would be asked for a screenshot. Not every visit of a module asks for one.
const (
	evidence      = "update-image-placeholder"
	evidenceIfDue = "update-image-placeholder-optional"
)

// refusal is on the pages about a request that cannot be answered at its return address: a wrong
// address, a pushed request that is used up, and all else.
const refusal = "wrong return address|sign-in has ended|made a mistake"

// leave waits until a form has led on from its page: on a busy machine that takes longer than a click.
func leave(step string) command {
	return command{"wait", "match", "^(?!.*/signin/[^/]*/" + step + ")", 30}
}

func see(pattern, action string) command { return command{"wait", "xpath", "//*", 10, pattern, action} }

// login fills in the form; prompt=login and max_age show it without the name field.
func login(before ...command) task {
	return task{"Login", issuer + "/signin/*/login*", true, append(before,
		command{"text", "name", "identifier", user, "optional"},
		command{"text", "name", "password", password, "optional"},
		command{"click", "css", "#main-form button.primary"}, leave("login"))}
}

func consent() task {
	return task{"Consent", issuer + "/signin/*/consent*", true, []command{{"click", "css", "button[value=allow]", "optional"}, leave("consent")}}
}

func done() task {
	return task{"Done", callback, false, []command{{"wait", "id", "submission_complete", 10}}}
}

func authorize(tasks ...task) script { return script{issuer + "/oauth2/authorize*", 0, tasks} }
func logout(tasks ...task) script    { return script{issuer + "/oauth2/logout*", 0, tasks} }

// page is a visit that ends on a page of the provider, kept as evidence.
func page(pattern string) task {
	return task{"Page", anyPage, false, []command{see(pattern, evidence)}}
}

func confirm() task {
	return task{"Confirm", issuer + "/signin/*/logout*", true, []command{{"click", "css", "button[value=leave]", "optional"}}}
}

func back() task { return task{"Back", suiteURL + "/test/*/post_logout_redirect*", false, nil} }

// watch stays on a page of the suite until it has asked our frame about the session.
func watch() script {
	return script{suiteURL + "/test/*session_verify*", 0, []task{
		{"Watch", suiteURL + "/test/*", false, []command{{"wait", "contains", "session_result", 20}}}}}
}

// usual is what most modules need: sign in, allow, return; sign out, return.
func usual() []script {
	return []script{authorize(login(), consent(), done()), logout(confirm(), back()), watch()}
}

// seenLogin keeps the second login page, which the module asked for by prompt or max_age.
func seenLogin() []script {
	return []script{authorize(login(see("Sign in", evidenceIfDue)), consent(), done())}
}

// Visits that end on a page of ours instead of at the application.
func badRequest() []script  { return []script{authorize(page(refusal))} }
func policyShown() []script { return []script{authorize(page("Privacy policy of Conformance one"))} }
func termsShown() []script  { return []script{authorize(page("Terms of Conformance one"))} }
func logoShown() []script {
	shown := page("Sign in")
	shown.Commands = append([]command{{"wait", "xpath", "//img[starts-with(@src, '/client-logo')]", 10}}, shown.Commands...)
	return []script{authorize(shown)}
}
func refusedLogout() []script {
	return []script{usual()[0], logout(page("cannot sign you out"))}
}
func signedOut() []script { return []script{usual()[0], logout(confirm(), page("signed out"))} }

// either is for a request that is refused with a page or answered, as the provider supports it.
func either() []script {
	refused := page(refusal)
	refused.Match, refused.Optional = issuer+"/oauth2/authorize*", true
	answered := done()
	answered.Optional = true
	return []script{authorize(login(), consent(), refused, answered)}
}

// reject turns back at the login page.
func reject() []script {
	return []script{authorize(task{"Cancel", issuer + "/signin/*/login*", false, []command{{"click", "css", "form[action$='/cancel'] button"}}}, done())}
}

// twice visits the login page without signing in, and again to do it.
func twice() []script {
	first := authorize(task{"Look", issuer + "/signin/*/login*", false, []command{{"wait", "name", "password", 10}}})
	first.Limit = 1
	return append([]script{first}, either()...)
}

// unusual are the modules that need another script.
var unusual = map[string]func() []script{
	"oidcc-prompt-login":                                       seenLogin,
	"oidcc-max-age-1":                                          seenLogin,
	"oidcc-ensure-registered-redirect-uri":                     badRequest,
	"oidcc-ensure-redirect-uri-in-authorization-request":       badRequest,
	"oidcc-redirect-uri-query-added":                           badRequest,
	"oidcc-redirect-uri-query-mismatch":                        badRequest,
	"oidcc-ensure-request-object-with-redirect-uri":            either,
	"fapi2-security-profile-final-user-rejects-authentication": reject,
	"fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": twice,
	"oidcc-registration-logo-uri":                                       logoShown,
	"oidcc-registration-policy-uri":                                     policyShown,
	"oidcc-registration-tos-uri":                                        termsShown,
	"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            refusedLogout,
	"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": refusedLogout,
	"oidcc-rp-initiated-logout-modified-id-token-hint":                  refusedLogout,
	"oidcc-rp-initiated-logout-bad-id-token-hint":                       refusedLogout,
	"oidcc-rp-initiated-logout-no-id-token-hint":                        refusedLogout,
	"oidcc-rp-initiated-logout-no-params":                               signedOut,
	"oidcc-rp-initiated-logout-no-post-logout-redirect-uri":             signedOut,
	"oidcc-rp-initiated-logout-only-state":                              signedOut,
}

// overrides is the part of the suite's configuration that sets single modules apart.
func overrides() map[string]any {
	out := map[string]any{}
	for module, scripts := range unusual {
		out[module] = map[string]any{"browser": scripts()}
	}
	return out
}
