package main

import (
	"slices"
	"strings"
)

// firstWords are what may stand first; anything else belongs to run.
var firstWords = []string{"run", "convert", "report", "merge", "-h", "--help", "-v", "-V", "--version", "--generate-bash-completion"}

// valued are Locust's short flags that take a value, which its parser lets stand right behind
// the letter: -u50.
const valued = "HurtPsLTEf"

// lists are Locust's flags that take several words: --tags a b.
var lists = []string{"-T", "--tags", "-E", "--exclude-tags", "--config-users"}

// normalise turns a command line as Locust's argparse understands it into one for the flag
// parser: run is the default command, -u50 becomes -u 50, --tags a b becomes --tags a,b.
func normalise(args []string) []string {
	if len(args) < 2 {
		return args
	}
	out := []string{args[0]}
	rest := args[1:]
	if strings.HasPrefix(rest[0], "-") && !slices.Contains(firstWords, rest[0]) {
		out = append(out, "run")
	}
	if rest[0] == "merge" || rest[0] == "convert" {
		return append(out, flagsFirst(rest)...)
	}
	for i := 0; i < len(rest); i++ {
		a := rest[i]
		switch {
		case a == "--":
			return append(out, rest[i:]...)
		case len(a) > 2 && a[0] == '-' && a[1] != '-' && strings.IndexByte(valued, a[1]) >= 0 && a[2] != '=':
			out = append(out, a[:2], a[2:])
		case slices.Contains(lists, a):
			var words []string
			for i+1 < len(rest) && !strings.HasPrefix(rest[i+1], "-") {
				i++
				words = append(words, rest[i])
			}
			out = append(out, a, strings.Join(words, ","))
		default:
			out = append(out, a)
		}
	}
	return out
}

// flagsFirst lets flags stand behind the files of merge and convert. Their flags take a value, but for these.
func flagsFirst(args []string) []string {
	flags, files := args[:1:1], []string{}
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case !strings.HasPrefix(a, "-"):
			files = append(files, a)
		case strings.Contains(a, "=") || i+1 == len(args) || a == "-h" || a == "--help" || a == "--strict":
			flags = append(flags, a)
		default:
			flags = append(flags, a, args[i+1])
			i++
		}
	}
	return append(flags, files...)
}
