package event

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
)

func recorded(t testing.TB, events ...Event) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// one of each type with each of its flags, and times that go backwards.
func everything() []Event {
	var all []Event
	for i, kind := range storedTypes[1:] {
		all = append(all, Event{
			Type: kind, Time: 1e15 - int64(i)*1e6, Arrive: int64(i % 3), Sock: 1 << 63, Context: uint64(i), Other: math.MaxUint64 >> i,
			PID: 1, TID: math.MaxUint32, Len: uint32(i), LPort: 8000, RPort: math.MaxUint16, Head: []byte(strings.Repeat("h", i)), Tail: []byte("tail"[:i%5]),
		})
		for _, f := range flagsOf(kind) {
			all = append(all, Event{Type: kind, Flags: f, Time: 5, Head: []byte{}, Tail: []byte{}})
		}
	}
	return all
}

func TestStream(t *testing.T) {
	want := everything()
	got, err := ReadStream(bytes.NewReader(recorded(t, want...)))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d of %d events, %v", len(got), len(want), err)
	}
	for i := range want {
		g, w := got[i], want[i]
		if string(g.Head) != string(w.Head) || string(g.Tail) != string(w.Tail) {
			t.Errorf("captured %q %q, want %q %q", g.Head, g.Tail, w.Head, w.Tail)
		}
		g.Head, g.Tail, w.Head, w.Tail = nil, nil, nil, nil
		if !reflect.DeepEqual(g, w) {
			t.Errorf("got %+v\nwant %+v", g, w)
		}
	}
	if events, err := ReadStream(strings.NewReader("")); err != nil || len(events) != 0 {
		t.Errorf("an empty stream gives %v, %v", events, err)
	}
}

// The bytes of a stream that was recorded long ago mean the same for ever.
func TestStreamIsStable(t *testing.T) {
	const old = "ragscope events 1\n" + "\x1e\x02\x01\x04\x01\x06\x14\x08\x05\x0a\x07\x0c\x08\x0e\x09\x10\x0b\x12\x0c\x14\x0d\x16\x0e\x18\x0f\x1b\x02hi\x1d\x00" + "\x08\x02\x0c\x04\x05\x06\x03\x0e\x02"
	events, err := ReadStream(strings.NewReader(old))
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	want := []Event{
		{Type: Recv, Flags: Inbound, Time: 10, Arrive: 8, Sock: 7, Context: 8, Other: 9, PID: 11, TID: 12, Len: 13, LPort: 14, RPort: 15, Head: []byte("hi"), Tail: []byte{}},
		{Type: Switch, Flags: Preempted | GIL, Time: 8, Other: 7},
	}
	if !reflect.DeepEqual(events, want) {
		t.Errorf("%+v\nwant %+v", events, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, e := range map[string]Event{"type": {Type: 200}, "none": {}, "flag": {Type: Recv, Flags: 128}, "flag of a switch": {Type: Switch, Flags: 64}} {
		if err := NewWriter(&bytes.Buffer{}).Write(&e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadStreamDamaged(t *testing.T) {
	first := recorded(t, everything()[:1]...)
	good := recorded(t, everything()[:2]...)
	for n := 1; n < len(good); n++ {
		if n == len(first) || n == len(magic) {
			continue // ends between two records
		}
		if events, err := ReadStream(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("cut after %d of %d bytes: %d events and no error", n, len(good), len(events))
		}
	}
	for want, record := range map[string]string{
		"not a recorded event stream": string(binary.AppendUvarint(nil, 1<<31)),
		"its type 99 is not known":    "\x02\x02\x63",
		"its flags 0x80":              "\x05\x02\x01\x04\x80\x01",
		"its fields are cut":          "\x05\x02\x01\x1b\x09x",
	} {
		if _, err := ReadStream(strings.NewReader(magic + record)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if events, err := ReadStream(strings.NewReader(magic + "\x05\x02\x01\x64\x05\x08"[:1] + "\x02\x01\x64\x05" + "\x08")); err == nil {
		t.Errorf("a field cut off: %+v", events)
	}
	if events, err := ReadStream(strings.NewReader(magic + "\x04\x02\x01\x64\x05")); err != nil || len(events) != 1 {
		t.Errorf("a field of the future: %v, %v", events, err)
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add(recorded(f, everything()...))
	f.Add(recorded(f, Event{Type: Frames, Head: []byte(frameRecord("123456789", "abc", 3))}))
	f.Add([]byte{})
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, _ := ReadStream(bytes.NewReader(b))
		for i := range events {
			e := &events[i]
			if len(e.Head)+len(e.Tail) > len(b) {
				t.Fatalf("%d captured bytes of %d", len(e.Head)+len(e.Tail), len(b))
			}
			e.Addresses()
			e.EachFrame(func(fr Frame) {
				if len(fr.Payload) > len(e.Head) {
					t.Fatalf("a frame of %d bytes in %d", len(fr.Payload), len(e.Head))
				}
			})
		}
		if again, err := ReadStream(bytes.NewReader(recorded(t, events...))); err != nil || len(again) != len(events) {
			t.Fatalf("written anew, %d of %d events: %v", len(again), len(events), err)
		}
	})
}
