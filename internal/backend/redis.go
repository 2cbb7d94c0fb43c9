package backend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// redis asks with INFO. The few lines of its protocol that this needs are written here; a
// client library would open a pool and say HELLO.
type redis struct{ username, password string }

// infoKeys are the fields of INFO that are kept, under INFO's own names.
var infoKeys = map[string]bool{
	"uptime_in_seconds": true, "connected_clients": true, "blocked_clients": true, "maxclients": true,
	"used_memory": true, "used_memory_rss": true, "used_memory_peak": true, "maxmemory": true, "mem_fragmentation_ratio": true,
	"total_connections_received": true, "total_commands_processed": true, "instantaneous_ops_per_sec": true,
	"rejected_connections": true, "expired_keys": true, "evicted_keys": true, "keyspace_hits": true, "keyspace_misses": true,
	"used_cpu_user": true, "used_cpu_sys": true, "io_threads_active": true,
}

// maxReply bounds an INFO reply; a usual one has 6 kB.
const maxReply = 1 << 20

func (r redis) ask(ctx context.Context, address string) (figures, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return figures{}, fmt.Errorf("connect to redis at %s from the agent's network: %w", address, err)
	}
	defer conn.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	in := bufio.NewReader(conn)
	if r.password != "" {
		args := []string{"AUTH", r.password}
		if r.username != "" {
			args = []string{"AUTH", r.username, r.password}
		}
		if _, err := command(conn, in, args...); err != nil {
			return figures{}, r.explain(address, err)
		}
	}
	reply, err := command(conn, in, "INFO")
	if err != nil {
		return figures{}, r.explain(address, err)
	}
	return parseInfo(reply), nil
}

// replied is an error that Redis answered.
type replied string

func (e replied) Error() string { return string(e) }

func (r redis) explain(address string, err error) error {
	var said replied
	if !errors.As(err, &said) {
		return fmt.Errorf("ask redis at %s for INFO (does it want TLS?): %w", address, err)
	}
	switch word, _, _ := strings.Cut(string(said), " "); word {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		return fmt.Errorf("redis at %s does not answer INFO (%s): give the agent a user that may, by RAGSCOPE_REDIS_USERNAME and RAGSCOPE_REDIS_PASSWORD", address, word)
	}
	return fmt.Errorf("redis at %s refused INFO: %w", address, said)
}

// command sends one command as an array of bulk strings and reads a status or bulk reply.
func command(out io.Writer, in *bufio.Reader, args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return "", err
	}
	line, err := in.ReadSlice('\n') // bounded by the reader's buffer
	if err != nil {
		return "", err
	}
	head := strings.TrimRight(string(line), "\r\n")
	if head == "" {
		return "", errors.New("not a redis reply")
	}
	switch rest := head[1:]; head[0] {
	case '+':
		return rest, nil
	case '-':
		return "", replied(rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > maxReply {
			return "", fmt.Errorf("reply of %q bytes, want at most %d", rest, maxReply)
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(in, body); err != nil {
			return "", err
		}
		return string(body[:n]), nil
	}
	return "", errors.New("not a redis reply")
}

func parseInfo(info string) figures {
	f := figures{values: map[string]float64{}}
	for _, line := range strings.Split(info, "\n") {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r"), ":")
		switch {
		case !ok:
		case key == "redis_version":
			f.version = value
		case infoKeys[key]:
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				f.values[key] = v
			}
		case strings.HasPrefix(key, "db") && strings.HasPrefix(value, "keys="):
			n, _, _ := strings.Cut(strings.TrimPrefix(value, "keys="), ",")
			if v, err := strconv.ParseFloat(n, 64); err == nil {
				f.values["keys"] += v // of all databases
			}
		}
	}
	return f
}
