package collect

import "github.com/ragscope/ragscope/internal/recording"

// maxPlaces bounds the places of one endpoint that are told apart, more than a recording has: what is rare at
// first may be what matters at the end.
const maxPlaces = 256

// place is where and in what threads slept.
type place struct {
	function, what string
	main           bool
}

// Slept adds a sample of a sleep for an endpoint that ended at a time: where, in what, and the seconds that it stands for.
func (c *Collector) Slept(at int64, endpoint string, p recording.SleepPlace) {
	if at >= c.begin {
		c.addSlept(endpoint, p)
	}
}

func (c *Collector) addSlept(endpoint string, p recording.SleepPlace) {
	if c.slept == nil {
		c.slept = map[string]map[place]*recording.SleepPlace{}
	}
	places := c.slept[endpoint]
	if places == nil {
		places = map[place]*recording.SleepPlace{}
		c.slept[endpoint] = places
	}
	at := place{p.Function, p.What, p.Main}
	if places[at] == nil && len(places) >= maxPlaces {
		at = place{function: recording.Others}
	}
	sum := places[at]
	if sum == nil {
		sum = &recording.SleepPlace{Function: at.function, What: at.what, Main: at.main}
		places[at] = sum
	}
	sum.Samples += p.Samples
	sum.Seconds += p.Seconds
}

// FillSlept says of each endpoint where threads slept for it. Those of no request, or of an endpoint of which none ended,
// are left out.
func (c *Collector) FillSlept(r *recording.Recording) {
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		var places []recording.SleepPlace
		for _, p := range c.slept[e.Endpoint] {
			places = append(places, *p)
		}
		e.Sleeps = recording.AddSleepPlaces(nil, places, recording.MaxSleepPlaces)
	}
}
