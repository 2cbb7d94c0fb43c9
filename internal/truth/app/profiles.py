"""A FastAPI service that knows what CPU each of its endpoints takes.

  GET /MODE/KIND/SHARE

SHARE is 60, 30 or 10: a request takes so many milliseconds of CPU, in four pieces. KIND is what takes it:
python, numpy, json, or hash (zlib and hashlib of large buffers, which release the GIL). MODE is where: loop (a task of
the event loop, which lets others run between the pieces), gather (three tasks at once), to_thread, executor
(run_in_executor, which takes no context along) or sync (a plain function, which the framework runs in its threads).

Out: one JSON line a request in TRUTH: its path and its CPU in seconds, by the clocks of the threads that ran its task, the
framework's part included, and of the tasks and threads that worked for it. The agent never reads it.
"""
import asyncio
import contextlib
import hashlib
import json
import os
import time
import zlib
from contextvars import ContextVar

import numpy
from fastapi import FastAPI

PIECES = 4
truth = open(os.environ["TRUTH"], "a", buffering=1) if os.environ.get("TRUTH") else None
current: ContextVar[dict] = ContextVar("current")
array = numpy.random.default_rng(1).random(4096)
text = json.dumps([{"id": i, "score": i / 7, "tags": ["a", "b", str(i)]} for i in range(60)])
buffer = os.urandom(1 << 18)


def python():
    total = 0
    for i in range(600):
        total += i * i % 7
    return total


def numbers():
    return numpy.sort(array * array).sum()


def text_and_back():
    return json.dumps(json.loads(text))


def digest():
    return hashlib.sha256(buffer).digest(), zlib.crc32(buffer)


KINDS = {"python": python, "numpy": numbers, "json": text_and_back, "hash": digest}


def burn(work, seconds):
    """Takes so much CPU of its thread, and says how much it was."""
    start = time.thread_time()
    while (took := time.thread_time() - start) < seconds:
        work()
    return took


async def loop(work, seconds):
    for _ in range(PIECES):
        burn(work, seconds / PIECES)
        await asyncio.sleep(0)
    return 0  # it is the task's own


async def gather(work, seconds):
    async def child():
        took = 0.0
        for _ in range(PIECES):
            took += burn(work, seconds / PIECES / 3)
            await asyncio.sleep(0)
        return took

    return sum(await asyncio.gather(*[child() for _ in range(3)]))


async def to_thread(work, seconds):
    return sum([await asyncio.to_thread(burn, work, seconds / PIECES) for _ in range(PIECES)])


async def executor(work, seconds):
    running = asyncio.get_running_loop()
    return sum([await running.run_in_executor(None, burn, work, seconds / PIECES) for _ in range(PIECES)])


class Clocked:
    """Awaits what a task awaits, and counts the CPU of each step."""

    def __init__(self, coroutine, record):
        self.steps, self.record = coroutine.__await__(), record

    def __await__(self):
        return self

    def __next__(self):
        return self.step(self.steps.send, None)

    def send(self, value):
        return self.step(self.steps.send, value)

    def throw(self, *error):
        return self.step(self.steps.throw, *error)

    def step(self, go, *arguments):
        start = time.thread_time()
        try:
            return go(*arguments)
        finally:
            self.record["cpu"] += time.thread_time() - start


class Known:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] == "/health" or not truth:
            return await self.app(scope, receive, send)
        record = {"path": scope["path"], "cpu": 0.0}
        current.set(record)
        await Clocked(self.app(scope, receive, send), record)
        truth.write(json.dumps(record) + "\n")


@contextlib.asynccontextmanager
async def lifespan(_):
    """A task that belongs to no request takes 1 ms in every 20."""

    async def background():
        while True:
            burn(python, 0.001)
            await asyncio.sleep(0.019)

    task = asyncio.create_task(background()) if os.environ.get("BACKGROUND") else None
    yield
    if task:
        task.cancel()


app = FastAPI(lifespan=lifespan)
app.add_middleware(Known)


@app.get("/health")
async def health():
    return {"status": "ok"}


def add(took):
    if record := current.get(None):
        record["cpu"] += took
    return {}


def route(mode, kind, share):
    path, work, seconds = f"/{mode.__name__ if mode else 'sync'}/{kind}/{share}", KINDS[kind], share / 1000

    if mode:
        async def handler():
            return add(await mode(work, seconds))
    else:
        def handler():
            return add(burn(work, seconds))
    app.get(path)(handler)


for mode in loop, gather, to_thread, executor, None:
    for kind in KINDS:
        for share in 60, 30, 10:
            route(mode, kind, share)
