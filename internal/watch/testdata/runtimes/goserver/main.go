// Goserver is a service that knows what its functions cost. Its goroutines share threads as Go likes.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	large, small atomic.Int64
	sink         atomic.Int64
)

// cpuTime is that of the calling thread.
func cpuTime() time.Duration {
	var u syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

//go:noinline
func squares(t time.Duration) {
	for end := cpuTime() + t; cpuTime() < end; {
		sum := 0
		for i := range 20_000 {
			sum += i * i % 7
		}
		sink.Add(int64(sum))
	}
}

//go:noinline
func cubes(t time.Duration) {
	for end := cpuTime() + t; cpuTime() < end; {
		sum := 0
		for i := range 20_000 {
			sum += i * i * i % 5
		}
		sink.Add(int64(sum))
	}
}

//go:noinline
func burnLarge() { squares(6 * time.Millisecond) }

//go:noinline
func burnSmall() { cubes(2 * time.Millisecond) }

func timed(spent *atomic.Int64, burn func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		runtime.LockOSThread() // so that the thread's time is this request's
		begin := cpuTime()
		burn()
		spent.Add(int64(cpuTime() - begin))
		runtime.UnlockOSThread()
		_, _ = io.WriteString(w, "fine\n")
	}
}

func main() {
	http.HandleFunc("/go/large", timed(&large, burnLarge))
	http.HandleFunc("/go/small", timed(&small, burnSmall))
	http.HandleFunc("/truth", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]int64{"burnLarge": large.Load(), "burnSmall": small.Load()})
	})
	l, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(l, nil)) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
