// Package http1 finds the messages in one direction of an HTTP/1.x connection.
//
// In: the transfers of that direction, in order. Out: an Event for each message that begins or
// ends in a transfer, with what its head says. Content-Length and chunk sizes are followed
// through bytes that were not captured. Where a boundary lies in such bytes, the stream waits for
// a transfer that begins with a start line (or, inside a chunked body, with a chunk size) and
// counts that; an end that was concluded and not seen is marked Guessed.
// It never keeps a body, nor any header but those that Message names.
package http1
