package bolt

// clauses are the words that may lead a Cypher statement, with the words that may follow and
// make the kind clearer. Anything else is "OTHER": no word of a user's can become a label.
var clauses = map[string][]string{
	"MATCH": nil, "OPTIONAL": {"MATCH", "CALL"}, "MERGE": nil, "CALL": nil, "UNWIND": nil, "WITH": nil, "RETURN": nil, "FOREACH": nil,
	"CREATE": {"INDEX", "CONSTRAINT", "FULLTEXT", "VECTOR", "RANGE", "TEXT", "POINT", "LOOKUP", "DATABASE", "USER", "ROLE", "ALIAS"},
	"DROP":   {"INDEX", "CONSTRAINT", "DATABASE", "USER", "ROLE", "ALIAS"},
	"DELETE": nil, "DETACH": {"DELETE"}, "SET": nil, "REMOVE": nil, "LOAD": {"CSV"}, "SHOW": nil, "USE": nil, "ALTER": nil, "GRANT": nil, "DENY": nil,
	"REVOKE": nil, "START": nil, "STOP": nil, "TERMINATE": nil, "INSERT": nil, "FINISH": nil, "LET": nil, "FILTER": nil,
}

// kinds holds the names of all operations, so that telling one allocates nothing.
var kinds = func() map[string]map[string]string {
	m := map[string]map[string]string{}
	for first, seconds := range clauses {
		m[first] = map[string]string{"": first}
		for _, second := range seconds {
			m[first][second] = first + " " + second
		}
	}
	return m
}()

// operation is the kind of a query's leading clause; EXPLAIN, PROFILE and CYPHER options before
// it are passed over, as are comments.
func operation(query []byte) string {
	var buf [12]byte
	for range 8 {
		var word []byte
		if word, query = nextWord(query, &buf); word == nil {
			return "OTHER"
		}
		switch string(word) {
		case "EXPLAIN", "PROFILE":
			continue
		case "CYPHER":
			query = options(query)
			continue
		}
		seconds := kinds[string(word)]
		if seconds == nil {
			return "OTHER"
		}
		if len(seconds) > 1 {
			second, _ := nextWord(query, &buf)
			if s := seconds[string(second)]; s != "" {
				return s
			}
		}
		return seconds[""]
	}
	return "OTHER"
}

// options passes over CYPHER's "5", "5.26", "runtime=parallel".
func options(q []byte) []byte {
	for {
		q = blank(q)
		i := 0
		eq := false
		for i < len(q) && q[i] > ' ' {
			eq = eq || q[i] == '='
			i++
		}
		if i == 0 || !eq && (q[0] < '0' || q[0] > '9') {
			return q
		}
		q = q[i:]
	}
}

// nextWord takes a word of letters off q, in upper case; nil where q goes on otherwise.
func nextWord(q []byte, buf *[12]byte) (word, rest []byte) {
	q = blank(q)
	i := 0
	for i < len(q) && 'A' <= q[i]&^0x20 && q[i]&^0x20 <= 'Z' {
		if i == len(buf) {
			return nil, nil
		}
		buf[i] = q[i] &^ 0x20
		i++
	}
	if i == 0 {
		return nil, nil
	}
	return buf[:i], q[i:]
}

// blank passes over white space and comments.
func blank(q []byte) []byte {
	for len(q) > 0 {
		switch {
		case q[0] <= ' ' || q[0] == '(' || q[0] == '{':
			q = q[1:]
		case len(q) > 1 && q[0] == '/' && q[1] == '/':
			for len(q) > 0 && q[0] != '\n' {
				q = q[1:]
			}
		case len(q) > 1 && q[0] == '/' && q[1] == '*':
			q = q[2:]
			for len(q) > 1 && (q[0] != '*' || q[1] != '/') {
				q = q[1:]
			}
			q = q[min(2, len(q)):]
		default:
			return q
		}
	}
	return q
}
