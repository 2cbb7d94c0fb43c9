// Package bolt reads Neo4j's Bolt protocol, versions 4 and 5, in both directions.
//
// In: the transfers of one direction of a connection, in order. Out: the messages whose last byte
// was moved by a transfer. Chunk sizes are followed through bytes that were not captured. Where
// such bytes hold a chunk's end (a long list of records, as a rule), the stream looks for a run of
// complete messages that ends exactly with the transfer, else waits for a transfer that begins
// like a message; both are counted. Of a query it keeps the kind of its leading clause, of a
// failure the code; never a literal, a parameter, a record or a credential.
//
// Format: https://neo4j.com/docs/bolt/current/ (message chunking, PackStream, handshake manifest).
package bolt
