//go:build ignore

// unwind_gen compiles unwind.bpf.c, which includes the C of the stack unwinder from where Go keeps that module. Its
// arguments are passed on to bpf2go.
package main

import (
	"log"
	"os"
	"os/exec"
	"strings"
)

func main() {
	const module = "go.opentelemetry.io/ebpf-profiler"
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		log.Fatalf("where is %s: %v", module, err)
	}
	dir := strings.TrimSpace(string(out)) + "/support/ebpf"
	// Where the module is must not show in the object.
	flags := "-O2 -g -Wall -Werror -fno-jump-tables -isystem " + dir + " -ffile-prefix-map=" + dir + "=unwinder"
	args := append([]string{"tool", "bpf2go", "-target", "amd64"}, os.Args[1:]...)
	run := exec.Command("go", append(args, "-output-stem", "unwind", "-cflags", flags, "Unwind", "unwind.bpf.c")...)
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		log.Fatal(err)
	}
}
