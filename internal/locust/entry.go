package locust

import (
	"maps"
	"math"
	"slices"
	"strconv"
)

// Entry is the statistics of one task, or of all (Name Aggregated). Times are Unix seconds,
// response times milliseconds.
type Entry struct {
	Method, Name  string
	Requests      int64
	Failures      int64
	TotalTime     float64
	Min, Max      float64
	hasMin        bool
	ContentLength int64
	last          float64 // end of the last request, 0: none
	start         float64
	times         map[int]int64    // rounded response time → requests
	perSecond     counts           // whole second → requests
	failPerSecond counts           // whole second → failures
	cache         map[int64]cached // second → times at its end, the last 20
}

type cached struct {
	times    map[int]int64
	requests int64
}

// counts are requests by whole second, in the order in which the seconds came.
type counts struct {
	n     map[int64]int64
	order []int64
}

func (c *counts) add(second int64) {
	if c.n == nil {
		c.n = map[int64]int64{}
	}
	if _, known := c.n[second]; !known {
		c.order = append(c.order, second)
	}
	c.n[second]++
}

func newEntry(method, name string, now float64) *Entry {
	e := &Entry{Method: method, Name: name, start: now, times: map[int]int64{}, cache: map[int64]cached{}}
	e.remember(int64(now))
	return e
}

// cacheSeconds is how many seconds are remembered: the 10 s window and 10 s of slack.
const cacheSeconds = 20

// remember keeps the response times as they are at the end of a second.
func (e *Entry) remember(second int64) {
	e.cache[second] = cached{maps.Clone(e.times), e.Requests}
	for len(e.cache) > cacheSeconds {
		delete(e.cache, slices.Min(slices.Collect(maps.Keys(e.cache))))
	}
}

// log adds one request that ended at the instant at.
func (e *Entry) log(at, ms float64, length int64) {
	if e.last > 0 && int64(at) > int64(e.last) {
		e.remember(int64(at) - 1)
	}
	e.Requests++
	e.perSecond.add(int64(at))
	e.last = max(e.last, at)
	e.TotalTime += ms
	if !e.hasMin || ms < e.Min {
		e.Min, e.hasMin = ms, true
	}
	e.Max = math.Max(e.Max, ms)
	e.times[bucket(ms)]++
	e.ContentLength += length
}

func (e *Entry) fail(at float64) {
	e.Failures++
	e.failPerSecond.add(int64(at))
}

// bucket rounds as Locust's bucket_response_time: to 1 ms below 100, 10 below 1000, 100 below
// 10,000, else 1000; halves go to the even side.
func bucket(ms float64) int {
	step := 1.0
	switch {
	case ms >= 10000:
		step = 1000
	case ms >= 1000:
		step = 100
	case ms >= 100:
		step = 10
	}
	return int(math.RoundToEven(ms/step) * step)
}

// percentile walks the buckets from above, as calculate_response_time_percentile.
func percentile(times map[int]int64, requests int64, p float64) int {
	limit := int64(float64(requests) * p)
	var seen int64
	keys := slices.Sorted(maps.Keys(times))
	for _, t := range slices.Backward(keys) {
		if seen += times[t]; requests-seen <= limit {
			return t
		}
	}
	return 0
}

// Percentile of all requests so far, in ms; p from 0 to 1.
func (e *Entry) Percentile(p float64) int { return percentile(e.times, e.Requests, p) }

// current is the percentile of about the last ten seconds before now; false when what was
// measured until then is not known.
func (e *Entry) current(now int64, p float64) (ms int, known bool) {
	for i := range int64(9) {
		for _, second := range []int64{now - 10 - i, now - 10 + i} {
			old, ok := e.cache[second]
			if !ok {
				continue
			}
			diff := map[int]int64{}
			for t, n := range e.times {
				if d := n - old.times[t]; d != 0 {
					diff[t] = d
				}
			}
			return percentile(diff, e.Requests-old.requests, p), true
		}
	}
	return 0, false
}

// Median is Locust's median: the middle bucket, kept between Min and Max.
func (e *Entry) Median() float64 {
	position := float64(e.Requests-1) / 2
	var median float64
	for _, t := range slices.Sorted(maps.Keys(e.times)) {
		median = float64(t)
		if position < float64(e.times[t]) {
			break
		}
		position -= float64(e.times[t])
	}
	if median > e.Max {
		return e.Max
	}
	if e.hasMin && median < e.Min {
		return e.Min
	}
	return median
}

// medianText is the median as Python writes it: an int when it is a bucket, a float when it
// was clamped to Min or Max.
func (e *Entry) medianText() string {
	if m := e.Median(); e.Requests == 0 || m == e.Max && float64(bucket(m)) != m || m == e.Min && float64(bucket(m)) != m {
		return orZero(m)
	}
	return strconv.Itoa(int(e.Median()))
}

// Average response time in ms.
func (e *Entry) Average() float64 {
	if e.Requests == 0 {
		return 0
	}
	return e.TotalTime / float64(e.Requests)
}

func (e *Entry) averageLength() float64 {
	if e.Requests == 0 {
		return 0
	}
	return float64(e.ContentLength) / float64(e.Requests)
}

// orZero writes a figure that Locust writes as the int 0 when it has none.
func orZero(f float64) string {
	if f == 0 {
		return "0"
	}
	return pyFloat(f)
}
