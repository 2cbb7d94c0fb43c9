// Package neo4j says what Bolt messages mean for a request.
//
// In: messages of package bolt. Out: the name of a call, whether a message ends it, the class of
// its error. It never sees a query, a parameter or a record.
package neo4j

import (
	"strings"

	"github.com/ragscope/ragscope/internal/protocol/bolt"
)

// Operation names what a message of the driver asks for: the query's leading clause for RUN, the
// message's own name for the others. "" for messages that belong to a call under way (PULL,
// DISCARD) or to the connection (Handshake).
func Operation(m bolt.Message) string {
	switch m.Kind {
	case "RUN":
		return m.Operation
	case "BEGIN", "COMMIT", "ROLLBACK", "ROUTE", "RESET":
		return m.Kind
	}
	return ""
}

// Handshake reports whether a message belongs to the making or ending of a connection.
func Handshake(m bolt.Message) bool {
	switch m.Kind {
	case "HELLO", "LOGON", "LOGOFF", "GOODBYE", "TELEMETRY":
		return true
	}
	return false
}

// Answers is how many closing answers (see Closes) a message of the driver gets.
func Answers(m bolt.Message) int {
	if m.Kind == "GOODBYE" {
		return 0
	}
	return 1
}

// Closes reports whether a message of the server answers one of the driver's to its end: each
// gets one SUCCESS, FAILURE or IGNORED; a PULL's records come before it.
func Closes(m bolt.Message) bool { return m.Kind != "RECORD" }

// Error is the last word of a failure's code, "SyntaxError" of
// "Neo.ClientError.Statement.SyntaxError"; "FAILURE" where the code was not seen, "" for no failure.
func Error(m bolt.Message) string {
	if m.Kind != "FAILURE" {
		return ""
	}
	if s := m.Code[strings.LastIndexByte(m.Code, '.')+1:]; s != "" {
		return s
	}
	return "FAILURE"
}
