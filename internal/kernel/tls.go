package kernel

import "github.com/ragscope/ragscope/internal/target"

// FollowTLS begins to report the plaintext that a watched process reads and writes through TLS
// libraries. A hook that cannot be attached is reported by Probes and is no error.
func (k *Kernel) FollowTLS(pid int, libraries []target.TLS) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.processes[pid]
	if a == nil {
		return
	}
	a.closeTLS()
	for i := range libraries {
		for _, t := range tlsHooks(&libraries[i]) {
			a.tls = append(a.tls, k.hook(pid, t))
		}
	}
}

// tlsHooks are the probes on one library. Sessions are bound and forgotten by the same ones at
// every precision.
func tlsHooks(l *target.TLS) []trapHook {
	layout := uint64(l.BIO) | uint64(l.Pointer)<<16
	return []trapHook{
		{name: "tls_session", program: "tls_free", at: l.Free, cookie: layout},
		{name: "tls_session", program: "tls_handshake", at: l.Handshake, cookie: layout},
		{name: "tls_read", program: "tls_read_begin", at: l.Read, cookie: layout},
		{name: "tls_read", program: "tls_read", at: l.Read, ret: true, cookie: layout},
		{name: "tls_write", program: "tls_write", at: l.Write, cookie: layout},
	}
}
