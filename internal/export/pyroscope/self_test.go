package pyroscope

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestSelfProfilesReachTheServer(t *testing.T) {
	var got atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("name") != "" {
			got.Add(1)
		}
	}))
	defer web.Close()
	stop, err := StartSelf(web.URL, "ragscope-agent")
	if err != nil {
		t.Fatal(err)
	}
	stop() // uploads what it has
	if got.Load() == 0 {
		t.Error("no profile arrived")
	}
}
