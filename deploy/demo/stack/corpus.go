package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// books are the corpus: two manuals of Debian in plain text, all GPL-2+.
var books = []struct{ pkg, file string }{
	{"debian-reference-en", "usr/share/debian-reference/debian-reference.en.txt.gz"},
	{"debian-faq", "usr/share/doc/debian/FAQ/debian-faq.en.txt.gz"},
}

// corpusRules goes up when the code below would cut the same books differently.
const corpusRules = "7"

// passage is a few sentences of one section.
type passage struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

func passagesFile(s settings) string {
	if s.corpus != "" {
		return s.corpus
	}
	return s.cached("corpus/passages.jsonl")
}

// queriesFile depends on the corpus, so an own corpus has its own queries.
func queriesFile(s settings) string {
	if s.corpus != "" {
		return filepath.Join(s.state, "queries.jsonl")
	}
	return s.cached("corpus/queries.jsonl")
}

func makeCorpus(ctx context.Context, s settings, f *family) (string, error) {
	if s.corpus != "" {
		passages, err := readPassages(s.corpus)
		if err != nil {
			return "", fmt.Errorf("DEMO_CORPUS: %w", err)
		}
		return fmt.Sprintf("%d passages of %s", len(passages), s.corpus), writeQueries(queriesFile(s), passages)
	}
	made, err := onlyOnce(s.cached("corpus"), corpusRules, func() error {
		var passages []passage
		for _, book := range books {
			text, err := fetchBook(ctx, s, f, book.pkg, book.file)
			if err != nil {
				return err
			}
			cut := cutPassages(text, len(passages)+1)
			if len(cut) < 50 {
				return fmt.Errorf("only %d passages were found in %s: has its layout changed?", len(cut), book.pkg)
			}
			passages = append(passages, cut...)
		}
		return errors.Join(writeLines(passagesFile(s), passages), writeQueries(queriesFile(s), passages))
	})
	return cachedOr(made, "two manuals of Debian cut into passages"), err
}

// fetchBook downloads a package and unpacks it; nothing is installed, so no rights are needed.
func fetchBook(ctx context.Context, s settings, f *family, pkg, file string) (string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", unavailable("the passages come from Debian's package %s, and there is no apt-get: set DEMO_CORPUS to a file of lines like "+
			`{"id": 1, "title": "…", "text": "…"}`, pkg)
	}
	dir := s.cached("corpus")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := f.run(ctx, program{name: "corpus", argv: []string{"apt-get", "download", pkg}, dir: dir}); err != nil {
		return "", fmt.Errorf("%w\n  if the package is unknown, run 'apt-get update' as root first", err)
	}
	debs, _ := filepath.Glob(filepath.Join(dir, pkg+"_*.deb"))
	if len(debs) == 0 {
		return "", fmt.Errorf("apt-get download %s left no file in %s", pkg, dir)
	}
	if err := f.run(ctx, program{name: "corpus", argv: []string{"dpkg-deb", "-x", debs[len(debs)-1], filepath.Join(dir, "books")}}); err != nil {
		return "", err
	}
	packed, err := os.ReadFile(filepath.Join(dir, "books", file))
	if err != nil {
		return "", err
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(unpacked)
	return string(text), err
}

// heading is a section's title: it starts its line, and its number has two levels at least ("1.2.8. Named pipes").
var heading = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)+\. (\S.*)$`)

// cutPassages turns a book into passages of about 20 to 60 words that keep to one section, numbered from first on.
// Tables and terminal sessions are left out.
func cutPassages(book string, first int) []passage {
	var passages []passage
	var title string
	var pending, block []string // words; lines
	flush := func() {
		if len(pending) >= 10 {
			passages = append(passages, passage{first + len(passages), title, strings.Join(pending, " ")})
		}
		pending = nil
	}
	endBlock := func() {
		text := strings.Join(block, "\n")
		words := strings.Fields(text)
		block = nil
		if title == "" || !isProse(text) || len(words) > 150 {
			return
		}
		if len(pending)+len(words) > 60 {
			flush()
		}
		if pending = append(pending, words...); len(pending) >= 20 {
			flush()
		}
	}
	inTitle := false // a long title goes on in the next line
	for line := range strings.Lines(strings.ReplaceAll(book, "\u00a0", " ")) {
		line = strings.TrimRight(line, " \t\r\n")
		m := heading.FindStringSubmatch(line)
		switch {
		case m != nil:
			endBlock()
			flush()
			title, inTitle = m[1], true
		case line == "":
			endBlock()
			inTitle = false
		case inTitle && strings.Trim(line, "*=-~ ") != "" && line[0] != ' ':
			title += " " + line
		case !inTitle:
			block = append(block, line)
		}
	}
	endBlock()
	flush()
	return passages
}

// isProse tells sentences from tables, commands and program text.
func isProse(block string) bool {
	block = strings.TrimSpace(block)
	if len(strings.Fields(block)) < 5 || strings.ContainsAny(block, "|{}") || strings.HasPrefix(block, "$") || strings.HasPrefix(block, "#") {
		return false
	}
	letters, marks := 0, 0
	for _, r := range block {
		switch {
		case unicode.IsLetter(r):
			letters++
		case !unicode.IsSpace(r):
			marks++
		}
	}
	return letters > 5*marks
}

// A query file holds distinct questions about the books' sections, the most popular first: the loader draws them by
// Zipf's law on their rank, so that caches hit sometimes.
const (
	distinctMax = 600
	querySeed   = 135
)

type query struct {
	Query string `json:"query"`
}

var questionForms = []string{"What is %s?", "How do I use %s?", "Explain %s", "What should I know about %s?", "%s"}

func writeQueries(path string, passages []passage) error {
	return writeLines(path, queries(passages))
}

// queries are the same, in the same order, for the same passages.
func queries(passages []passage) []query {
	var asked []query
	seen := map[string]bool{}
	for _, p := range passages {
		if p.Title != "" && !seen[p.Title] {
			seen[p.Title] = true
			asked = append(asked, query{question(len(asked), p.Title)})
		}
	}
	random := rand.New(rand.NewPCG(querySeed, querySeed))
	random.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	return asked[:min(len(asked), distinctMax)]
}

// question asks for a title; a title that is a question stays as it is.
func question(n int, title string) string {
	if strings.HasSuffix(title, "?") {
		return title
	}
	return fmt.Sprintf(questionForms[n%len(questionForms)], strings.TrimPrefix(title, "The "))
}

func readPassages(path string) ([]passage, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var passages []passage
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var p passage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("passage %d: %w", len(passages)+1, err)
		}
		if p.Text == "" {
			return nil, fmt.Errorf(`passage %d has no "text"`, len(passages)+1)
		}
		passages = append(passages, p)
	}
	if len(passages) == 0 {
		return nil, fmt.Errorf("%s holds no passage", path)
	}
	return passages, nil
}

func writeLines[T any](path string, items []T) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, item := range items {
		if err := encoder.Encode(item); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return writeFile(path, text.Bytes())
}
