"""Moves bytes with every system call that the kernel side reads buffers of. Told by lines on stdin."""
import asyncio
import os
import socket
import sys

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def split(b, at):
    return [b[:at], b[at:]]


reads = {
    "read": lambda s, n: os.read(s.fileno(), n),
    "recv": lambda s, n: s.recv(n),
    "recvmsg": lambda s, n: s.recvmsg_into([bytearray(100), bytearray(n)]),
    "readv": lambda s, n: os.readv(s.fileno(), [bytearray(100), bytearray(n)]),
    "peek": lambda s, n: (s.recv(n, socket.MSG_PEEK), s.recv(n)),
}
writes = {
    "write": lambda s, b: os.write(s.fileno(), b),
    "send": lambda s, b: s.send(b),
    "sendmsg": lambda s, b: s.sendmsg(split(b, 50)),
    "writev": lambda s, b: os.writev(s.fileno(), split(b, 50)),
}


def body(n):
    return bytes(65 + i % 26 for i in range(n))


def serve(read, write, n, m):
    s, _ = listener.accept()
    print("accepted", flush=True)
    sys.stdin.readline()  # all bytes are there
    reads[read](s, int(n))
    writes[write](s, body(int(m)))
    s.close()


def datagram():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.sendto(b"who is there?", s.getsockname())
    s.recv(100)
    s.close()


def client(port, *parts):
    """Each part is one write; its segments, in hex, are separated by commas. "<" reads first."""
    s = socket.create_connection(("127.0.0.1", int(port)))
    for part in parts:
        if part == "<":
            s.recv(65536)
        else:
            os.writev(s.fileno(), [bytes.fromhex(x) for x in part.split(",")])
    s.close()


def child(port, begin=None):
    """Forks a child that is one client and ends, once begin can be read."""
    pid = os.fork()
    if pid == 0:
        if begin is not None:
            os.read(begin, 1)
        client(port, "6869")
        os._exit(0)
    return pid


def fork(port, n):
    for _ in range(int(n)):
        pid = child(port)
        os.waitpid(pid, 0)
        print(pid, flush=True)


def fork_held(port):
    begin, go = os.pipe()
    pid = child(port, begin)
    print(pid, flush=True)
    sys.stdin.readline()
    os.write(go, b".")
    os.waitpid(pid, 0)
    os.close(begin)
    os.close(go)


kept = []


def work(told, port, n, moved):
    """Makes n tasks at the first byte that it is told, and lets each send at the second."""
    told.recv(1)
    if moved:  # as large as a task (33 is empty bytes, 16 the collector's head), so that all tasks lie one place on
        kept.append(bytes(asyncio.Task.__basicsize__ + 16 - 33))

    async def main():
        begin = asyncio.Event()

        async def send():
            await begin.wait()
            client(port, "6869")

        tasks = [asyncio.create_task(send()) for _ in range(n)]
        await asyncio.sleep(0)
        told.send(b".")
        told.recv(1)
        begin.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def workers(port, n):
    """Two that differ in nothing but where their tasks lie; both have tasks before one of them goes on."""
    pairs, pids = [socket.socketpair() for _ in range(2)], [0, 0]
    for i in range(2):
        pids[i] = os.fork()
        if pids[i] == 0:
            work(pairs[i][1], port, int(n), moved=i == 1)
            os._exit(0)
    print(*pids, flush=True)
    sys.stdin.readline()
    for tell, _ in pairs:
        tell.send(b".")
        tell.recv(1)
    for tell, _ in pairs:
        tell.send(b".")
    for pid in pids:
        os.waitpid(pid, 0)


for line in sys.stdin:
    what, *args = line.split()
    {"serve": serve, "client": client, "datagram": datagram, "fork": fork, "fork_held": fork_held, "workers": workers}[what](*args)
    print("done", flush=True)
