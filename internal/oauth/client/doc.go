// Package client owns the registered applications and the APIs they may ask tokens for: their
// metadata rules, redirect matching, secrets, key sets, copied logos and the cache over all of that.
// It does not authenticate requests or issue anything; internal/oauth does, with what it finds here.
// The command line, the configuration file and internal/oauth/registration write through Service;
// nothing else does.
//
// Rows have one owner each: "admin" (command line), "file" (configuration), "registration" (the client
// itself, RFC 7592) or "document" (what stands at the client_id). What the file or a document owns is
// read-only elsewhere. A client that leaves the file is disabled, never deleted,
// because deleting would also delete what its users granted.
package client
