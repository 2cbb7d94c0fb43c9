// Package resp reads the Redis serialisation protocol, versions 2 and 3, in both directions.
//
// In: the transfers of one direction of a connection, in order. Out: the commands, or the
// replies, whose last byte was moved by a transfer. Announced lengths are followed through bytes
// that were not captured. Where such bytes hold a boundary, the rest of the transfer is not
// understood; that is counted, and the stream goes on with the next transfer that begins like a
// command or reply. It keeps command names, counts and error words, never an argument or a value.
package resp
