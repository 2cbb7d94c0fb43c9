package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
)

var (
	exampleLine = regexp.MustCompile(`(?m)^\s+(?:sudo )?agent (\S+)(.*)$`)
	longFlag    = regexp.MustCompile(`--[a-z][a-z0-9-]*`)
)

func commands() map[string]*cli.Command {
	all := map[string]*cli.Command{}
	for _, c := range []*cli.Command{runCommand(), recordCommand(), memoryCommand(), doctorCommand()} {
		all[c.Name] = c
	}
	return all
}

// flagNames of a command and of the program, as typed.
func flagNames(c *cli.Command) []string {
	names := []string{"--help", "--version"}
	for _, f := range c.Flags {
		for _, n := range f.Names() {
			names = append(names, "--"+n)
		}
	}
	return names
}

// Every help has examples, and names only commands and flags that exist.
func TestHelp(t *testing.T) {
	helps := map[string]result{"": call(t, "--help")}
	for name := range commands() {
		helps[name] = call(t, name, "--help")
	}
	for name, help := range helps {
		t.Run("agent "+name, func(t *testing.T) {
			help.wants(t, command.OK)
			if help.err != "" {
				t.Errorf("on standard error: %s", help.err)
			}
			examples := exampleLine.FindAllStringSubmatch(help.out, -1)
			examples = slices.DeleteFunc(examples, func(m []string) bool { // "agent run [command options]"
				return strings.Contains(m[2], "[") || strings.HasPrefix(m[1], "-") || strings.HasPrefix(m[1], "[")
			})
			if len(examples) == 0 {
				t.Error("no example")
			}
			for _, m := range examples {
				c := commands()[m[1]]
				if c == nil {
					t.Errorf("%q: no such command", m[0])
					continue
				}
				if name != "" && m[1] != name {
					t.Errorf("an example of another command: %s", m[0])
				}
				for _, f := range longFlag.FindAllString(m[2], -1) {
					if !slices.Contains(flagNames(c), f) {
						t.Errorf("%q: no such flag: %s", m[0], f)
					}
				}
			}
			if strings.Contains(help.out, "help, h") {
				t.Error("a command help is listed, there is none")
			}
			if name == "" {
				return
			}
			known := flagNames(commands()[name])
			for _, f := range longFlag.FindAllString(help.out, -1) {
				if !slices.Contains(known, f) {
					t.Errorf("no such flag: %s", f)
				}
			}
		})
	}
	for name := range commands() {
		if !regexp.MustCompile(`(?m)^   ` + name + `\s`).MatchString(helps[""].out) {
			t.Errorf("agent --help does not list %s", name)
		}
	}
	for _, code := range []string{"0 ", "2 ", "3 "} {
		if !strings.Contains(helps[""].out, code) {
			t.Errorf("agent --help does not explain exit code %s", code)
		}
	}
	if bare := call(t); bare.code != command.OK || bare.out != helps[""].out {
		t.Errorf("without a command: exit code %d, %s", bare.code, bare.out)
	}
}

// What completes and what is documented: every visible flag has a sentence and a variable.
func TestFlagsAreDescribed(t *testing.T) {
	for name, c := range commands() {
		for _, f := range c.Flags {
			d, ok := f.(cli.DocGenerationFlag)
			if v, isVisible := f.(cli.VisibleFlag); !ok || isVisible && !v.IsVisible() {
				continue
			}
			if d.GetUsage() == "" {
				t.Errorf("%s --%s has no description", name, f.Names()[0])
			}
			if f.Names()[0] != "json" && !slices.Equal(d.GetEnvVars(), command.Env(f.Names()[0])) {
				t.Errorf("%s --%s is read from %v, want %v", name, f.Names()[0], d.GetEnvVars(), command.Env(f.Names()[0]))
			}
		}
	}
}

func TestVersion(t *testing.T) {
	got := call(t, "--version")
	got.wants(t, command.OK)
	if !strings.HasPrefix(got.out, "agent version ") {
		t.Errorf("%q", got.out)
	}
}

func TestCompletion(t *testing.T) {
	complete := func(args ...string) string {
		got := elsewhere(t, func(*exec.Cmd) {}, "/proc/self/exe", append(args, "--generate-bash-completion")...)
		got.wants(t, command.OK)
		return got.out
	}
	for name, c := range commands() {
		if out := complete(); !strings.Contains(out, name) {
			t.Errorf("agent <tab>: no %s in %q", name, out)
		}
		flag := "--" + c.Flags[len(c.Flags)-1].Names()[0]
		if out := complete(name, flag[:4]); !strings.Contains(out, flag) {
			t.Errorf("agent %s %s<tab>: no %s in %q", name, flag[:4], flag, out)
		}
	}
}
