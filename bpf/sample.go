package bpf

// The entry of the stack sampler; internal/stack loads the unwinder behind it.
//go:generate go tool bpf2go -target amd64,arm64 -output-stem sample -type sample_count -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Sample sample.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -output-stem asleep -type asleep_count -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Asleep asleep.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -output-stem fault -type fault_count -type taken -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Fault fault.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -output-stem offcpu -type offcpu_count -type offcpu_sum -type offcpu_cost -type sleep_kind -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Offcpu offcpu.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -output-stem alloc -type alloc_count -type where_flag -type window_limit -cflags "-O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu" Alloc alloc.bpf.c

// Parts of that unwinder, with a memory.
//go:generate go run unwind_gen.go
