"""A service that knows where the time of its requests goes: raw ASGI, so that little else runs.

In: TRUTH (log; unset: nothing is logged), REDIS_PORT (not used).

  /spin?ms=8    computes on the event loop
  /mix?ms=4     computes, sleeps without blocking, computes
  /block?ms=60  sleeps on the event loop
  /big?mb=16    streams faster than its client may read
  /rival?ms=8   computes on the event loop, and two threads beside it: it waits for the GIL
  /health

Out: one JSON line a request in TRUTH: its x-request-id, and in seconds what its own code did: cpu (the thread's CPU
clock), ready (runnable without a CPU, as the kernel counts it), asleep (in time.sleep), held (in send, asleep until a
slow client had taken enough), wall (cpu, ready and waiting for the GIL together). The agent never reads it.
"""
import asyncio
import ctypes
import json
import os
import threading
import time
from urllib.parse import parse_qs

truth = open(os.environ["TRUTH"], "a", buffering=1) if os.environ.get("TRUTH") else None
# Set while the rivals compute.
contest = threading.Event()
# PyDLL keeps the GIL: a look at the clock must not be what the thread waits for it for.
libc = ctypes.PyDLL(None, use_errno=True)
schedstat = threading.local()


def rival():
    while True:
        contest.wait()
        for _ in range(1000):
            pass


def ready():
    """Seconds that this thread was runnable without a CPU."""
    if not hasattr(schedstat, "file"):
        schedstat.file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        schedstat.text = ctypes.create_string_buffer(128)
    n = libc.pread(schedstat.file, schedstat.text, 127, 0)
    if n <= 0:
        raise OSError(ctypes.get_errno(), "schedstat")
    return int(schedstat.text.raw[:n].split()[1]) / 1e9


def spin(seconds, record):
    wall, cpu, queued = time.monotonic(), time.thread_time(), ready()
    while time.thread_time() - cpu < seconds:
        pass
    record["ready"] += ready() - queued
    record["cpu"] += time.thread_time() - cpu
    record["wall"] += time.monotonic() - wall


def block(seconds, record):
    start = time.monotonic()
    time.sleep(seconds)
    record["asleep"] += time.monotonic() - start


async def big(send, megabytes, record):
    piece = b"x" * 262144
    n = megabytes * 4
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(n * len(piece)).encode())]})
    for i in range(n):
        start, cpu, queued = time.monotonic(), time.thread_time(), ready()
        await send({"type": "http.response.body", "body": piece, "more_body": i < n - 1})
        record["held"] += time.monotonic() - start - (time.thread_time() - cpu) - (ready() - queued)


async def answer(send, body=b"{}"):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(path, arguments, send, record):
    seconds = float(arguments.get("ms", ["0"])[0]) / 1e3
    if path == "/big":
        return await big(send, int(arguments["mb"][0]), record)
    if path == "/spin":
        spin(seconds, record)
    elif path == "/mix":
        spin(seconds, record)
        await asyncio.sleep(seconds)
        spin(seconds, record)
    elif path == "/block":
        block(seconds, record)
    elif path == "/rival":
        contest.set()
        spin(seconds, record)
        contest.clear()
    await answer(send)


async def lifespan(receive, send):
    for _ in range(2):
        threading.Thread(target=rival, daemon=True).start()
    while True:
        kind = (await receive())["type"]
        await send({"type": kind + ".complete"})
        if kind == "lifespan.shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    record = {"cpu": 0.0, "ready": 0.0, "wall": 0.0, "asleep": 0.0, "held": 0.0}
    await serve(scope["path"], parse_qs(scope["query_string"].decode()), send, record)
    identity = next((v.decode() for k, v in scope["headers"] if k == b"x-request-id"), "")
    if truth and identity:
        truth.write(json.dumps({"id": identity, "path": scope["path"], **record}) + "\n")
