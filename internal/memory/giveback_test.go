package memory

import "testing"

func TestDroppable(t *testing.T) {
	for name, tt := range map[string]struct {
		mapping mapping
		want    bool
	}{
		"code":                    {mapping{permissions: "r-xp", name: "/usr/bin/agent"}, true},
		"constants":               {mapping{permissions: "r--p", name: "/usr/bin/agent"}, true},
		"relocated constants":     {mapping{permissions: "r--p", name: "/usr/bin/agent", anonymous: 4096}, false},
		"… that were swapped out": {mapping{permissions: "r--p", name: "/usr/bin/agent", swap: 4096}, false},
		"data":                    {mapping{permissions: "rw-p", name: "/usr/bin/agent"}, false},
		"another file":            {mapping{permissions: "r-xp", name: "/usr/lib/libc.so.6"}, false},
		"the heap":                {mapping{permissions: "rw-p"}, false},
	} {
		if got := droppable(&tt.mapping, "/usr/bin/agent"); got != tt.want {
			t.Errorf("%s: droppable is %v", name, got)
		}
	}
}

// What is given back comes again when it is needed: this program goes on.
func TestGiveBack(t *testing.T) {
	resident := func() (sum uint64) {
		for _, m := range own(t) {
			sum += m.rss
		}
		return sum
	}
	before := resident()
	if err := GiveBack(); err != nil {
		t.Fatal(err)
	}
	after := resident()
	t.Logf("%d kB of this program's own pages before, %d kB after", before>>10, after>>10)
	if before == 0 || after >= before {
		t.Errorf("%d bytes of this program are in memory, %d before", after, before)
	}
}

// own are the mappings of this program that it may give back.
func own(t *testing.T) (out []mapping) {
	t.Helper()
	all, program, err := ownMappings()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if droppable(&m, program) {
			out = append(out, m)
		}
	}
	return out
}
