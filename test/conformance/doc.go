// Command conformance runs the OpenID Foundation's conformance suite against `signet serve`, all on
// this machine: it starts the suite, a TLS front for it and the provider, creates the test plans,
// drives their modules, and judges the results by expected.json. README.md says how to use it.
package main
