"""A service that knows what its endpoints allocate, and what of it makes the process grow: raw ASGI.

  /blocks   250 blocks of 4,000 bytes        /few    60 of them
  /objects  10,000 small objects             /array  one array of 2 MiB, never touched
  /keep     a block of 256 KiB that stays    /heap   100 blocks of 4,000 bytes that stay
  /touch    a block of 1 MiB, touched and freed
  /map      a mapping of 1 MiB, touched and given back to the kernel
  /none     nothing

Out: one JSON line a request in TRUTH: its path, the process, the bytes that its function asked allocators for, when it began
and ended (CLOCK_MONOTONIC, seconds), by how much private memory in RAM grew meanwhile, and for how much memory its thread had page
faults, by the kernel's account. The agent never reads it.
"""
import json
import mmap
import os
import resource
import time

try:
    import numpy
except ImportError:
    numpy = None

truth = open(os.environ["TRUTH"], "a", buffering=1) if os.environ.get("TRUTH") else None
statm = os.open("/proc/self/statm", os.O_RDONLY)
kept = []


def blocks(n):
    """n blocks of 4,000 bytes: each is 4,001 from malloc, 56 for the object and 32 for its number."""
    for i in range(257, 257 + n):
        bytearray(4000)
    return n * (4001 + 56 + 32)


def objects(n):
    """n objects of 16 bytes and their numbers, in a list of known size."""
    held = [None] * n
    for i in range(257, n):
        held[i] = object()
    return 8 * n + (n - 257) * (16 + 32)


def array(n):
    numpy.zeros(n, numpy.uint8)
    return n


def keep(n):
    kept.append(bytearray(b"x") * n)
    return n + 1 + 2 * 56


def heap(n):
    for i in range(257, 257 + n):
        kept.append(bytearray(b"x") * 4000)
    return n * (4001 + 2 + 2 * 56 + 32)


def touch(n):
    bytearray(b"x") * n
    return n + 1 + 2 * 56


def mapped(n):
    with mmap.mmap(-1, n, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as m:
        for i in range(0, n, 4096):
            m[i] = 1
    return 0


WORK = {
    "/blocks": lambda: blocks(250),
    "/few": lambda: blocks(60),
    "/objects": lambda: objects(10_000),
    "/array": lambda: array(2 << 20),
    "/keep": lambda: keep(256 << 10),
    "/heap": lambda: heap(100),
    "/touch": lambda: touch(1 << 20),
    "/map": lambda: mapped(1 << 20),
    "/none": lambda: 0,
    "/health": lambda: 0,
}


def private():
    """Bytes of private memory in RAM."""
    pages = os.pread(statm, 100, 0).split()
    return (int(pages[1]) - int(pages[2])) * 4096


def faulted():
    """Bytes of the pages that this thread was given."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt * 4096


def measured(path, work):
    if not truth or path == "/health":
        work()
        return
    held, touched, begin = private(), faulted(), time.monotonic()
    n = work()
    end = time.monotonic()
    truth.write(json.dumps({"path": path, "pid": os.getpid(), "bytes": n, "begin": begin, "end": end, "touched": faulted() - touched, "grown": private() - held}) + "\n")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    work = WORK.get(scope["path"])
    if work:
        measured(scope["path"], work)
    await send({"type": "http.response.start", "status": 200 if work else 404, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
