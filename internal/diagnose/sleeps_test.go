package diagnose

import (
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
)

func TestSleepEvidence(t *testing.T) {
	recorded := func(stageName string, places ...recording.SleepPlace) *recording.Recording {
		e := endpoint("GET /", times(10, 1), stage(stageName, "", times(10, .8)), stage("on_cpu", "", times(10, .2)))
		e.Sleeps = places
		return &recording.Recording{Endpoints: []recording.Endpoint{e}, NotMeasured: []recording.NotMeasured{{What: OffCPUProfile, Why: "switched off"}}}
	}
	rest := recording.SleepPlace{Function: recording.Others, Samples: 9, Seconds: 9}
	onLoop := recording.SleepPlace{Function: "handler (app/main.py)", What: "[sleeps for a time]", Main: true, Samples: 3, Seconds: 2.4}
	inThread := recording.SleepPlace{Function: "query (app/db.py)", What: "[waits for a socket]", Samples: 3, Seconds: 1.2}
	forGIL := recording.SleepPlace{Function: "rank (app/main.py)", What: recording.WaitsForGIL, Samples: 3, Seconds: 5}

	says(t, Rank(recorded("blocked", rest, forGIL, onLoop, inThread)), KindEventLoop, "GET / slept 2.40 s in handler (app/main.py), on the process's main thread: it sleeps for a time.",
		"GET / slept 1.20 s in query (app/db.py), in another thread: it waits for a socket.", "the event loop's thread", "handler (app/main.py) calls something that sleeps on the event loop")
	says(t, Rank(recorded("blocked", inThread)), KindBlocked, "threads that work for requests", "query (app/db.py) sleeps in a thread")
	says(t, Rank(recorded("gil_wait", onLoop, forGIL)), KindCPU, "GET / slept 5.00 s in rank (app/main.py), in another thread: it waits for the GIL.")
	for _, stageName := range []string{"blocked", "gil_wait"} {
		found := Rank(recorded(stageName))
		says(t, found, found[0].Kind, "In which functions is not measured: switched off.")
	}
}
