"""A FastAPI service that knows the truth about its own waits.

In: REDIS_PORT, POOL (connections), HOLD_MS (how long /hold keeps one), TRUTH (log; unset: nothing is logged and no
middleware runs), MIDDLEWARE (asgi, or base: Starlette's BaseHTTPMiddleware, which runs the handler in a child task).

Out: one JSON line a request in TRUTH: its x-request-id, its seconds, its Redis operations in order, how long each
waited for a connection and how long each then held it, all by the service's own clock. The agent never reads it.
"""
import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar

import redis.asyncio as redis
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

HOLD = float(os.environ.get("HOLD_MS", "20")) / 1e3
current: ContextVar[dict] = ContextVar("current")


class Pool(redis.BlockingConnectionPool):
    """Measures what the client library does not tell."""

    async def get_connection(self, *args, **kwargs):
        record = current.get(None)
        start = time.monotonic()
        connection = await super().get_connection(*args, **kwargs)
        connection.taken = time.monotonic()
        if record is not None:
            record["waits"].append(connection.taken - start)
        return connection

    async def release(self, connection):
        record = current.get(None)
        if record is not None:
            record["holds"].append(time.monotonic() - connection.taken)
        await super().release(connection)


class Client(redis.Redis):
    async def execute_command(self, *args, **options):
        record = current.get(None)
        if record is not None:
            record["operations"].append(args[0])
        return await super().execute_command(*args, **options)


@asynccontextmanager
async def lifespan(_):
    global store, lock, slots
    pool = Pool(
        host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=int(os.environ.get("POOL", "10")), timeout=60
    )
    store, lock, slots = Client(connection_pool=pool), asyncio.Lock(), asyncio.Semaphore(2)
    await store.set("known", "value")
    yield
    await store.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/items/{item}")
async def item(item: int):
    """Two look-ups, one after the other."""
    hit = await store.get("known")
    miss = await store.get(f"unknown:{item}")
    return {"hit": hit is not None, "miss": miss is None}


@app.get("/hold")
async def hold():
    """Holds a connection without loading Redis."""
    await store.blpop("nothing:here", timeout=HOLD)
    return {}


@app.get("/gather")
async def gather():
    """Three calls at once, each in a task of its own."""
    await asyncio.gather(*[store.mget("known", "unknown") for _ in range(3)])
    return {}


# What follows looks like a wait for a connection, and is none.


@app.get("/sleep")
async def sleep():
    await store.exists("known")
    await asyncio.sleep(0.02)
    await store.strlen("known")
    return {}


@app.get("/lock")
async def locked():
    """One at a time, by a lock of the service's own."""
    async with lock:
        await asyncio.sleep(0.003)
    await store.ttl("known")
    return {}


@app.get("/semaphore")
async def semaphore():
    """Two at a time, by a semaphore around the client."""
    async with slots:
        await store.type("known")
    return {}


@app.get("/cpu")
async def cpu():
    """Computes before it calls."""
    end = time.perf_counter() + 0.003
    while time.perf_counter() < end:
        pass
    await store.getrange("known", 0, 1)
    return {}


@app.get("/executor")
async def executor():
    """Waits for a thread before it calls."""
    await asyncio.to_thread(time.sleep, 0.005)
    await store.pttl("known")
    return {}


@app.get("/thread")
def thread():
    time.sleep(0.005)
    return {}


@app.get("/stream")
async def stream():
    async def events():
        for _ in range(5):
            await asyncio.sleep(0.003)
            yield 'data: {"token":"x"}\n\n'

    return StreamingResponse(events(), media_type="text/event-stream")


def request_id(scope):
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode()


def write(scope, record, start):
    if identity := request_id(scope):
        truth.write(json.dumps({"id": identity, "path": scope["path"], "seconds": time.monotonic() - start, **record}) + "\n")


def fresh():
    record = {"operations": [], "waits": [], "holds": []}
    current.set(record)
    return record


class Log:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        record, start = fresh(), time.monotonic()
        await self.app(scope, receive, send)
        write(scope, record, start)


class BaseLog(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        record, start = fresh(), time.monotonic()
        response = await call_next(request)
        write(request.scope, record, start)
        return response


if path := os.environ.get("TRUTH"):
    truth = open(path, "a", buffering=1)
    app.add_middleware(BaseLog if os.environ.get("MIDDLEWARE") == "base" else Log)
