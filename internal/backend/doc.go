// Package backend asks the target's backends what they say about themselves.
//
// In: the peers that the agent saw the target talk to. Out: one recording.Backend for each of
// the systems redis, qdrant, neo4j and ollama, with the backend's own figures under the
// backend's own names, and differences over a window as rates.
//
// It opens a connection of its own for each poll, needs no password where the backend needs
// none, asks only what costs the backend next to nothing (INFO, /metrics, count store), and not
// more often than every five seconds. It never writes, and it never guesses: a backend that
// does not answer has an error that says what to do, and no figures.
package backend
