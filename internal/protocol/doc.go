// Package protocol is the ground of the rooms that turn bytes into messages: http1, http2, resp,
// bolt; above them redis, qdrant, neo4j, llm, peer. (chunked and lines are what several of
// them share; wiretest holds captured connections for their tests.)
//
// In: Piece values, the transfers of one direction of one connection in order, as far as the
// kernel captured them. Out: what the protocol says: messages begun and ended, names, statuses,
// counts. The rooms are pure (no I/O, no clock, no goroutine), do bounded work on any input,
// never panic, and keep no argument, header value or body beyond what their types name.
//
// Bytes are missing by design: a parser follows message boundaries across a gap where a length
// is known, else it waits for the next transfer that begins like a message, and counts that (Lost).
// Slices that a Feed returns are valid until the next Feed of the same stream.
package protocol
