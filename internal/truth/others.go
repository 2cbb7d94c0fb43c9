package truth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/kernel"
)

// Others is what the agent at full precision costs processes that it does not watch. Seconds.
type Others struct {
	What  string    `json:"what"`
	Unit  string    `json:"unit"` // what the seconds are by
	Off   Quartiles `json:"off"`
	Full  Quartiles `json:"full"`
	Ratio Quartiles `json:"ratio"` // paired: 0.01 is 1 % more
	Noise Quartiles `json:"noise"` // the same of off with off
}

// other is a piece of work of an unwatched process; it returns seconds by unit.
type other struct {
	what, unit string
	run        func() (float64, error)
}

// MeasureOthers runs them off, on, on, off, with an idle target watched meanwhile.
func MeasureOthers(ctx context.Context, dir string, blocks int, progress func(format string, args ...any)) ([]Others, error) {
	dir, err := os.MkdirTemp(dir, "others")
	if err != nil {
		return nil, err
	}
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(Settings{App: "bare"})
	if err != nil {
		return nil, err
	}
	redis, err := s.StartRedis("other-redis")
	if err != nil {
		return nil, err
	}
	var last gets
	work := []other{
		{"dd if=/dev/zero of=/dev/null bs=1, its CPU", "read and write", dd},
		{"GETs of an unwatched redis-server by one connection, its CPU", "GET", func() (float64, error) {
			var err error
			last, err = getLoop(redis, time.Second)
			return last.cpu, err
		}},
		{"the same, by the clock", "GET", func() (float64, error) { return last.wall, nil }},
	}
	values := make([][3][]float64, len(work)) // off, on, off again
	once := func(column int) error {
		for i, w := range work {
			v, err := w.run()
			if err != nil {
				return fmt.Errorf("%s: %w", w.what, err)
			}
			values[i][column] = append(values[i][column], v)
		}
		return nil
	}
	for block := range blocks {
		if err := errors.Join(ctx.Err(), once(0)); err != nil {
			return nil, err
		}
		a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full})
		if err != nil {
			return nil, err
		}
		err = errors.Join(once(1), once(1))
		a.Stop()
		if err := errors.Join(err, once(0), once(2), once(2)); err != nil {
			return nil, err
		}
		progress("other processes: block %d of %d", block+1, blocks)
	}
	var out []Others
	for i, w := range work {
		off, on, again := values[i][0], values[i][1], values[i][2]
		out = append(out, Others{w.what, w.unit, quartiles(off), quartiles(on), quartiles(ratios(on, off)), quartiles(ratios(again, off))})
	}
	return out, nil
}

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i]/b[i] - 1
	}
	return out
}

const ddCount = 500_000

func dd() (float64, error) {
	c := exec.Command("dd", "if=/dev/zero", "of=/dev/null", "bs=1", fmt.Sprintf("count=%d", ddCount), "status=none")
	if err := c.Run(); err != nil {
		return 0, err
	}
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds() / ddCount, nil
}

// gets is what a GET cost: the server's CPU and the time that passed, in seconds.
type gets struct{ cpu, wall float64 }

// getLoop asks redis for one key after the other, over one blocking socket.
func getLoop(redis *Redis, d time.Duration) (gets, error) {
	to, err := sockaddr(redis.Address)
	if err != nil {
		return gets{}, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return gets{}, err
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Connect(fd, to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)); err != nil {
		return gets{}, err
	}
	wire, buf := []byte("*2\r\n$3\r\nGET\r\n$5\r\nknown\r\n"), make([]byte, 64)
	cpu, begin, n := cpuSeconds(redis.PID), time.Now(), 0.0
	for time.Since(begin) < d {
		if _, err := unix.Write(fd, wire); err != nil {
			return gets{}, err
		}
		if k, err := unix.Read(fd, buf); err != nil || k != 5 { // "$-1\r\n"
			return gets{}, fmt.Errorf("redis answers %q: %w", buf[:max(k, 0)], err)
		}
		n++
	}
	return gets{(cpuSeconds(redis.PID) - cpu) / n, time.Since(begin).Seconds() / n}, nil
}
