package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options change how a scenario is read.
type Options struct {
	// Data replaces data files by name; the paths are relative to the working directory.
	Data map[string]string
}

// Load reads a built-in scenario by its name, or a scenario file. All complaints about a file
// come back together.
func Load(nameOrFile string, o Options) (*Scenario, error) {
	for _, b := range builtins {
		if b.Name == nameOrFile {
			return b.load(o)
		}
	}
	text, err := os.ReadFile(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario %s: no such file, and not one of the built-in scenarios %s", nameOrFile, strings.Join(BuiltinNames(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return Parse(nameOrFile, text, os.DirFS(filepath.Dir(nameOrFile)), o)
}

// Parse reads a scenario from text; file names it in complaints, dir holds its data files.
func Parse(file string, text []byte, dir fs.FS, o Options) (*Scenario, error) {
	root, err := parseNodes(file, text)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file, dir: dir, options: o, data: map[string]*data{}, vars: map[string]int{}, scope: map[string]bool{}}
	s := r.scenario(root)
	if len(r.errs) > 0 {
		return nil, errors.Join(once(r.errs)...)
	}
	return s, nil
}

// once puts complaints in the order of their lines, and leaves out repeated ones: a class's headers are compiled for each of its requests.
func once(errs []error) (out []error) {
	seen := map[string]bool{}
	for _, err := range errs {
		text, _, _ := strings.Cut(err.Error(), " (variables here") // which differ from request to request
		if !seen[text] {
			seen[text] = true
			out = append(out, err)
		}
	}
	slices.SortStableFunc(out, func(a, b error) int {
		var x, y *Error
		if !errors.As(a, &x) || !errors.As(b, &y) {
			return 0
		}
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return out
}

// reader turns nodes into a Scenario and gathers complaints.
type reader struct {
	file    string
	dir     fs.FS
	options Options
	data    map[string]*data
	sets    []*data
	vars    map[string]int  // every variable: its index in Env
	scope   map[string]bool // variables that have a value where the reader is; false: when their save went well
	needs   []int           // variables that must have been saved for what was compiled since it was emptied
	draws   []int           // data sets whose row is used by what was compiled since it was emptied

	starting bool // the reader is inside of on_start
	early    bool // a variable without a value was met

	errs []error
}

func (r *reader) fail(n *node, format string, args ...any) {
	r.errs = append(r.errs, &Error{r.file, n.line, n.col, fmt.Sprintf(format, args...)})
}

// fields are those of a mapping whose names are free, none where there is no node. must says what anything else had to be.
func (r *reader) fields(n *node, must string) []field {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.fail(n, "%s, not %s", must, n.kind)
		return nil
	}
	return n.fields
}

// mapping returns the fields of n by name; what is not in known is an error.
func (r *reader) mapping(n *node, what string, known []string) map[string]*node {
	if n.kind != mappingKind {
		r.fail(n, "%s must be a mapping with some of the fields %s, not %s", what, strings.Join(known, ", "), n.kind)
		return nil
	}
	out := map[string]*node{}
	for _, f := range n.fields {
		switch {
		case !slices.Contains(known, f.name):
			r.fail(f.at, "unknown field %q in %s%s", f.name, what, suggest(f.name, known))
		case out[f.name] != nil:
			r.fail(f.at, "field %q stands twice in %s; remove one", f.name, what)
		default:
			out[f.name] = f.value
		}
	}
	return out
}

// suggest names the nearest known field, or all of them.
func suggest(name string, known []string) string {
	best := slices.MinFunc(known, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
	if distance(name, best) <= 2 {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func (r *reader) text(n *node, what string) string {
	if n == nil {
		return ""
	}
	s, ok := n.scalar.(string)
	if n.kind != scalarKind || !ok {
		r.fail(n, "%s must be text; put it in quotes", what)
	}
	return s
}

// plain is a scalar in its written form, for fields such as "20" or "20s" or 50/s.
func (r *reader) plain(n *node, what string) (string, bool) {
	if n.kind != scalarKind || n.scalar == nil {
		r.fail(n, "%s must be a single value, not %s", what, n.kind)
		return "", false
	}
	return fmt.Sprint(n.scalar), true
}

func (r *reader) count(n *node, what string) int {
	if n == nil {
		return 0
	}
	s, ok := r.plain(n, what)
	v, err := strconv.Atoi(s)
	if ok && (err != nil || v < 1) {
		r.fail(n, "%s must be a whole number from 1 up, not %s", what, s)
	}
	return v
}

func (r *reader) positive(n *node, what string) float64 {
	if n == nil {
		return 0
	}
	s, ok := r.plain(n, what)
	if !ok {
		return 0
	}
	v, err := ParseRate(s)
	if err != nil {
		r.fail(n, "%s must be a number above 0, not %s", what, s)
	}
	return v
}

func (r *reader) flag(n *node, what string) bool {
	if n == nil {
		return false
	}
	b, ok := n.scalar.(bool)
	if !ok {
		r.fail(n, "%s must be true or false", what)
	}
	return b
}

func (r *reader) duration(n *node, what string) time.Duration {
	if n == nil {
		return 0
	}
	s, ok := r.plain(n, what)
	if !ok {
		return 0
	}
	d, err := ParseDuration(s)
	if err != nil || d <= 0 {
		r.fail(n, "%s: %q is not a duration above 0; write 30s, 5m, 1h20m or plain seconds", what, s)
	}
	return d
}

// ParseDuration reads a duration as Locust writes it (20, 20s, 1h20m) or as Go does (1.5s,
// 250ms).
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration; write 20, 20s, 3m, 1h20m or 250ms", s)
	}
	return d, nil
}

// ParseRate reads "50", "50/s", "3000/m" as a number per second above 0.
func ParseRate(s string) (float64, error) {
	number, per := strings.TrimSpace(s), 1.0
	for suffix, seconds := range map[string]float64{"/s": 1, "/m": 60, "/h": 3600} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, per = strings.TrimSpace(rest), seconds
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0) || v > 1e9 {
		return 0, fmt.Errorf("%q is not a rate above 0; write 50, 50/s or 3000/m", s)
	}
	return v / per, nil
}
