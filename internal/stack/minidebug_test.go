package stack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz"
)

// packed is text as xz makes it, with a checksum of a kind.
func packed(t *testing.T, text []byte, check byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: check, DictCap: 1 << 20}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var soon = func() time.Time { return time.Now().Add(maxUnpacking) }

func TestUnpack(t *testing.T) {
	text := bytes.Repeat([]byte("symbols of a library that was stripped, "), 3000)
	for _, check := range []byte{xz.None, xz.CRC32, xz.CRC64, xz.SHA256} {
		for _, text := range [][]byte{text, text[:1], text[:7777]} {
			if plain, err := unpack(packed(t, text, check), soon()); err != nil || !bytes.Equal(plain, text) {
				t.Errorf("check %d: %d of %d bytes, %v", check, len(plain), len(text), err)
			}
		}
	}
}

// Streams that were made to hurt: each is refused, or what it holds is what it should.
func TestUnpackHostile(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 200)
	good := packed(t, text, xz.CRC64)
	for i := range good {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			if plain, err := unpack(bad, soon()); err == nil && !bytes.Equal(plain, text) {
				t.Errorf("byte %d flipped by %#x: %d bytes of something else", i, flip, len(plain))
			}
		}
		if plain, err := unpack(good[:i], soon()); err == nil && !bytes.Equal(plain, text) {
			t.Errorf("cut off at %d: %d bytes", i, len(plain))
		}
	}
	for name, hostile := range map[string][]byte{
		"nothing":                     nil,
		"a header alone":              []byte("\xfd7zXZ\x00"),
		"only ones":                   bytes.Repeat([]byte{0xff}, 64),
		"a dictionary of 4 GB":        withDictionary(good, 40),
		"one of 12 MB":                withDictionary(good, 23),
		"16 MB and more of the same":  packed(t, make([]byte, maxMiniBytes+1), xz.CRC32),
		"a checksum that is not ours": append(bytes.Clone(good[:7]), append([]byte{7}, good[8:]...)...),
	} {
		if plain, err := unpack(hostile, soon()); err == nil {
			t.Errorf("%s: %d bytes", name, len(plain))
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	if _, err := unpack(good, time.Now().Add(-time.Second)); err == nil {
		t.Error("it is unpacked although there was no time")
	}
}

// withDictionary is a stream whose first block asks for another dictionary, its checksum mended.
func withDictionary(good []byte, bits byte) []byte {
	bad := bytes.Clone(good)
	end := 12 + 4*(int(bad[12])+1)
	at := 12 + bytes.Index(bad[12:end], []byte{0x21, 1}) + 2
	bad[at] = bits
	binary.LittleEndian.PutUint32(bad[end-4:], crc32.ChecksumIEEE(bad[12:end-4]))
	return bad
}

// A further block could ask for any dictionary: it is not looked at.
func TestUnpackTakesOneBlock(t *testing.T) {
	text := []byte("the first block")
	first, second := packed(t, text, xz.CRC32), withDictionary(packed(t, text, xz.CRC32), 40)
	index := bytes.LastIndex(first, []byte{0, 1}) // the index: its mark and one record
	two := append(bytes.Clone(first[:index]), second[12:]...)
	before := time.Now()
	if plain, err := unpack(two, soon()); err != nil || !bytes.Equal(plain, text) {
		t.Errorf("%q, %v", plain, err)
	}
	if d := time.Since(before); d > time.Second {
		t.Errorf("it takes %v", d)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x00a"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if plain, err := unpack(in, soon()); err == nil && len(plain) > maxMiniBytes {
			t.Errorf("%d bytes", len(plain))
		}
	})
}

// What is refused is counted, and said with its reason; the exported names stay.
func TestRefusedSymbolsAreCounted(t *testing.T) {
	dir := t.TempDir()
	path, hidden := compiled(t, dir)
	sh(t, dir, "strip -s libx.so; head -c 200 /dev/urandom >mini.xz; objcopy --add-section .gnu_debugdata=mini.xz libx.so")
	var log strings.Builder
	s := newSymbols(func(name string) (file, error) {
		if !strings.HasSuffix(name, "/libx.so") {
			return nil, os.ErrNotExist
		}
		return openFile(path)
	}, func(io.ReadSeeker) objectID { return objectID{1} })
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	s.add(objectID{1}, object{name: "libx.so", path: "/libx.so"})
	for range 3 {
		if name, final := s.name(7, objectID{1}, "libx.so", hidden+1); !final || !strings.HasPrefix(name, "libx.so+0x") {
			t.Errorf("name %q, final %v", name, final)
		}
	}
	if _, refused, _ := s.missing(); refused != 1 || strings.Count(log.String(), errRefused.Error()) != 1 {
		t.Errorf("%d are counted, the log says %q", refused, log.String())
	}
}
