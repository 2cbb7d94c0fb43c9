"""A service that knows where the time of its requests goes: raw ASGI, so that little else runs.

In: TRUTH (log; unset: nothing is logged), REDIS_PORT (not used).

  /spin?ms=8    computes on the event loop
  /mix?ms=4     computes, sleeps without blocking, computes
  /block?ms=60  sleeps on the event loop
  /big?mb=16    streams faster than its client may read
  /rivals?n=2   from now on n threads compute beside the event loop (n=0: none), so that it waits for the GIL
  /health

Out: one JSON line a request in TRUTH: its x-request-id, and in seconds what its own code did: cpu (the thread's CPU
clock), ready (runnable without a CPU, as the kernel counts it), asleep (in time.sleep), held (in send, until a slow client
had taken enough), wall (cpu, ready and waiting for the GIL together). The agent never reads it.
"""
import asyncio
import json
import os
import threading
import time
from urllib.parse import parse_qs

truth = open(os.environ["TRUTH"], "a", buffering=1) if os.environ.get("TRUTH") else None
rivals = []


class Rival(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.ended = False
        self.start()

    def run(self):
        while not self.ended:
            for _ in range(1000):
                pass


def ready():
    """Seconds that this thread was runnable without a CPU."""
    with open("/proc/thread-self/schedstat", "rb", buffering=0) as f:
        return int(f.read().split()[1]) / 1e9


def spin(seconds, record):
    # ready gives the GIL away and waits for it again, so it is inside what is measured.
    wall, cpu = time.monotonic(), time.thread_time()
    queued = ready()
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
        start, cpu = time.monotonic(), time.thread_time()
        await send({"type": "http.response.body", "body": piece, "more_body": i < n - 1})
        record["held"] += time.monotonic() - start - (time.thread_time() - cpu)


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
    elif path == "/rivals":
        for r in rivals:
            r.ended = True
        rivals[:] = [Rival() for _ in range(int(arguments["n"][0]))]
    await answer(send)


async def lifespan(receive, send):
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
