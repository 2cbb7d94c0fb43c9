package request

import (
	"strings"
	"testing"
)

// A short rest of an answer comes before the first request that is seen: the answers after it are those of their requests, and not
// of the ones before.
func TestJoinedInTheRestOfAnAnswer(t *testing.T) {
	const bAndC = "GET /b 200 20..24 first 23, GET /c 200 30..34 first 33"
	for rest, a := range map[string]string{
		"{}": "GET /a 200 10..14 first 13", "\r\n": "GET /a 200 10..14 first 13", "some more of it": "GET /a 200 10..14 first 13",
		"HT": "GET /a 0 10..14 (its answer was not recognised)", // as an answer may begin
	} {
		p := newTape().midway(1).at(1).reply(1, rest)
		for i, path := range []string{"/a", "/b", "/c"} {
			at := float64(10 * (i + 1))
			p.at(at).in(1, at, get(path)).at(at+3).reply(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").at(at+4).reply(1, "{}")
		}
		f, _ := play(t, p)
		var got []string
		for _, r := range f.requests {
			got = append(got, seen(r))
		}
		if want := a + ", " + bAndC; strings.Join(got, ", ") != want {
			t.Errorf("after %q: requests %s, want %s", rest, strings.Join(got, ", "), want)
		}
	}
}
