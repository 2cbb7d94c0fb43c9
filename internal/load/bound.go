package load

import "fmt"

// From where on the loader itself is called the bottleneck. They are lower than the bounds of an
// invalid run, whose schedule was not kept: here its figures still stand, with the loader's own
// weakness in them.
const (
	boundCPU      = 0.9  // share of the CPUs that it may use
	boundRunQueue = 0.1  // share of the mean service time, by request, that its threads waited for a CPU
	boundLag      = 5e-3 // seconds between intended and actual send at p99
	boundRequests = 20   // with fewer, what the loader does besides sending is most of it
)

// LoaderBound says in sentences where the loader was the bottleneck of the run; nothing where
// it was not.
func (r *Result) LoaderBound() []string {
	var why []string
	u, all := r.Usage, r.All()
	if cpus := float64(u.CPUs); cpus > 0 && u.LoaderCores > boundCPU*cpus {
		why = append(why, fmt.Sprintf("the loader used %.2f of the %d CPUs that it may use: the service may bear more than was sent", u.LoaderCores, u.CPUs))
	}
	if wait := r.RunQueueByRequest(); all.Requests >= boundRequests && wait > boundRunQueue*all.Service.Mean() && wait > 100e-6 {
		why = append(why, fmt.Sprintf("the loader's threads waited %.2f ms for a CPU by request, %.0f %% of the mean service time: part of every latency may be the loader's own wait",
			wait*1e3, wait/all.Service.Mean()*100))
	}
	if lag := r.Lag.Quantile(.99); lag > boundLag {
		why = append(why, fmt.Sprintf("1 of 100 requests was sent %.1f ms late or later (bound %.0f ms): look at the service clock beside the response clock", lag*1e3, boundLag*1e3))
	}
	return why
}

// RunQueueByRequest is how long the loader's threads waited for a CPU, in seconds by request.
func (r *Result) RunQueueByRequest() float64 {
	if n := r.All().Requests; n > 0 {
		return r.Usage.RunQueue / float64(n)
	}
	return 0
}
