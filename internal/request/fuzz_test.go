package request

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Whatever bytes a recorded stream holds, every request is whole and nothing stays behind.
func FuzzFeed(f *testing.F) {
	for _, c := range captures {
		var small bytes.Buffer
		file, err := os.Open(filepath.Join("testdata", c.name+".events.gz"))
		if err != nil {
			f.Fatal(err)
		}
		z, err := gzip.NewReader(file)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := io.CopyN(&small, z, 4_000); err != nil {
			f.Fatal(err)
		}
		file.Close()
		f.Add(small.Bytes(), c.late)
	}
	f.Fuzz(func(t *testing.T, b []byte, late bool) {
		events, _ := event.ReadStream(bytes.NewReader(b))
		got, tr := replay(events, late)
		checkEnd(t, got, tr, events)
	})
}

// checkEnd lets all processes of the events end and checks what the heart made of them.
func checkEnd(t *testing.T, got *facts, tr *Tracker, events []event.Event) {
	t.Helper()
	var pids []uint32
	last := int64(0)
	for i := range events {
		pids, last = append(pids, events[i].PID), max(last, events[i].Time)
	}
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) {
		tr.Gone(pid, last)
	}
	for _, r := range got.requests {
		if why := broken(r); why != "" {
			t.Errorf("%s: %s", why, stages(r))
		}
	}
	if err := idle(tr); err != nil {
		t.Error(err)
	}
}

// words are what hostile connections carry, beside what the fuzzer makes up.
var words = []string{
	get("/a"), ok, "POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"POST /api/chat HTTP/1.1\r\nContent-Length: 30\r\n\r\n{\"model\":\"m\",\"stream\":true}xyz", "{\"response\":\"x\",\"done\":false}\n",
	command("GET", "k"), hit, miss, "*2\r\n", "-ERR no\r\n", "*-1\r\n",
	"\x60\x60\xb0\x17\x00\x00\x04\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x04\x04", "\x00\x02\xb1\x01\x00\x00", "\x00\x03\xb1\x70\xa0\x00\x00",
	h2(1, 4, 1, "\x83\x86\x44\x01a"), h2(0, 1, 1, "\x00\x00\x00\x00\x01x"), h2(1, 5, 1, "\x88"), h2(4, 0, 0, "\x00\x03\x00\x00\x00\x02"), h2(3, 0, 1, "\x00\x00\x00\x00"),
}

// script makes an event stream of bytes: each event is a few of them that choose its type, flags,
// socket, process, thread, contexts, times and payload out of few of each, so that they meet.
func script(b []byte) (events []event.Event, gaps []gap) {
	now := int64(1e6)
	for len(b) >= 8 {
		op, who, ctx, when, n := b[0], b[1], b[2], b[3], b[4]
		now += int64(when) << (b[5] & 15)
		e := event.Event{
			Type: event.Type(op % 18), Flags: event.Flags(op>>5) * 8 & 0x78, Time: now, Sock: uint64(who & 7),
			PID: uint32(1 + who>>6&1), TID: uint32(10 + who>>3&3), Context: uint64(ctx & 7), Other: uint64(ctx >> 3 & 7),
			RPort: [...]uint16{6379, 7687, 8000, 6334}[who>>5&3],
		}
		if b[5]&16 != 0 {
			e.Flags |= event.Inbound
		}
		if b[5]&32 != 0 {
			e.Arrive = now - int64(b[6])<<8
		}
		if b[5]&64 != 0 {
			gaps = append(gaps, gap{now - int64(b[6])<<10, now})
		}
		e.Head = []byte(words[int(n)%len(words)])
		if b[5]&128 != 0 {
			e.Head = append(slices.Clip(e.Head), b[8:min(len(b), 8+int(b[7]))]...)
		}
		e.Len = uint32(len(e.Head)) + uint32(b[6]&3)*100
		events = append(events, e)
		b = b[8:]
	}
	return events, gaps
}

func FuzzScript(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x01\x00\x10\x00\x00\x01\x00\x00\x01\x00\x30\x01\x00\x02\x00\x00\x01\x01\x10\x00\x00"), false)
	seed := make([]byte, 400)
	for i := range seed {
		binary.LittleEndian.PutUint16(seed[i/2*2:], uint16(i*7919))
	}
	f.Add(seed, true)
	f.Fuzz(func(t *testing.T, b []byte, late bool) {
		events, lost := script(b)
		got := &facts{}
		tr := newTracker(got, late)
		for i := range events {
			for len(lost) > 0 && lost[0].to <= events[i].Time {
				tr.Lost(lost[0].from, lost[0].to)
				lost = lost[1:]
			}
			if events[i].Type == 17 {
				tr.Turn(Step(events[i].Flags%3), events[i].Time)
				continue
			}
			tr.Feed(&events[i])
		}
		checkEnd(t, got, tr, events)
	})
}
