package memory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// kind is a kind of mapping, with how it is told from others.
type kind struct{ name, basis string }

var (
	kindBrk     = kind{"malloc: main heap (brk)", "the mapping [heap]"}
	kindArena   = kind{"malloc: arenas of threads (glibc)", "writable mappings at a multiple of 64 MiB, the rest up to the next one reserved"}
	kindStack   = kind{"stacks", "[stack], and writable mappings right behind an inaccessible guard"}
	kindOther   = kind{"large blocks and other anonymous memory", "anonymous mappings of no other kind: malloc maps blocks from 128 kB on one by one"}
	kindChanged = kind{"changed copies of file pages", "anonymous pages in private mappings of files: relocated and written data of libraries"}
	kindLibrary = kind{"programs and libraries", "unchanged pages of files that are also mapped as code"}
	kindMapped  = kind{"mapped files", "unchanged pages of other files"}
	kindShared  = kind{"shared memory", "tmpfs, memfd, System V and shared anonymous mappings"}
)

// kindPython is CPython's arenas of the given size. Neighbours may be joined by the kernel into one
// mapping, so a multiple is asked for.
func kindPython(arena uint64) kind {
	return kind{"Python: object arenas (pymalloc)", fmt.Sprintf("anonymous mappings of a multiple of %d KiB, this version's size of an arena: a block of malloc of just that size counts too, arenas that the kernel joined with another mapping do not", arena>>10)}
}

// arenaAlign is the size, and the alignment, of the arenas that glibc gives to threads on 64-bit
// machines (HEAP_MAX_SIZE in malloc/arena.c: twice DEFAULT_MMAP_THRESHOLD_MAX).
const arenaAlign = 64 << 20

// maxGuard is more than any guard of a thread's stack that is in use.
const maxGuard = 1 << 20

// consistsOf sorts mappings by kind. arena is the size of CPython's arenas, 0 where it is not
// CPython.
func consistsOf(maps []mapping, arena uint64) recording.MemoryParts {
	var out recording.MemoryParts
	code := map[string]bool{}
	for i := range maps {
		if m := &maps[i]; m.file && strings.Contains(m.permissions, "x") {
			code[m.name] = true
		}
	}
	parts := map[kind]*recording.MemoryPart{}
	add := func(k kind, bytes uint64) {
		if bytes == 0 {
			return
		}
		p := parts[k]
		if p == nil {
			p = &recording.MemoryPart{Kind: k.name, Basis: k.basis}
			parts[k] = p
		}
		p.Bytes += bytes
		p.Mappings++
	}
	for i := range maps {
		m := &maps[i]
		out.RSS, out.PSS, out.Swap = out.RSS+m.rss, out.PSS+m.pss, out.Swap+m.swap
		anonymous := min(m.anonymous, m.rss)
		switch {
		case m.shared():
			out.Shared += m.rss
			add(kindShared, m.rss)
		case m.file:
			out.Anonymous, out.File = out.Anonymous+anonymous, out.File+m.rss-anonymous
			add(kindChanged, anonymous)
			if code[m.name] {
				add(kindLibrary, m.rss-anonymous)
			} else {
				add(kindMapped, m.rss-anonymous)
			}
		default:
			out.Anonymous, out.File = out.Anonymous+anonymous, out.File+m.rss-anonymous // [vdso] is of no file, and not anonymous
			add(anonymousKind(maps, i, arena), m.rss)
		}
	}
	for _, p := range parts {
		out.Parts = append(out.Parts, *p)
	}
	sortParts(out.Parts)
	return out
}

func sortParts(parts []recording.MemoryPart) {
	slices.SortFunc(parts, func(a, b recording.MemoryPart) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind))
	})
}

// shared: what the kernel counts as RssShmem.
func (m *mapping) shared() bool {
	for _, prefix := range [...]string{"/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "[anon_shmem"} {
		if strings.HasPrefix(m.name, prefix) {
			return true
		}
	}
	return false
}

// plain is anonymous memory without a name.
func (m *mapping) plain(permissions string) bool {
	return !m.file && m.name == "" && m.permissions == permissions
}

// anonymousKind tells what the i-th mapping is for. Programs may name their mappings
// (PR_SET_VMA_ANON_NAME): glibc does with glibc.mem.decorate_maps=1, CPython from 3.15 on.
func anonymousKind(maps []mapping, i int, arena uint64) kind {
	m := &maps[i]
	for _, named := range [...]struct {
		part string
		kind
	}{{"malloc arena", kindArena}, {"pthread stack", kindStack}, {"[stack", kindStack}, {"[heap]", kindBrk}, {"pymalloc", kindPython(arena)}} {
		if strings.Contains(m.name, named.part) {
			return named.kind
		}
	}
	if !m.plain("rw-p") {
		return kindOther
	}
	if m.start%arenaAlign == 0 && m.end <= m.start+arenaAlign {
		reserved := i+1 < len(maps) && maps[i+1].plain("---p") && maps[i+1].start == m.end && maps[i+1].end == m.start+arenaAlign
		if reserved || m.end == m.start+arenaAlign {
			return kindArena
		}
	}
	if i > 0 && maps[i-1].plain("---p") && maps[i-1].end == m.start && m.start-maps[i-1].start <= maxGuard {
		return kindStack
	}
	if arena > 0 && (m.end-m.start)%arena == 0 {
		return kindPython(arena)
	}
	return kindOther
}

// together adds up what several processes consist of.
func together(all []recording.MemoryParts) recording.MemoryParts {
	var sum recording.MemoryParts
	for _, p := range all {
		sum.T = max(sum.T, p.T)
		sum.RSS, sum.PSS, sum.Swap = sum.RSS+p.RSS, sum.PSS+p.PSS, sum.Swap+p.Swap
		sum.File, sum.Anonymous, sum.Shared = sum.File+p.File, sum.Anonymous+p.Anonymous, sum.Shared+p.Shared
		for _, part := range p.Parts {
			i := slices.IndexFunc(sum.Parts, func(o recording.MemoryPart) bool { return o.Kind == part.Kind })
			if i < 0 {
				sum.Parts = append(sum.Parts, part)
				continue
			}
			sum.Parts[i].Bytes += part.Bytes
			sum.Parts[i].Mappings += part.Mappings
		}
	}
	sortParts(sum.Parts)
	return sum
}
