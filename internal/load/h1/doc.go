// Package h1 is the client's side of HTTP/1.1 (RFC 9112), as lean as load needs it.
//
// In: bytes of requests that are already rendered, and what the network brings. Out: the
// status of each answer, the few header fields that change what a client does next, the body
// without its framing, and the instants at which bytes came. The parsers (Head, Body) are pure:
// no I/O, no clock, no allocation once their buffers have grown. Conn adds a connection, a
// buffer and a deadline that costs nothing while it is not reached.
//
// It never follows, decodes or judges an answer, and never sends one twice: that is its
// user's business.
package h1
