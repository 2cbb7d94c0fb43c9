package recording

import (
	"cmp"
	"slices"
	"strings"
)

// Join puts the loader's view into the recording: what it sent, and its figures of each
// endpoint (Client set, the rest empty). A path segment that differs from request to request
// stands as {} in the client's endpoints and meets the target's {id}. An endpoint that only
// the client saw is appended with no requests.
func (r *Recording) Join(s Scenario, clients []Endpoint) {
	r.Scenario = &s
	for _, c := range clients {
		if c.Client == nil {
			continue
		}
		i := r.find(c.Endpoint)
		if i < 0 {
			c.Status = map[string]int64{}
			r.Endpoints = append(r.Endpoints, c)
			continue
		}
		mergeClient(&r.Endpoints[i], c.Client)
	}
	slices.SortFunc(r.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
}

// find returns the index of the endpoint that the client's one belongs to: the same name, else
// the template that leaves the fewest segments open; -1 when none fits.
func (r *Recording) find(client string) int {
	best, fewest := -1, 0
	for i := range r.Endpoints {
		open, ok := fits(r.Endpoints[i].Endpoint, client)
		if ok && (best < 0 || open < fewest) {
			best, fewest = i, open
		}
	}
	return best
}

// fits says whether a client's endpoint belongs to a template, and how many of the template's
// segments are open. {name:path} takes all segments that are left.
func fits(template, client string) (open int, ok bool) {
	want, have := strings.Split(template, "/"), strings.Split(client, "/")
	for i, w := range want {
		if i >= len(have) {
			return 0, false
		}
		switch {
		case strings.HasPrefix(w, "{") && strings.HasSuffix(w, ":path}"):
			return open + len(have) - i, true
		case strings.HasPrefix(w, "{") && strings.HasSuffix(w, "}"):
			if have[i] == "" {
				return 0, false
			}
			open++
		case w != have[i]:
			return 0, false
		}
	}
	return open, len(want) == len(have)
}
