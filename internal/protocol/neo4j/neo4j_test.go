package neo4j

import (
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/bolt"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

func TestOperation(t *testing.T) {
	for want, m := range map[string]bolt.Message{"MATCH": {Kind: "RUN", Operation: "MATCH"}, "COMMIT": {Kind: "COMMIT"}, "": {Kind: "PULL"}} {
		if got := Operation(m); got != want {
			t.Errorf("%v: %q, want %q", m, got, want)
		}
	}
	if Handshake(bolt.Message{Kind: "RUN"}) || !Handshake(bolt.Message{Kind: "LOGON"}) {
		t.Error("the handshake is HELLO and LOGON, not RUN")
	}
}

func TestError(t *testing.T) {
	for want, m := range map[string]bolt.Message{"SyntaxError": {Kind: "FAILURE", Code: "Neo.ClientError.Statement.SyntaxError"}, "FAILURE": {Kind: "FAILURE"}, "": {Kind: "SUCCESS"}} {
		if got := Error(m); got != want {
			t.Errorf("%v: %q, want %q", m, got, want)
		}
	}
}

// TestCapturedAnswers: each message of a real driver has its closing answer.
func TestCapturedAnswers(t *testing.T) {
	c, s := bolt.NewClient(), bolt.NewServer()
	open := 0
	for _, r := range wiretest.Read(t, "bolt.cap") {
		if r.FromClient {
			for _, m := range c.Feed(protocol.Whole(r.Bytes)) {
				open += Answers(m)
			}
			continue
		}
		for _, m := range s.Feed(protocol.Whole(r.Bytes)) {
			if Closes(m) {
				open--
			}
		}
		if open < 0 {
			t.Fatal("more answers than messages")
		}
	}
	if open != 0 {
		t.Errorf("%d messages without an answer", open)
	}
}
