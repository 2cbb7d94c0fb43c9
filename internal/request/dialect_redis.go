package request

import (
	"strings"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/redis"
	"github.com/ragscope/ragscope/internal/protocol/resp"
)

// redisDialect is Redis. Commands written together are one call, a pipeline or a transaction; each
// waits for its reply, which tells what it found.
type redisDialect struct {
	commands *resp.Commands
	replies  *resp.Replies
	awaiting []resp.Command // the oldest first, bounded by maxPending
	begun    []begun
	answers  []answer
}

func newRedisDialect() *redisDialect {
	return &redisDialect{commands: resp.NewCommands(), replies: resp.NewReplies()}
}

func (d *redisDialect) system() string { return "redis" }
func (d *redisDialect) lost() int      { return d.commands.Lost() + d.replies.Lost() }
func (d *redisDialect) forget()        { d.awaiting = d.awaiting[:0] }

func (d *redisDialect) miss() {
	d.commands.Miss()
	d.replies.Miss()
	clear(d.awaiting) // which reply is whose is not known any more, how many there are is
}

func (d *redisDialect) sent(p protocol.Piece) []begun {
	d.begun = d.begun[:0]
	commands := d.commands.Feed(p)
	for len(commands) > 0 {
		n, first := 1, prepares(commands[0])
		for n < len(commands) && prepares(commands[n]) == first {
			n++
		}
		d.begun = append(d.begun, begun{operation: redis.Operation(commands[:n]), answers: n, handshake: first})
		d.await(commands[:n])
		commands = commands[n:]
	}
	return d.begun
}

// prepares reports whether a command makes a connection ready; clients do so with ever new
// subcommands of CLIENT.
func prepares(c resp.Command) bool { return c.Handshake || strings.HasPrefix(c.Name, "CLIENT") }

func (d *redisDialect) await(commands []resp.Command) {
	if len(d.awaiting)+len(commands) > maxPending { // no longer in step with the replies
		d.forget()
		return
	}
	d.awaiting = append(d.awaiting, commands...)
}

func (d *redisDialect) received(p protocol.Piece) []answer {
	d.answers = d.answers[:0]
	for _, r := range d.replies.Feed(p) {
		if r.Push && (len(d.awaiting) == 0 || !d.awaiting[0].PubSub) {
			continue // a message; but a subscription is confirmed by a push
		}
		a := answer{err: r.Error}
		if len(d.awaiting) > 0 {
			a.lookups, a.hits = redis.Lookup(d.awaiting[0], r)
			d.awaiting = append(d.awaiting[:0], d.awaiting[1:]...)
		}
		d.answers = append(d.answers, a)
	}
	return d.answers
}
