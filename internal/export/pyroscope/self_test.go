package pyroscope

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSelfProfilesReachTheServer(t *testing.T) {
	var mu sync.Mutex
	var got []*http.Request
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r)
	}))
	defer web.Close()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	url := strings.Replace(web.URL, "http://", "http://me:secret@", 1)
	stop, err := StartSelf(url, Access{Tenant: "team"}, "ragscope-agent", log)
	if err != nil {
		t.Fatal(err)
	}
	stop() // uploads what it has
	mu.Lock()
	defer mu.Unlock()
	if len(got) == 0 {
		t.Fatal("no profile arrived")
	}
	r := got[0]
	if !strings.HasPrefix(r.URL.Query().Get("name"), "ragscope-agent") || r.Header.Get("X-Scope-OrgID") != "team" || !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
		t.Errorf("%s with %v names neither program, tenant nor user", r.URL, r.Header)
	}
	if strings.Contains(out.String(), "secret") {
		t.Error("the log holds the password")
	}
}

func TestAProgramEndsAlthoughTheServerHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stop, err := StartSelf("http://"+l.Addr().String(), Access{}, "ragscope-agent", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > lastSelf+2*time.Second {
		t.Errorf("the end took %v", took)
	}
}
