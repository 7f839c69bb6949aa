// Command signet is the identity provider: one binary, one process kind. Each subcommand has
// its file; none of them holds rules.
package main

func main() {}
