// Package signin is where the two halves of the house meet: the journey. A journey is an
// authorization request (or a visit to our own account pages) parked in a row while a person
// signs in, picks an account and agrees; it is frozen at creation, bound to the browser that
// started it, and every transition is a compare-and-set on its version. Next, a pure function,
// says which step is owed. The package also ends sessions together with what was issued
// under them.
//
// It owns the table journey. It knows nothing of HTML, cookies or HTTP (server/pages), of
// passwords and session rows (identity), or of codes, tokens and consent rows (oauth).
// server/pages calls it for every step, server/oidc through pages, app for the cleanup.
package signin
