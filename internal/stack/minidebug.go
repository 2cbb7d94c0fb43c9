package stack

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"time"

	"github.com/ulikunitz/xz/lzma"
)

// Bounds of what is unpacked. The object is the watched process's own, and may be made to hurt.
const (
	maxMiniBytes  = 16 << 20        // of .gnu_debugdata unpacked: tables alone, libpython's take 1 MB
	maxDictionary = 8 << 20         // of its compression, which is allocated at once; xz's default
	maxUnpacking  = 2 * time.Second // a megabyte takes 50 ms
)

// errRefused is wrapped by what is wrong with compressed symbols that are there.
var errRefused = errors.New(".gnu_debugdata is refused")

// miniDebug reads .gnu_debugdata, an xz-compressed object with the functions that .dynsym does
// not have; Fedora and its relatives keep it in what they strip.
func miniDebug(file *elf.File) (*symbolTable, error) {
	section := file.Section(".gnu_debugdata")
	if section == nil {
		return nil, errNoSymbols
	}
	if section.Size > maxMiniBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", errRefused, section.Size, maxMiniBytes)
	}
	packed, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	plain, err := unpack(packed, time.Now().Add(maxUnpacking))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	inner, err := elf.NewFile(bytes.NewReader(plain))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if inner.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%w: it is no 64-bit object", errRefused)
	}
	return readSection(inner, elf.SHT_SYMTAB)
}

// unpack returns what the first block of an xz stream holds, which for a few megabytes is all. Streams as a whole are not
// read by the library, because each further block may ask for a dictionary of 4 GB, and gets it.
func unpack(packed []byte, until time.Time) (plain []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // the library panics where it is in a state that it does not know
			plain, err = nil, fmt.Errorf("unpacking panics: %v", r)
		}
	}()
	b, err := blockOf(packed)
	if err != nil {
		return nil, err
	}
	if b.dictionary > maxDictionary {
		return nil, fmt.Errorf("it asks for a dictionary of %d bytes, more than %d", b.dictionary, maxDictionary)
	}
	in := bytes.NewReader(packed[b.begin:])
	r, err := lzma.Reader2Config{DictCap: int(max(b.dictionary, lzma.MinDictCap))}.NewReader2(in)
	if err != nil {
		return nil, err
	}
	plain, err = io.ReadAll(io.LimitReader(timely{r, until}, maxMiniBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(plain) > maxMiniBytes:
		return nil, fmt.Errorf("it unpacks to more than %d bytes", maxMiniBytes)
	}
	padded := (len(packed) - in.Len() + 3) &^ 3
	return plain, b.verify(plain, packed[min(padded, len(packed)):])
}

// timely is a reader that gives up at a time.
type timely struct {
	io.Reader
	until time.Time
}

func (t timely) Read(p []byte) (int, error) {
	if time.Now().After(t.until) {
		return 0, fmt.Errorf("it is not unpacked within %v", maxUnpacking)
	}
	return t.Reader.Read(p[:min(len(p), 64<<10)])
}

// block is the first of an xz stream.
type block struct {
	begin      int    // of its data in the stream
	dictionary uint64 // bytes
	check      byte   // how what it holds is verified
}

var errNotXZ = errors.New("it is not as xz makes it")

// blockOf reads the headers of stream and block: magic, flags, checksum; then size, flags, sizes that may be there, and one
// filter, LZMA2, with one byte of properties. See https://tukaani.org/xz/xz-file-format.txt, 2.1.1, 3.1 and 5.3.1.
func blockOf(packed []byte) (b block, err error) {
	const header = 12 // of the stream
	if len(packed) < header+8 || string(packed[:6]) != "\xfd7zXZ\x00" {
		return b, errNotXZ
	}
	b.check = packed[7]
	b.begin = header + 4*(int(packed[header])+1)
	if packed[header] == 0 || b.begin > len(packed) {
		return b, errNotXZ
	}
	fields, flags := packed[header+2:b.begin-4], packed[header+1]
	if flags&^0xc0 != 0 { // further filters
		return b, errNotXZ
	}
	for _, there := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		if !there {
			continue
		}
		_, n := binary.Uvarint(fields)
		if n <= 0 {
			return b, errNotXZ
		}
		fields = fields[n:]
	}
	if len(fields) < 3 || fields[0] != 0x21 || fields[1] != 1 || fields[2] > 40 {
		return b, errNotXZ
	}
	bits := fields[2]
	b.dictionary = (2 | uint64(bits&1)) << (bits/2 + 11)
	return b, nil
}

// verify compares the checksum that follows the block.
func (b *block) verify(plain, rest []byte) error {
	var sum hash.Hash
	switch b.check {
	case 0:
		return nil
	case 1:
		sum = crc32.NewIEEE()
	case 4:
		sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		sum = sha256.New()
	default:
		return errNotXZ
	}
	sum.Write(plain)
	want := sum.Sum(nil)
	if b.check != 10 { // little endian
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.HasPrefix(rest, want) {
		return errors.New("its checksum is wrong")
	}
	return nil
}
