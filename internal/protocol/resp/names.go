package resp

// traits of a command. keys says how many keys it looks up: n ≥ 0 so many, else one of the rules below.
type traits struct {
	name      string
	container bool // its first argument is a subcommand and part of its name
	keys      int
	blocking  bool
	pubsub    bool
	handshake bool
}

const (
	everyArgument    = -1 // MGET a b c
	afterTheFirst    = -2 // HMGET key f g: each field is a look-up
	everyButTheLast  = -3 // JSON.MGET a b path
	longestName      = 24
	maxCommandParts  = 1 << 20 // Redis's own bound is 1,048,576 arguments
	maxInlineCommand = 64 << 10
)

var commands = func() map[string]*traits {
	m := map[string]*traits{}
	add := func(f func(*traits), names ...string) {
		for _, n := range names {
			if m[n] == nil {
				m[n] = &traits{name: n}
			}
			f(m[n])
		}
	}
	add(func(t *traits) { t.keys = 1 }, "GET", "HGET", "GETEX", "GETDEL", "GETRANGE", "HGETALL", "HEXISTS", "JSON.GET")
	add(func(t *traits) { t.keys = everyArgument }, "MGET", "EXISTS")
	add(func(t *traits) { t.keys = afterTheFirst }, "HMGET")
	add(func(t *traits) { t.keys = everyButTheLast }, "JSON.MGET")
	add(func(t *traits) { t.blocking = true }, "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "WAITAOF")
	add(func(t *traits) { t.pubsub = true }, "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR")
	add(func(t *traits) { t.handshake = true }, "AUTH", "HELLO", "SELECT", "CLIENT SETINFO", "CLIENT SETNAME")
	add(func(t *traits) { t.container = true }, "CLIENT", "CONFIG", "SCRIPT", "CLUSTER", "COMMAND", "MEMORY", "OBJECT", "XGROUP", "XINFO", "ACL", "FUNCTION",
		"LATENCY", "SLOWLOG", "PUBSUB", "MODULE", "DEBUG")
	add(func(*traits) {}, "SET", "SETEX", "SETNX", "PSETEX", "MSET", "GETSET", "APPEND", "STRLEN", "DEL", "UNLINK", "EXPIRE", "PEXPIRE", "TTL", "PTTL", "PERSIST", "TYPE", "KEYS", "SCAN", "RENAME",
		"INCR", "INCRBY", "INCRBYFLOAT", "DECR", "DECRBY", "SETRANGE", "SETBIT", "GETBIT", "BITCOUNT",
		"HSET", "HSETNX", "HMSET", "HDEL", "HKEYS", "HVALS", "HLEN", "HINCRBY", "HSCAN",
		"LPUSH", "RPUSH", "LPOP", "RPOP", "LLEN", "LRANGE", "LINDEX", "LTRIM", "LREM", "LMOVE", "RPOPLPUSH",
		"SADD", "SREM", "SMEMBERS", "SISMEMBER", "SMISMEMBER", "SCARD", "SPOP", "SRANDMEMBER", "SINTER", "SUNION", "SDIFF", "SSCAN",
		"ZADD", "ZREM", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZSCORE", "ZRANK", "ZCARD", "ZCOUNT", "ZINCRBY", "ZREMRANGEBYSCORE", "ZREMRANGEBYRANK", "ZPOPMIN", "ZPOPMAX", "ZSCAN",
		"XADD", "XREAD", "XREADGROUP", "XACK", "XRANGE", "XREVRANGE", "XLEN", "XTRIM", "XDEL", "XPENDING", "XCLAIM", "XAUTOCLAIM",
		"PUBLISH", "SPUBLISH", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH",
		"PING", "ECHO", "QUIT", "RESET", "INFO", "TIME", "DBSIZE", "FLUSHDB", "FLUSHALL", "ROLE", "READONLY", "READWRITE", "ASKING",
		"PFADD", "PFCOUNT", "GEOADD", "GEOSEARCH", "JSON.SET", "FT.SEARCH", "FT.CREATE", "FT.INFO", "CLIENT GETNAME", "CLIENT ID", "CLIENT LIST", "CLIENT INFO", "CLIENT TRACKING", "CLIENT NO-EVICT",
		"CONFIG GET", "CONFIG SET", "CONFIG RESETSTAT", "SCRIPT LOAD", "SCRIPT EXISTS", "SCRIPT FLUSH", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO",
		"COMMAND DOCS", "COMMAND COUNT", "MEMORY USAGE", "MEMORY STATS", "OBJECT ENCODING", "SLOWLOG GET", "LATENCY LATEST")
	return m
}()

// upper writes b in upper case to dst and reports whether it looks like a command's word.
func upper(dst, b []byte) bool {
	if len(b) == 0 || len(b) > len(dst) {
		return false
	}
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 0x20
		case 'A' <= c && c <= 'Z', c == '.', c == '-', c == '_':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
		dst[i] = c
	}
	return true
}
