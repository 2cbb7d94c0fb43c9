package collect

import "github.com/ragscope/ragscope/internal/recording"

// Allocated adds bytes that an endpoint took at a time.
func (c *Collector) Allocated(at int64, endpoint string, bytes int64) {
	if at < c.begin {
		return
	}
	c.addAllocated(endpoint, bytes)
}

func (c *Collector) addAllocated(endpoint string, bytes int64) {
	if c.allocated == nil {
		c.allocated = map[string]int64{}
	}
	c.allocated[endpoint] += bytes
}

// FillAllocated says of each endpoint what it allocated: it was measured, so an endpoint that was not seen to
// allocate has 0. Bytes of no request, or of an endpoint of which none ended, are left out.
func (c *Collector) FillAllocated(r *recording.Recording) {
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		bytes := c.allocated[e.Endpoint]
		e.AllocatedBytes = &bytes
	}
}
