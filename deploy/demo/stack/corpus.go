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

// The corpus is the Debian Reference (Osamu Aoki, GPL-2+), a book of some 90,000 words in one plain-text file.
const (
	corpusPackage = "debian-reference-en"
	corpusFile    = "usr/share/debian-reference/debian-reference.en.txt.gz"
	// corpusRules goes up when the code below would cut the same book differently.
	corpusRules = "4"
)

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
		book, err := fetchBook(ctx, s, f)
		if err != nil {
			return err
		}
		passages := cutPassages(book)
		if len(passages) < 500 {
			return fmt.Errorf("only %d passages were found in %s: has its layout changed?", len(passages), corpusPackage)
		}
		return errors.Join(writeLines(passagesFile(s), passages), writeQueries(queriesFile(s), passages))
	})
	return cachedOr(made, "Debian Reference cut into passages"), err
}

// fetchBook downloads the package and unpacks it; nothing is installed, so no rights are needed.
func fetchBook(ctx context.Context, s settings, f *family) (string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", unavailable("the passages come from Debian's package %s, and there is no apt-get: set DEMO_CORPUS to a file of lines like "+
			`{"id": 1, "title": "…", "text": "…"}`, corpusPackage)
	}
	dir := s.cached("corpus")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := f.run(ctx, program{name: "corpus", argv: []string{"apt-get", "download", corpusPackage}, dir: dir}); err != nil {
		return "", fmt.Errorf("%w\n  if the package is unknown, run 'apt-get update' as root first", err)
	}
	debs, _ := filepath.Glob(filepath.Join(dir, corpusPackage+"_*.deb"))
	if len(debs) == 0 {
		return "", fmt.Errorf("apt-get download %s left no file in %s", corpusPackage, dir)
	}
	if err := f.run(ctx, program{name: "corpus", argv: []string{"dpkg-deb", "-x", debs[len(debs)-1], filepath.Join(dir, "book")}}); err != nil {
		return "", err
	}
	packed, err := os.ReadFile(filepath.Join(dir, "book", corpusFile))
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

var heading = regexp.MustCompile(`^(?:Chapter )?[0-9]+(?:\.[0-9]+)*\. (\S.*)$`)

// cutPassages turns the book into passages of about 25 to 70 words that keep to one section. Tables and terminal
// sessions are left out.
func cutPassages(book string) []passage {
	var passages []passage
	var title string
	var pending []string // words
	flush := func() {
		if len(pending) >= 10 {
			passages = append(passages, passage{len(passages) + 1, title, strings.Join(pending, " ")})
		}
		pending = nil
	}
	for _, block := range strings.Split(strings.ReplaceAll(book, "\r", ""), "\n\n") {
		if m := heading.FindStringSubmatch(strings.TrimSpace(block)); m != nil && !strings.HasPrefix(block, " ") {
			flush()
			title = m[1]
			continue
		}
		words := strings.Fields(block)
		if title == "" || !isProse(block) || len(words) > 150 {
			continue
		}
		if len(pending)+len(words) > 70 {
			flush()
		}
		if pending = append(pending, words...); len(pending) >= 25 {
			flush()
		}
	}
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

// Queries: distinct questions about the book's sections, asked as often as Zipf's law has it (the share of the k-th
// is proportional to 1/k^zipf), so that caches hit sometimes.
const (
	queryLines     = 4000
	distinctMax    = 600
	zipf           = 1.1
	questionsSalt1 = 20
	questionsSalt2 = 135
)

type query struct {
	Query string `json:"query"`
}

var questionForms = []string{"What is %s?", "How do I use %s?", "Explain %s", "What should I know about %s?", "%s"}

func writeQueries(path string, passages []passage) error {
	return writeLines(path, drawQueries(passages))
}

// drawQueries is the same for the same passages.
func drawQueries(passages []passage) []query {
	random := rand.New(rand.NewPCG(questionsSalt1, questionsSalt2))
	var questions []string
	seen := map[string]bool{}
	for _, p := range passages {
		if p.Title != "" && !seen[p.Title] {
			seen[p.Title] = true
			questions = append(questions, fmt.Sprintf(questionForms[len(questions)%len(questionForms)], strings.TrimPrefix(p.Title, "The ")))
		}
	}
	if len(questions) == 0 {
		return nil
	}
	random.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	questions = questions[:min(len(questions), distinctMax)]
	ranks := rand.NewZipf(random, zipf, 1, uint64(len(questions)-1))
	drawn := make([]query, queryLines)
	for i := range drawn {
		drawn[i] = query{questions[ranks.Uint64()]}
	}
	return drawn
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
