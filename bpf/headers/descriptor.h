/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef RAGSCOPE_DESCRIPTOR_H
#define RAGSCOPE_DESCRIPTOR_H

/* The socket behind a file descriptor of the running process, 0: there is none. */
static __always_inline struct sock *sock_of(int fd)
{
	struct fdtable *table = BPF_CORE_READ(bpf_get_current_task_btf(), files, fdt);
	struct file **fds = BPF_CORE_READ(table, fd), *f = 0;
	struct socket *socket;

	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(f, private_data);
	return BPF_CORE_READ(socket, sk);
}
#endif
