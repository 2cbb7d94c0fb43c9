// Package redis says what Redis commands and their replies mean for a request.
//
// In: commands and replies of package resp. Out: the name of a call and its cache hits.
// It never sees a key or a value.
package redis

import "github.com/ragscope/ragscope/internal/protocol/resp"

// Operation names the call that commands sent together make: the command's own name, "pipeline"
// for several, "transaction" where they are enclosed in MULTI and EXEC. "" for none.
func Operation(commands []resp.Command) string {
	switch n := len(commands); {
	case n == 0:
		return ""
	case n == 1:
		return commands[0].Name
	case commands[0].Name == "MULTI" && commands[n-1].Name == "EXEC":
		return "transaction"
	}
	return "pipeline"
}

// Lookup says how many keys a command looked up and how many of them its reply found. Both are 0
// where the command is no look-up or the reply does not tell: an error, a queued command, a reply
// of which a part was not seen.
func Lookup(c resp.Command, r resp.Reply) (lookups, hits int) {
	if c.Keys == 0 || c.Guessed || r.Guessed || r.Error != "" || r.Push || r.Kind == '+' {
		return 0, 0
	}
	switch c.Name {
	case "EXISTS", "HEXISTS":
		if r.Kind != ':' || r.Int < 0 || r.Int > int64(c.Keys) {
			return 0, 0
		}
		return c.Keys, int(r.Int)
	case "MGET", "HMGET", "JSON.MGET":
		if r.Elements != c.Keys {
			return 0, 0
		}
		return c.Keys, r.Elements - r.Nils
	case "HGETALL":
		return 1, min(1, r.Elements)
	case "GETRANGE": // an absent key answers like an empty one
		return 0, 0
	}
	if r.Nil {
		return c.Keys, 0
	}
	return c.Keys, c.Keys
}
