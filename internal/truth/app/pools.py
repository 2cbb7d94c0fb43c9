"""A FastAPI service that knows the truth about its connection pools: waits, time-outs, connections made, leaks.

In: REDIS_PORT; HTTPX_PORT, AIOHTTP_PORT and URLLIB3_PORT (peers that answer /hold?ms=N after N ms); POOL (connections of
each pool), TIMEOUT_MS (how long a call waits for one), TRUTH (log).

Every client has a pool of its own. GET /CLIENT/call?ms=N makes one call that takes N ms; the other paths do something
first that looks like a wait for a connection and is none. A call that gets no connection in time answers 503, or 200
with ?calm=1. GET /CLIENT/leak takes a connection and never gives it back.

Out: one JSON line a request in TRUTH, with its x-request-id and, in seconds by the service's own clock, its waits for a
connection, the time it stood at locks of the service's own, and how many of its waits timed out; and one line for each
connection that was made: {"made": CLIENT, "seconds": …}. The agent never reads it.
"""
import asyncio
import json
import os
import threading
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar

import aiohttp
import httpcore
import httpx
import redis.asyncio as redis
import urllib3
from fastapi import FastAPI, Response
from httpcore import _synchronization
from httpcore._async import connection_pool, http11

POOL = int(os.environ.get("POOL", "2"))
TIMEOUT = float(os.environ.get("TIMEOUT_MS", "80")) / 1e3
current: ContextVar[dict] = ContextVar("current")
truth = open(os.environ["TRUTH"], "a", buffering=1)


def made(client, start):
    truth.write(json.dumps({"made": client, "seconds": time.monotonic() - start}) + "\n")


class Waited:
    """Adds the time inside it to the waits of the request, or to what stands in another list."""

    def __init__(self, where="waits"):
        self.record, self.where = current.get(None), where

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, *_):
        if self.record is not None:
            self.record[self.where].append(time.monotonic() - self.start)


class RedisConnection(redis.Connection):
    async def connect(self, *args, **kwargs):
        start, before = time.monotonic(), self.is_connected
        await super().connect(*args, **kwargs)
        if record := current.get(None):
            record["connecting"] += time.monotonic() - start
        if not before:
            made("redis", start)


class RedisPool(redis.BlockingConnectionPool):
    async def get_connection(self, *args, **kwargs):
        record, start = current.get(None) or fresh(), time.monotonic()
        before = record["connecting"]
        try:
            return await super().get_connection(*args, **kwargs)
        finally:
            record["waits"].append(time.monotonic() - start - (record["connecting"] - before))


def time_httpcore():
    """A wait of httpx lasts from when a request wants a connection until it has one for itself.

    One free connection is promised to all who wait, they queue up for its lock, and all but one have to wait again. Who
    finds a connection and its locks free has not waited, though it yields to the loop at each of them.
    """
    wait, send = connection_pool.AsyncPoolRequest.wait_for_connection, http11.AsyncHTTP11Connection._send_request_headers
    enter = _synchronization.AsyncLock.__aenter__

    async def waits(self, timeout=None):
        record = current.get()
        record["stood"] = "wanted" in record or self.connection is None
        record.setdefault("wanted", time.monotonic())
        return await wait(self, timeout)

    async def enters(self):
        if self._backend and self._anyio_lock.locked() and "wanted" in current.get():
            current.get()["stood"] = True
        return await enter(self)

    async def sends(*args, **kwargs):
        has_connection(current.get())
        return await send(*args, **kwargs)

    connection_pool.AsyncPoolRequest.wait_for_connection, http11.AsyncHTTP11Connection._send_request_headers = waits, sends
    _synchronization.AsyncLock.__aenter__ = enters


def has_connection(record):
    """Ends the wait of time_httpcore, by a connection or by a time-out."""
    wanted = record.pop("wanted", None)
    if wanted:
        record["waits"].append(time.monotonic() - wanted if record["stood"] else 0)


class BlockingPool(urllib3.HTTPConnectionPool):
    def _get_conn(self, timeout=None):
        with Waited():
            return super()._get_conn(timeout)


class Redis:
    Gone = redis.ConnectionError

    async def open(self):
        self.pool = RedisPool(
            host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=POOL, timeout=TIMEOUT,
            connection_class=RedisConnection,
        )
        self.client = redis.Redis(connection_pool=self.pool)

    async def call(self, ms):
        await self.client.blpop("nothing:here", timeout=ms / 1e3)

    async def leak(self):
        connection = await self.pool.get_connection()
        await connection.send_command("PING")
        await connection.read_response()
        lost.append(connection)


class Httpx:
    Gone = httpx.PoolTimeout

    async def open(self):
        time_httpcore()
        self.base = f"http://127.0.0.1:{os.environ['HTTPX_PORT']}"
        self.client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=POOL, keepalive_expiry=60), timeout=httpx.Timeout(30, pool=TIMEOUT)
        )

    async def trace(self, name, info):
        if name == "connection.connect_tcp.started":
            current.get()["dialed"] = time.monotonic()
        if name == "connection.connect_tcp.complete":
            made("httpx", current.get()["dialed"])

    async def call(self, ms):
        await self.client.get(f"{self.base}/hold?ms={ms}", extensions={"trace": self.trace})

    async def leak(self):
        request = self.client.build_request("GET", self.base + "/hold?ms=1")
        lost.append(await self.client.send(request, stream=True))


class Aiohttp:
    Gone = asyncio.TimeoutError

    async def open(self):
        self.base = f"http://127.0.0.1:{os.environ['AIOHTTP_PORT']}"
        trace = aiohttp.TraceConfig()
        trace.on_connection_queued_start.append(self.queued)
        trace.on_connection_queued_end.append(self.granted)
        trace.on_connection_create_start.append(self.dials)
        trace.on_connection_create_end.append(self.dialed)
        self.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=None, connect=TIMEOUT), trace_configs=[trace],
        )

    async def queued(self, session, context, params):
        current.get()["queued"] = time.monotonic()

    async def granted(self, session, context, params):
        current.get()["waits"].append(time.monotonic() - current.get().pop("queued"))

    async def dials(self, session, context, params):
        context.start = time.monotonic()

    async def dialed(self, session, context, params):
        made("aiohttp", context.start)

    async def call(self, ms):
        async with self.client.get(f"{self.base}/hold?ms={ms}") as response:
            await response.read()

    async def leak(self):
        lost.append(await self.client.get(self.base + "/hold?ms=1&size=300000"))


class Urllib3:
    Gone = urllib3.exceptions.EmptyPoolError

    async def open(self):
        self.pool = BlockingPool("127.0.0.1", int(os.environ["URLLIB3_PORT"]), maxsize=POOL, block=True)

    def call(self, ms):
        self.pool.request("GET", f"/hold?ms={ms}", pool_timeout=TIMEOUT, retries=False)

    def leak(self):
        lost.append(self.pool.request("GET", "/hold?ms=1", pool_timeout=TIMEOUT, retries=False, preload_content=False))


lost = []
lock, slots, condition, queue = asyncio.Lock(), asyncio.Semaphore(1), asyncio.Condition(), asyncio.Queue()
thread_lock = threading.Lock()


async def through_lock():
    with Waited("locked"):
        await lock.acquire()
    try:
        await asyncio.sleep(0.02)
    finally:
        lock.release()


async def through_condition():
    """Told to go on by a task that slept."""

    async def tell():
        await asyncio.sleep(0.006)
        async with condition:
            condition.notify_all()

    task = asyncio.create_task(tell())
    async with condition:
        await condition.wait()
    await task


async def through_queue():
    """Gets what a task puts into a queue."""

    async def put():
        await asyncio.sleep(0.006)
        queue.put_nowait(1)

    task = asyncio.create_task(put())
    await queue.get()
    await task


async def compute():
    end = time.perf_counter() + 0.004
    while time.perf_counter() < end:
        pass


BEFORE = {
    "call": None,
    "sleep": lambda: asyncio.sleep(0.02),
    "lock": through_lock,
    "condition": through_condition,
    "queue": through_queue,
    "thread": lambda: asyncio.to_thread(time.sleep, 0.006),
    "cpu": compute,
}


def answer(record, calm):
    record["timeouts"] += 1
    return Response(status_code=200 if calm else 503)


def asynchronous(client, before):
    async def handler(ms: int = 3, calm: bool = False):
        if before:
            await before()
        try:
            await client.call(ms)
        except client.Gone:
            if "queued" in current.get():
                current.get()["waits"].append(time.monotonic() - current.get().pop("queued"))
            has_connection(current.get())
            return answer(current.get(), calm)
        return {}

    return handler


def guarded(client):
    async def handler(ms: int = 3):
        """One at a time, by a semaphore around the client."""
        with Waited("locked"):
            await slots.acquire()
        try:
            await client.call(ms)
        except client.Gone:
            has_connection(current.get())
            return answer(current.get(), False)
        finally:
            slots.release()
        return {}

    return handler


def synchronous(client, before):
    def handler(ms: int = 3, calm: bool = False):
        if before:
            before()
        try:
            client.call(ms)
        except client.Gone:
            return answer(current.get(), calm)
        return {}

    return handler


def thread_through_lock():
    with Waited("locked"):
        thread_lock.acquire()
    try:
        time.sleep(0.02)
    finally:
        thread_lock.release()


@asynccontextmanager
async def lifespan(_):
    for client in clients.values():
        await client.open()
    yield


app = FastAPI(lifespan=lifespan)
clients = {"redis": Redis(), "httpx": Httpx(), "aiohttp": Aiohttp(), "urllib3": Urllib3()}
for name, client in clients.items():
    if name == "urllib3":
        for path, before in {"call": None, "sleep": lambda: time.sleep(0.02), "lock": thread_through_lock}.items():
            app.add_api_route(f"/{name}/{path}", synchronous(client, before))
    else:
        for path, before in BEFORE.items():
            app.add_api_route(f"/{name}/{path}", asynchronous(client, before))
        app.add_api_route(f"/{name}/semaphore", guarded(client))
    app.add_api_route(f"/{name}/leak", client.leak)


@app.get("/health")
async def health():
    return {}


@app.get("/nap")
async def nap():
    """Sleeps, and calls nobody."""
    await asyncio.sleep(0.03)
    return {}


def fresh():
    record = {"waits": [], "locked": [], "timeouts": 0, "connecting": 0.0}
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
        identity = dict(scope["headers"]).get(b"x-request-id", b"").decode()
        truth.write(json.dumps({
            "id": identity, "path": scope["path"], "seconds": time.monotonic() - start, "waits": record["waits"],
            "locked": record["locked"], "timeouts": record["timeouts"],
        }) + "\n")


app.add_middleware(Log)
