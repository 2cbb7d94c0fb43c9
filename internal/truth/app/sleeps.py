"""A service that knows for how long its threads sleep, where and why: raw ASGI, with anyio's threads.

  /loop   sleeps on the event loop            /short  the same, in many short sleeps
  /pool   sleeps in a thread of the pool      /locks  waits there for a lock that others hold
  /gil    computes there: with others it waits for the GIL
  /files  writes there and waits until it is on the disk
  /rest   waits without a thread that sleeps  /health

Out: one JSON line a request in TRUTH: its path, and of the function that slept its name and in seconds how long it took, what
of it was CPU, and what of it the thread was runnable without one, both by the kernel's clocks of that thread. So it slept
for at least wall - cpu - ready; until it ran again after its sleeps it took no more than wall - cpu. The agent never reads it.
"""
import asyncio
import ctypes
import json
import os
import tempfile
import threading
import time

import anyio.to_thread

truth = open(os.environ["TRUTH"], "a", buffering=1) if os.environ.get("TRUTH") else None
# PyDLL keeps the GIL: a look at the clock must not be what the thread waits for it for.
libc = ctypes.PyDLL(None, use_errno=True)
clock = threading.local()
lock = threading.Lock()
file = tempfile.TemporaryFile(dir="/var/tmp")
block = bytes(262144)  # that the disk takes longer for than the thread waits for a CPU then


def counted():
    """Seconds that went by, that this thread ran, and that it was runnable without a CPU."""
    if not hasattr(clock, "file"):
        clock.file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        clock.text = ctypes.create_string_buffer(128)
    n = libc.pread(clock.file, clock.text, 127, 0)
    if n <= 0:
        raise OSError(ctypes.get_errno(), "schedstat")
    return time.monotonic(), time.thread_time(), int(clock.text.raw[:n].split()[1]) / 1e9


def naps_on_the_loop():
    time.sleep(0.03)


def naps_shortly():
    for _ in range(30):
        time.sleep(0.0005)


def naps_in_a_thread():
    time.sleep(0.02)


def locks():
    for _ in range(3):
        with lock:
            time.sleep(0.003)


def computes():
    for _ in range(1_500_000):
        pass


def syncs():
    for i in range(4):
        os.pwrite(file.fileno(), block, i * len(block))
        os.fsync(file.fileno())


def measured(path, function):
    def run():
        before = counted()
        function()
        wall, cpu, ready = (y - x for x, y in zip(before, counted()))
        if truth:
            truth.write(json.dumps({"path": path, "function": function.__name__, "wall": wall, "cpu": cpu, "ready": ready}) + "\n")

    return run


ON_THE_LOOP = {p: measured(p, f) for p, f in {"/loop": naps_on_the_loop, "/short": naps_shortly}.items()}
IN_A_THREAD = {p: measured(p, f) for p, f in {"/pool": naps_in_a_thread, "/locks": locks, "/gil": computes, "/files": syncs}.items()}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    path = scope["path"]
    if path in ON_THE_LOOP:
        ON_THE_LOOP[path]()
    elif path in IN_A_THREAD:
        await anyio.to_thread.run_sync(IN_A_THREAD[path])
    elif path == "/rest":
        await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
