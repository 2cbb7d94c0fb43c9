package scenario

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// data is one data set: rows of single values, or of named fields.
type data struct {
	name   string
	file   string
	index  int // in Scenario.sets
	order  order
	used   bool               // some template uses the user's row
	rows   []value            // when each row is a single value
	fields map[string][]value // when each row has fields
}

// order is which row a user has: in random and sequential order another one each turn, in
// unique order its own one as long as it lives.
type order string

const (
	random     order = "random"
	sequential order = "sequential"
	unique     order = "unique"
)

// count is the number of rows.
func (d *data) count() int {
	for _, rows := range d.fields {
		return len(rows)
	}
	return len(d.rows)
}

// usual names of the field that holds a query, tried in this order when a template does not
// name one.
var usualFields = []string{"query", "question", "text"}

// maxDataBytes bounds a data file; it is held in memory.
const maxDataBytes = 256 << 20

// dataSets reads the data files of the scenario, and those that the options put in their place.
func (r *reader) dataSets(n *node) {
	replaced := maps.Clone(r.options.Data)
	if n != nil {
		if n.kind != mappingKind {
			r.fail(n, "data must be a mapping of names to files, such as {queries: queries.jsonl}, or to lists, not %s", n.kind)
			return
		}
		for _, f := range n.fields {
			d := r.dataSet(f, replaced)
			d.index = len(r.sets)
			r.sets = append(r.sets, d)
			r.data[f.name] = d
		}
	}
	for name := range replaced {
		r.errs = append(r.errs, fmt.Errorf("%s: the scenario has no data set named %s to replace; add data: {%s: …} to it", r.file, name, name))
	}
}

// dataSet reads one data set; its value in the file is a path, or {file: …, order: …}.
func (r *reader) dataSet(f field, replaced map[string]string) *data {
	at, how := f.value, random
	if f.value.kind == sequenceKind {
		return r.inlineData(f)
	}
	if f.value.kind == mappingKind {
		fields := r.mapping(f.value, "data "+f.name, dataFields)
		if at = fields["file"]; at == nil {
			r.fail(f.value, "data %s has no file; write file: queries.jsonl", f.name)
			return &data{name: f.name, order: how, rows: []value{{}}}
		}
		if n := fields["order"]; n != nil {
			how = order(r.text(n, "order"))
			if how != random && how != sequential && how != unique {
				r.fail(n, "order must be random, sequential or unique, not %q", how)
				how = random
			}
		}
	}
	file := r.text(at, "data "+f.name)
	read := func() ([]byte, error) { return fs.ReadFile(r.dir, filepath.ToSlash(filepath.Clean(file))) }
	if filepath.IsAbs(file) || strings.HasPrefix(filepath.ToSlash(filepath.Clean(file)), "../") {
		read = func() ([]byte, error) { return os.ReadFile(r.beside(file)) }
	}
	if other, ok := replaced[f.name]; ok {
		file, read = other, func() ([]byte, error) { return os.ReadFile(other) }
		delete(replaced, f.name)
	}
	d, err := readData(f.name, file, read)
	if err != nil {
		r.fail(at, "data %s: %v", f.name, err)
		d = &data{name: f.name, rows: []value{{}}} // so that its uses are not reported too
	}
	d.order = how
	return d
}

// inlineData reads a data set that stands in the scenario itself: a list.
func (r *reader) inlineData(f field) *data {
	d := &data{name: f.name, file: r.file, order: random}
	for _, item := range f.value.items {
		text, constant := r.jsonTemplate(item).Constant()
		if !constant {
			r.fail(item, "data %s: rows are constants, without {{ }}", f.name)
			continue
		}
		if err := d.addJSON([]byte(text)); err != nil {
			r.fail(item, "data %s: %v", f.name, err)
		}
	}
	if d.count() == 0 {
		r.fail(f.value, "data %s has no rows", f.name)
		d.rows, d.fields = []value{{}}, nil
	}
	return d
}

// beside resolves a path that leaves the scenario's folder.
func (r *reader) beside(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(r.file), file)
}

func readData(name, file string, read func() ([]byte, error)) (*data, error) {
	text, err := read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("file %s does not exist; paths are relative to the scenario file", file)
	}
	if err != nil {
		return nil, err
	}
	if len(text) > maxDataBytes {
		return nil, fmt.Errorf("file %s is larger than %d MB; take a part of it", file, maxDataBytes>>20)
	}
	d := &data{name: name, file: file}
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".jsonl", ".ndjson":
		err = d.readJSONL(text)
	case ".csv":
		err = d.readCSV(text)
	case ".txt", "":
		err = d.readLines(text)
	default:
		err = fmt.Errorf("file %s: %s is not a known kind of data; use .jsonl, .csv or .txt", file, ext)
	}
	if err == nil && len(d.rows) == 0 && len(d.fields) == 0 {
		err = fmt.Errorf("file %s has no rows", file)
	}
	return d, err
}

func (d *data) lines(text []byte, each func(line int, b []byte) error) error {
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 16<<20)
	for n := 1; sc.Scan(); n++ {
		if b := bytes.TrimSpace(sc.Bytes()); len(b) > 0 {
			if err := each(n, b); err != nil {
				return fmt.Errorf("%s:%d: %w", d.file, n, err)
			}
		}
	}
	return sc.Err()
}

func (d *data) readLines(text []byte) error {
	return d.lines(text, func(_ int, b []byte) error {
		d.rows = append(d.rows, value{string(b), quoteJSON(string(b))})
		return nil
	})
}

func (d *data) readJSONL(text []byte) error {
	return d.lines(text, func(_ int, b []byte) error { return d.addJSON(b) })
}

// addJSON adds a row.
func (d *data) addJSON(b []byte) error {
	var object map[string]json.RawMessage
	if b[0] == '{' {
		if err := json.Unmarshal(b, &object); err != nil {
			return fmt.Errorf("not valid JSON: %w", err)
		}
		return d.addFields(object)
	}
	v, err := jsonValue(b)
	if err != nil {
		return err
	}
	if d.fields != nil {
		return errors.New("a single value among objects; make all rows alike")
	}
	d.rows = append(d.rows, v)
	return nil
}

func (d *data) addFields(object map[string]json.RawMessage) error {
	if d.rows != nil {
		return errors.New("an object among single values; make all rows alike")
	}
	first := d.fields == nil
	if first {
		d.fields = map[string][]value{}
	}
	for name, raw := range object {
		v, err := jsonValue(raw)
		if err != nil {
			return err
		}
		if _, known := d.fields[name]; known || first {
			d.fields[name] = append(d.fields[name], v)
		}
	}
	for name := range d.fields { // a field counts only when every row has it
		if _, has := object[name]; !has {
			delete(d.fields, name)
		}
	}
	return nil
}

func jsonValue(raw []byte) (value, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return value{}, fmt.Errorf("not valid JSON: %w", err)
	}
	if s, ok := v.(string); ok {
		return value{s, quoteJSON(s)}, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return value{}, err
	}
	return value{compact.String(), compact.String()}, nil
}

func (d *data) readCSV(text []byte) error {
	records, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	if len(records) < 2 {
		return fmt.Errorf("%s: a CSV file needs a header and at least one row", d.file)
	}
	d.fields = map[string][]value{}
	for _, record := range records[1:] {
		for i, cell := range record {
			name := strings.TrimSpace(records[0][i])
			d.fields[name] = append(d.fields[name], value{cell, quoteJSON(cell)})
		}
	}
	return nil
}

// rows resolves ".queries" or ".queries.text".
func (r *reader) rows(arg string) ([]value, error) {
	path, ok := strings.CutPrefix(arg, ".")
	if !ok {
		return nil, fmt.Errorf("%q is not a data set; write a dot before its name: .%s", arg, arg)
	}
	name, fieldName, named := strings.Cut(path, ".")
	d, ok := r.data[name]
	if !ok {
		known := slices.Sorted(maps.Keys(r.data))
		return nil, fmt.Errorf("data set %q is not defined; add data: {%s: FILE} to the scenario (defined: %s)", name, name, orNone(known))
	}
	if d.rows != nil {
		if named {
			return nil, fmt.Errorf("the rows of %s are single values without a field %q; write .%s", name, fieldName, name)
		}
		return d.rows, nil
	}
	known := slices.Sorted(maps.Keys(d.fields))
	if !named {
		candidates := usualFields
		if len(known) == 1 {
			candidates = known
		}
		for _, f := range candidates {
			if rows, ok := d.fields[f]; ok {
				return rows, nil
			}
		}
		return nil, fmt.Errorf("the rows of %s have several fields; name one: .%s.%s (they are %s)", name, name, known[0], strings.Join(known, ", "))
	}
	if rows, ok := d.fields[fieldName]; ok {
		return rows, nil
	}
	return nil, fmt.Errorf("not every row of %s has a field %q; all have %s", name, fieldName, orNone(known))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// zipfTable returns the cumulated chances of ranks 1 … n with weight 1/rankˢ.
func zipfTable(n int, s float64) []float64 {
	table := make([]float64, n)
	var sum float64
	for i := range table {
		sum += math.Pow(float64(i+1), -s)
		table[i] = sum
	}
	for i := range table {
		table[i] /= sum
	}
	return table
}
