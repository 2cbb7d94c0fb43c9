package scenario

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
	"time"
)

// functions that expressions may call, for the complaint about an unknown one.
var functions = []string{"pick", "zipf", "choice", "randInt", "randHex", "uuid", "seq", "user", "now", "env"}

// plainFunctions take no arguments.
var plainFunctions = map[string]expression{
	"uuid": appendUUID,
	"seq": func(dst []byte, e *Env, _ escaping) []byte {
		return appendNumber(dst, e.shared.among(e.shared.seq.Add(1)-1)+1)
	},
	"user": func(dst []byte, e *Env, _ escaping) []byte { return appendNumber(dst, int64(e.User)) },
	"now":  func(dst []byte, _ *Env, _ escaping) []byte { return appendNumber(dst, time.Now().Unix()) },
}

func (r *reader) call(name string, args []parse.Node) (expression, error) {
	if plain, ok := plainFunctions[name]; ok {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s takes nothing after it", name)
		}
		return plain, nil
	}
	switch name {
	case "pick":
		if len(args) != 1 {
			return nil, fmt.Errorf("pick wants one data set: {{ pick .queries }}")
		}
		rows, err := r.rows(args[0].String())
		return func(dst []byte, e *Env, as escaping) []byte { return rows[e.Rand.IntN(len(rows))].append(dst, as) }, err
	case "zipf":
		return r.zipf(args)
	case "choice":
		return choice(args)
	case "randInt":
		return randInt(args)
	case "randHex":
		return randHex(args)
	case "env":
		return environment(args)
	}
	return nil, fmt.Errorf("unknown function %q%s", name, suggest(name, functions))
}

func appendUUID(dst []byte, e *Env, as escaping) []byte {
	var u [16]byte
	for i := range u {
		u[i] = byte(e.Rand.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // version 4, RFC 9562
	var text [36]byte
	hex.Encode(text[:], u[:4])
	at := 8
	for _, cut := range [][]byte{u[4:6], u[6:8], u[8:10], u[10:]} {
		text[at] = '-'
		hex.Encode(text[at+1:], cut)
		at += 1 + 2*len(cut)
	}
	return appendPlain(dst, text[:], as)
}

// choice is one of its arguments, all equally likely.
func choice(args []parse.Node) (expression, error) {
	var values []value
	for _, a := range args {
		switch a := a.(type) {
		case *parse.StringNode:
			values = append(values, value{a.Text, quoteJSON(a.Text)})
		case *parse.NumberNode, *parse.BoolNode:
			values = append(values, value{a.String(), a.String()})
		default:
			return nil, fmt.Errorf(`choice wants texts and numbers: {{ choice "a" "b" 3 }}`)
		}
	}
	if len(values) == 0 {
		return nil, fmt.Errorf(`choice of nothing; write {{ choice "a" "b" }}`)
	}
	return func(dst []byte, e *Env, as escaping) []byte { return values[e.Rand.IntN(len(values))].append(dst, as) }, nil
}

func randInt(args []parse.Node) (expression, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("randInt wants two whole numbers: {{ randInt 1 100 }}")
	}
	low, err1 := strconv.ParseInt(args[0].String(), 10, 64)
	high, err2 := strconv.ParseInt(args[1].String(), 10, 64)
	if err1 != nil || err2 != nil || high < low || high-low < 0 || high-low+1 < 1 {
		return nil, fmt.Errorf("randInt %s %s: the first number must not be above the second", args[0], args[1])
	}
	return func(dst []byte, e *Env, _ escaping) []byte { return appendNumber(dst, low+e.Rand.Int64N(high-low+1)) }, nil
}

// maxHex bounds the digits of randHex.
const maxHex = 64

func randHex(args []parse.Node) (expression, error) {
	n := 0
	if len(args) == 1 {
		n, _ = strconv.Atoi(args[0].String())
	}
	if n < 1 || n > maxHex {
		return nil, fmt.Errorf("randHex wants a number of digits from 1 to %d: {{ randHex 8 }}", maxHex)
	}
	return func(dst []byte, e *Env, as escaping) []byte {
		if as == asJSON {
			dst = append(dst, '"')
		}
		for range n {
			dst = append(dst, "0123456789abcdef"[e.Rand.IntN(16)])
		}
		if as == asJSON {
			dst = append(dst, '"')
		}
		return dst
	}, nil
}

// environment reads a variable of the process once, so that secrets stay out of scenario files.
func environment(args []parse.Node) (expression, error) {
	var words []string
	for _, a := range args {
		if s, ok := a.(*parse.StringNode); ok {
			words = append(words, s.Text)
		}
	}
	if len(words) != len(args) || len(words) < 1 || len(words) > 2 {
		return nil, fmt.Errorf(`env wants the name of a variable in quotes, and maybe what to take when it is not set: {{ env "API_TOKEN" }}`)
	}
	text, set := os.LookupEnv(words[0])
	if !set && len(words) == 2 {
		text, set = words[1], true
	}
	switch {
	case !set:
		return nil, fmt.Errorf("the environment variable %s is not set; set it before the run", words[0])
	case strings.ContainsAny(text, "\r\n"):
		return nil, fmt.Errorf("the environment variable %s holds more than one line", words[0])
	}
	v := value{text, quoteJSON(text)}
	return func(dst []byte, _ *Env, as escaping) []byte { return v.append(dst, as) }, nil
}

// defaultZipf is the exponent of query popularity when none is given; web and search query
// logs lie between 0.6 and 1.2.
const defaultZipf = 1.1

func (r *reader) zipf(args []parse.Node) (expression, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, fmt.Errorf("zipf wants a data set and maybe an exponent: {{ zipf .queries 1.1 }}")
	}
	s := defaultZipf
	if len(args) == 2 {
		var err error
		if s, err = strconv.ParseFloat(args[1].String(), 64); err != nil || !(s > 0) || s > 10 {
			return nil, fmt.Errorf("zipf exponent %q must be a number above 0, up to 10", args[1])
		}
	}
	rows, err := r.rows(args[0].String())
	if err != nil {
		return nil, err
	}
	upTo := zipfTable(len(rows), s)
	return func(dst []byte, e *Env, as escaping) []byte {
		i, _ := slices.BinarySearch(upTo, e.Rand.Float64())
		return rows[min(i, len(rows)-1)].append(dst, as)
	}, nil
}
