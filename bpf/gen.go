// Package bpf is what runs in the kernel: one concern per *.bpf.c, and the Go code that bpf2go
// made of each for amd64 and arm64, so that a build needs no clang.
//
// In: tracepoints, uprobes and scheduler events of the watched processes. Out: struct event
// (headers/event.h) on one ring buffer, and counters of everything lost or misread.
// It never writes to a process, never changes a packet, and never sleeps.
package bpf

//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" -type event -type event_type -type event_flag -type part -type counter -type program -type runs -type by_task -type target -type addresses Socket socket.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Python python.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Sched sched.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" GRPC grpc.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" TLS tls.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Work work.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Process process.bpf.c
