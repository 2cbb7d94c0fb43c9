package target

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// TLS is a TLS library of a process whose plaintext can be seen: OpenSSL 1.1.1 to 3, as a shared
// library or inside of something else that keeps its symbols.
type TLS struct {
	Name string // as the process sees it

	// Read and Write are what every read and write goes through, (ssl, buffer, size, &count); Read is
	// an entry, for a return probe as well. Handshake and Free take the session as first argument.
	Read, Write, Handshake, Free *Probe

	// BIO is where a session keeps its read BIO, Pointer where a BIO keeps its data, in bytes.
	BIO, Pointer uint16
}

// InspectTLS looks for the TLS libraries of a process. Notes say which it has and cannot be
// followed, as sentences for the user; no library at all is no error.
func InspectTLS(pid int) (found []TLS, notes []string, err error) {
	maps, err := readMaps(pid)
	if err != nil {
		return nil, nil, err
	}
	var inside []string // files that hold OpenSSL themselves, looked at where there is no libssl
	for _, path := range files(maps) {
		switch base := filepath.Base(path); {
		case strings.HasPrefix(base, "libssl"):
			if t, err := inspectTLS(pid, maps, path); err != nil {
				notes = append(notes, err.Error())
			} else {
				found = append(found, *t)
			}
		case strings.HasPrefix(base, "_ssl."), strings.HasPrefix(base, "libpython"), path == executable(pid):
			inside = append(inside, path)
		default:
			if why := opaqueTLS(base); why != "" {
				notes = append(notes, fmt.Sprintf("%s has a TLS of its own, %s: its connections are not followed", path, why))
			}
		}
	}
	for _, path := range inside {
		if len(found) > 0 {
			break
		}
		t, err := inspectTLS(pid, maps, path)
		switch {
		case err == nil:
			found = append(found, *t)
		case errors.Is(err, errNoSymbols): // those of python-build-standalone, which uv installs
			notes = append(notes, fmt.Sprintf("%s has an OpenSSL without symbols in it: its connections are not followed", path))
		}
	}
	return found, notes, nil
}

// opaqueTLS knows modules with a TLS library that has no symbols.
func opaqueTLS(base string) string {
	switch {
	case strings.HasPrefix(base, "cygrpc."):
		return "BoringSSL without symbols"
	case strings.HasPrefix(base, "_granian."):
		return "rustls without symbols"
	}
	return ""
}

// files lists what is mapped, each once.
func files(maps []mapping) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range maps {
		if !seen[m.path] {
			seen[m.path] = true
			out = append(out, m.path)
		}
	}
	return out
}

func inspectTLS(pid int, maps []mapping, path string) (*TLS, error) {
	only := func(m mapping) bool { return m.path == path }
	l, err := openLibrary(pid, where(maps, only), func(string) bool { return true }, anyImage)
	if l == nil {
		return nil, fmt.Errorf("%s could not be read (%w): TLS is not followed", path, err)
	}
	defer l.close()
	t := &TLS{Name: path}
	t.Read, t.Write = l.through("SSL_read_ex", true), l.through("SSL_write_ex", false)
	t.Handshake = l.exported("SSL_do_handshake")
	t.Free = l.exported("SSL_free")
	python := l.symbols["PyThreadState_Next"].address != 0 || l.symbols["PyInit__ssl"].address != 0
	if t.Read == nil && python && (l.contains("OpenSSL 3.") || l.contains("OpenSSL 1.1.")) {
		return nil, errNoSymbols
	}
	if t.Read == nil || t.Write == nil || t.Handshake == nil || t.Free == nil {
		return nil, fmt.Errorf("%s exports no SSL_read_ex and SSL_write_ex: TLS is not followed", path)
	}
	crypto := l // closed twice then, which does nothing
	if l.symbols["BIO_get_data"].address == 0 {
		beside := func(m mapping) bool { return filepath.Dir(m.path) == filepath.Dir(path) }
		crypto, _ = openLibrary(pid, where(maps, beside), func(base string) bool { return strings.HasPrefix(base, "libcrypto") }, anyImage)
	}
	defer crypto.close()
	if crypto == nil {
		return nil, fmt.Errorf("no libcrypto was found beside %s: TLS is not followed", path)
	}
	bio, known := l.code.accessor(l.image, l.symbols["SSL_get_rbio"].address)
	pointer, known2 := crypto.code.accessor(crypto.image, crypto.symbols["BIO_get_data"].address)
	if !known || !known2 || bio > maxField || pointer > maxField || pointer < methodBeforePointer {
		return nil, fmt.Errorf("the layout of %s is not known: TLS is not followed", path)
	}
	t.BIO, t.Pointer = uint16(bio), uint16(pointer)
	return t, nil
}

var errNoSymbols = errors.New("OpenSSL without symbols")

// contains looks for a text in what the file has loaded.
func (m *image) contains(text string) (found bool) {
	for _, s := range m.segments {
		m.scan(s, len(text)-1, func(_ uint64, part []byte) bool {
			found = bytes.Contains(part, []byte(text))
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

const (
	maxField            = 1 << 15 // of a struct, in bytes
	methodBeforePointer = 56      // see tls.bpf.c
)

func where(maps []mapping, wanted func(mapping) bool) (out []mapping) {
	for _, m := range maps {
		if wanted(m) {
			out = append(out, m)
		}
	}
	return out
}

func (l *library) exported(name string) *Probe {
	s := l.symbols[name]
	if s.address == 0 {
		return nil
	}
	return l.probe(name, s.address, 1)
}

// through describes a trap at the function that an exported one hands its arguments to unchanged,
// if the kernel emulates that one's first instruction: SSL_read_ex begins with a subtraction and
// ssl_read_internal, which SSL_read shares, with a push. Else it is the exported one's.
func (l *library) through(name string, entry bool) *Probe {
	address := l.symbols[name].address
	if address == 0 {
		return nil
	}
	if inner := l.handsOn(address); inner != 0 {
		if p := l.entry(name+" (inner)", inner); p != nil && p.Emulated {
			return p
		}
	}
	if entry {
		return l.entry(name, address)
	}
	return l.probe(name, address, 0)
}

// handsOn is the function that the one at address calls, or jumps to, before it changes an argument.
func (l *library) handsOn(address uint64) uint64 {
	const call = 5 // bytes, of a call or jump with a 32-bit distance
	delta, emulated := l.code.trap(l.image, address, 0)
	code := l.at(address+delta, call)
	if l.machine != elf.EM_X86_64 || !emulated || len(code) < call || code[0] != 0xe8 && code[0] != 0xe9 {
		return 0
	}
	to := l.code.calls(l.image, address+delta, call)
	if len(to) != 1 {
		return 0
	}
	return to[0]
}
