package request

import (
	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/bolt"
	"github.com/ragscope/ragscope/internal/protocol/neo4j"
)

// boltDialect is Neo4j. Messages written together are one call, named by its query's clause.
type boltDialect struct {
	client  *bolt.Client
	server  *bolt.Server
	begun   []begun
	answers []answer
	due     int // answers that are to come
}

func newBoltDialect() *boltDialect {
	return &boltDialect{client: bolt.NewClient(), server: bolt.NewServer()}
}

func (d *boltDialect) system() string { return "neo4j" }
func (d *boltDialect) lost() int      { return d.client.Lost() + d.server.Lost() }
func (d *boltDialect) miss()          { d.client.Miss(); d.server.Miss() }
func (d *boltDialect) forget()        { d.due = 0 }

func (d *boltDialect) sent(p protocol.Piece) []begun {
	d.begun = d.begun[:0]
	named := false // the newest call by a query
	for _, m := range d.client.Feed(p) {
		n := neo4j.Answers(m)
		if n == 0 {
			continue
		}
		d.due += n
		first, query := neo4j.Handshake(m), m.Kind == "RUN"
		if k := len(d.begun); k > 0 && d.begun[k-1].handshake == first {
			b := &d.begun[k-1]
			b.answers += n
			if query && !named {
				b.operation, named = neo4j.Operation(m), true
			}
			continue
		}
		name := neo4j.Operation(m)
		if name == "" {
			name = m.Kind // the rest of a query's records, asked for alone
		}
		d.begun = append(d.begun, begun{operation: name, answers: n, handshake: first})
		named = query
	}
	return d.begun
}

func (d *boltDialect) received(p protocol.Piece) []answer {
	d.answers = d.answers[:0]
	for _, m := range d.server.Feed(p) {
		if neo4j.Closes(m) {
			d.answers = append(d.answers, answer{err: neo4j.Error(m)})
		}
	}
	if d.due = max(0, d.due-len(d.answers)); d.due == 0 {
		d.server.Excuse() // what was passed over were records: all answers are there
	}
	return d.answers
}
