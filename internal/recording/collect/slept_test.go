package collect

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

func TestSlept(t *testing.T) {
	total, slice := New(100, nil), New(200, nil)
	for _, endpoint := range []string{"GET /a", "GET /b"} {
		slice.Request(&request.Request{Endpoint: endpoint, Start: 250, Last: 300})
	}
	nap := recording.SleepPlace{Function: "nap (app/main.py)", What: "[sleeps for a time]", Main: true, Samples: 1, Seconds: .01}
	lock := recording.SleepPlace{Function: "nap (app/main.py)", What: "[waits for a lock]", Main: true, Samples: 1, Seconds: .5}
	total.Slept(50, "GET /a", nap) // before it began
	total.Slept(150, "GET /a", nap)
	slice.Slept(250, "GET /a", nap)
	slice.Slept(250, "GET /a", lock)
	slice.Slept(250, "(event loop)", nap)
	for i := range 2 * maxPlaces {
		slice.Slept(250, "GET /b", recording.SleepPlace{Function: fmt.Sprint(i), Samples: 1, Seconds: .25})
	}
	total.Absorb(slice)

	var r recording.Recording
	total.Fill(&r, 400)
	total.FillSlept(&r)
	nap.Samples, nap.Seconds = 2, .02
	if got, want := r.Endpoints[0].Sleeps, []recording.SleepPlace{lock, nap}; !slices.Equal(got, want) {
		t.Errorf("GET /a: %+v, want %+v", got, want)
	}
	places, sum := r.Endpoints[1].Sleeps, recording.SleepPlace{}
	for _, p := range places {
		sum.Samples += p.Samples
		sum.Seconds += p.Seconds
	}
	if len(places) != recording.MaxSleepPlaces+1 || places[len(places)-1].Function != recording.Others || sum.Samples != 2*maxPlaces || sum.Seconds != maxPlaces/2. {
		t.Errorf("GET /b: %d places, of %+v in all: %+v", len(places), sum, places)
	}
}
