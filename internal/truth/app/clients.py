"""A FastAPI service that calls one client library in every way that applications do, and marks each call.

In: CLIENT (a name of CLIENTS), PEER (host:port), POOL (connections), TRUTH (log), MIDDLEWARE (asgi or base).

Each call carries a token, tk<request>n<call>z, in its key, path, text or payload, where request is the number in the
x-request-id ("row-17") and x stands for work of no request. So what crosses the wire tells whose a call is. Out: one
JSON line a request in TRUTH: its id, from when to when it waited for a connection by hooks in the client's own pool, in
seconds of CLOCK_MONOTONIC; for gRPC the instant at which each call was handed over. The agent never reads it.
"""
import asyncio
import contextlib
import functools
import importlib
import json
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

HOST, PORT = os.environ["PEER"].split(":")
POOL = int(os.environ.get("POOL", "10"))
THREADS = 40  # of asyncio.to_thread, as many as endpoints have that are no coroutines: its own few hardly share a pool
current: ContextVar = ContextVar("current", default=None)
calling: ContextVar = ContextVar("calling", default="")


class Record:
    """One request, or the work of none."""

    def __init__(self, number):
        self.number, self.calls, self.waits, self.handed, self.answered = number, 0, [], {}, False

    def token(self):
        current.set(self)
        self.calls += 1
        token = f"tk{self.number}n{self.calls}z"
        calling.set(token)
        return token


nobody = Record("x")


# The pools' own clocks.


def timed(owner, name):
    """Makes what the method takes, until it returns, a wait of the request that is served.

    A method that blocks its thread waits from when it first sleeps in a condition: a thread that finds a connection free
    spends milliseconds there, too, but for the GIL and a processor.
    """
    method = getattr(owner, name)
    if asyncio.iscoroutinefunction(method):

        @functools.wraps(method)
        async def wrapper(*args, **kwargs):
            start = time.monotonic()
            try:
                return await method(*args, **kwargs)
            finally:
                waited(start)

    else:

        @functools.wraps(method)
        def wrapper(*args, **kwargs):
            asleep.since = None
            try:
                return method(*args, **kwargs)
            finally:
                waited(asleep.since)

    setattr(owner, name, wrapper)


def waited(since):
    record = current.get()
    if since and record and not record.answered:
        record.waits.append((since, time.monotonic()))


asleep = threading.local()  # since when the thread slept in a condition


def time_conditions():
    """Notes when a thread sleeps in what queues, events and pools of threads are made of."""
    wait = threading.Condition.wait

    @functools.wraps(wait)
    def wrapper(*args, **kwargs):
        asleep.since = getattr(asleep, "since", None) or time.monotonic()
        return wait(*args, **kwargs)

    threading.Condition.wait = wrapper


time_conditions()


def time_httpx():
    """A wait lasts from when a request wants a connection until it has one for itself.

    One free connection is promised to all who wait, they queue up for its lock, and all but one have to wait again.
    """
    for package in ("httpcore", "httpcore2"):
        for kind, request, http11 in (("_async", "AsyncPoolRequest", "AsyncHTTP11Connection"), ("_sync", "PoolRequest", "HTTP11Connection")):
            with contextlib.suppress(ImportError):
                time_httpcore(
                    getattr(importlib.import_module(f"{package}.{kind}.connection_pool"), request),
                    getattr(importlib.import_module(f"{package}.{kind}.http11"), http11),
                )


wanting: ContextVar = ContextVar("wanting", default=None)


def time_httpcore(request, http11):
    wait, send = request.wait_for_connection, http11._send_request_headers
    blocks = not asyncio.iscoroutinefunction(wait)

    @functools.wraps(wait)
    def waits(self, *args, **kwargs):
        if wanting.get() is None:
            wanting.set(time.monotonic())
            asleep.since = None
        return wait(self, *args, **kwargs)

    @functools.wraps(send)
    def sends(*args, **kwargs):
        start = wanting.get()
        wanting.set(None)
        waited(asleep.since if blocks else start)
        return send(*args, **kwargs)

    request.wait_for_connection, http11._send_request_headers = waits, sends


# The clients: each entry makes one and returns a function that makes one call with a token.


async def redis_async():
    import redis.asyncio as redis

    pool = redis.BlockingConnectionPool(host=HOST, port=int(PORT), max_connections=POOL, timeout=60)
    timed(pool, "get_connection")
    return redis.Redis(connection_pool=pool).get


async def redis_pipeline():
    import redis.asyncio as redis

    pool = redis.BlockingConnectionPool(host=HOST, port=int(PORT), max_connections=POOL, timeout=60)
    timed(pool, "get_connection")
    client = redis.Redis(connection_pool=pool)

    async def call(token):
        async with client.pipeline(transaction=len(token) % 2 == 0) as pipe:
            await pipe.set(token, "1").get(token).expire(token, 60).execute()

    return call


async def redis_blocking():
    import redis.asyncio as redis

    pool = redis.BlockingConnectionPool(host=HOST, port=int(PORT), max_connections=POOL, timeout=60)
    timed(pool, "get_connection")
    client = redis.Redis(connection_pool=pool)
    return lambda token: client.blpop(token, timeout=0.004)


def redis_sync():
    import redis

    timed(queue.LifoQueue, "get")
    pool = redis.BlockingConnectionPool(host=HOST, port=int(PORT), max_connections=POOL, timeout=60)
    return redis.Redis(connection_pool=pool).get


async def httpx_async():
    import httpx

    time_httpx()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL), timeout=60, trust_env=False)
    return lambda token: client.get(f"http://{HOST}:{PORT}/item?t={token}")


def httpx_sync():
    import httpx

    time_httpx()
    client = httpx.Client(limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL), timeout=60, trust_env=False)
    return lambda token: client.get(f"http://{HOST}:{PORT}/item?t={token}")


async def aiohttp_client():
    import aiohttp

    async def queued(_, context, __):
        context.start = time.monotonic()

    async def unqueued(_, context, __):
        waited(context.start)

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(queued)
    trace.on_connection_queued_end.append(unqueued)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=POOL), trace_configs=[trace])

    async def call(token):
        async with session.get(f"http://{HOST}:{PORT}/item", params={"t": token}) as response:
            await response.read()

    return call


def urllib3_client():
    import urllib3

    timed(queue.LifoQueue, "get")
    pool = urllib3.PoolManager(num_pools=1, maxsize=POOL, block=True)
    return lambda token: pool.request("GET", f"http://{HOST}:{PORT}/item?t={token}")


def requests_client():
    import requests
    import requests.adapters

    timed(queue.LifoQueue, "get")
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=POOL, pool_block=True))
    return lambda token: session.get(f"http://{HOST}:{PORT}/item?t={token}")


async def neo4j_async():
    import neo4j
    from neo4j._async.io._pool import AsyncDirectBoltPool

    timed(AsyncDirectBoltPool, "acquire")
    driver = neo4j.AsyncGraphDatabase.driver(f"bolt://{HOST}:{PORT}", max_connection_pool_size=POOL, connection_acquisition_timeout=60)

    async def call(token):
        async with driver.session() as session:
            result = await session.run("UNWIND [1] AS x RETURN $t", t=token)
            await result.consume()

    return call


def neo4j_sync():
    import neo4j
    from neo4j._sync.io._pool import DirectBoltPool

    timed(DirectBoltPool, "acquire")
    driver = neo4j.GraphDatabase.driver(f"bolt://{HOST}:{PORT}", max_connection_pool_size=POOL, connection_acquisition_timeout=60)

    def call(token):
        with driver.session() as session:
            session.run("UNWIND [1] AS x RETURN $t", t=token).consume()

    return call


def time_grpc():
    """Notes when each asyncio call is handed to C-core: from there on it may wait for a stream."""
    from grpc.aio._call import UnaryUnaryCall

    invoke = UnaryUnaryCall._invoke

    async def wrapper(self):
        if record := current.get():
            record.handed[calling.get()] = time.monotonic()
        return await invoke(self)

    UnaryUnaryCall._invoke = wrapper


async def grpc_async():
    import grpc

    time_grpc()
    method = grpc.aio.insecure_channel(os.environ["PEER"]).unary_unary("/truth.Truth/Call")
    return lambda token: method(token.encode() + b" " + b"x" * 200)


async def grpc_alike():
    """Calls whose first bytes are all the same, some of which time out."""
    import grpc

    time_grpc()
    method = grpc.aio.insecure_channel(os.environ["PEER"]).unary_unary("/truth.Truth/Call")

    async def call(token):
        with contextlib.suppress(grpc.aio.AioRpcError):
            await method(b"x" * 100 + token.encode(), timeout=0.01 if int(token[2:].split("n")[0].replace("x", "0")) % 5 == 0 else 60)

    return call


def grpc_sync():
    import grpc

    method = grpc.insecure_channel(os.environ["PEER"]).unary_unary("/truth.Truth/Call")
    return lambda token: method(token.encode() + b" " + b"x" * 200)


async def qdrant_grpc():
    from qdrant_client import AsyncQdrantClient

    time_grpc()
    client = AsyncQdrantClient(host=HOST, grpc_port=int(PORT), prefer_grpc=True, check_compatibility=False)
    return client.collection_exists


def qdrant_grpc_sync():
    from qdrant_client import QdrantClient

    client = QdrantClient(host=HOST, grpc_port=int(PORT), prefer_grpc=True, check_compatibility=False)
    return client.collection_exists


async def qdrant_rest():
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse

    time_httpx()
    client = AsyncQdrantClient(host=HOST, port=int(PORT), check_compatibility=False, limits=limits())

    async def call(token):
        with contextlib.suppress(UnexpectedResponse):  # there is none of that name
            await client.get_collection(token)

    return call


def qdrant_rest_sync():
    from qdrant_client import QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse

    time_httpx()
    client = QdrantClient(host=HOST, port=int(PORT), check_compatibility=False, limits=limits())

    def call(token):
        with contextlib.suppress(UnexpectedResponse):
            client.get_collection(token)

    return call


def limits():
    import httpx

    return httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL)


MODEL, TOKENS = os.environ.get("MODEL", "stand-in"), int(os.environ.get("TOKENS", "8"))


async def openai_async():
    import httpx2
    import openai

    time_httpx()
    bounds = httpx2.Limits(max_connections=POOL, max_keepalive_connections=POOL)
    client = openai.AsyncOpenAI(
        base_url=f"http://{HOST}:{PORT}/v1", api_key="none", max_retries=0, http_client=openai.DefaultAsyncHttpxClient(limits=bounds)
    )

    async def call(token):
        stream = int(token.split("n")[1][:-1]) % 2 == 0
        answer = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": token}], max_tokens=TOKENS, stream=stream
        )
        if stream:
            async for _ in answer:
                pass

    return call


def openai_sync():
    import httpx2
    import openai

    time_httpx()
    bounds = httpx2.Limits(max_connections=POOL, max_keepalive_connections=POOL)
    client = openai.OpenAI(
        base_url=f"http://{HOST}:{PORT}/v1", api_key="none", max_retries=0, http_client=openai.DefaultHttpxClient(limits=bounds)
    )

    def call(token):
        for _ in client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": token}], max_tokens=TOKENS, stream=True):
            pass

    return call


async def ollama_async():
    import httpx
    import ollama

    time_httpx()
    client = ollama.AsyncClient(host=f"http://{HOST}:{PORT}", limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL))

    async def call(token):
        answer = await client.chat(
            model=MODEL, messages=[{"role": "user", "content": token}], options={"num_predict": TOKENS}, stream=True
        )
        async for _ in answer:
            pass

    return call


CLIENTS = {
    "redis-py asyncio": redis_async,
    "redis-py asyncio, pipelines": redis_pipeline,
    "redis-py asyncio, blocking": redis_blocking,
    "redis-py": redis_sync,
    "httpx async": httpx_async,
    "httpx": httpx_sync,
    "aiohttp": aiohttp_client,
    "urllib3": urllib3_client,
    "requests": requests_client,
    "neo4j async": neo4j_async,
    "neo4j": neo4j_sync,
    "grpc.aio": grpc_async,
    "grpc.aio, alike": grpc_alike,
    "grpc": grpc_sync,
    "qdrant-client async, gRPC": qdrant_grpc,
    "qdrant-client, gRPC": qdrant_grpc_sync,
    "qdrant-client async, REST": qdrant_rest,
    "qdrant-client, REST": qdrant_rest_sync,
    "openai async": openai_async,
    "openai": openai_sync,
    "ollama async": ollama_async,
}
make = CLIENTS[os.environ["CLIENT"]]
IS_ASYNC = asyncio.iscoroutinefunction(make)


async def keep_busy():
    """Work of no request."""
    while True:
        with contextlib.suppress(Exception):
            await once(nobody)
        await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def lifespan(_):
    global client
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    client = await make() if IS_ASYNC else make()
    task = asyncio.create_task(keep_busy())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


async def once(record):
    if IS_ASYNC:
        await client(record.token())
    else:
        await asyncio.to_thread(once_sync, record)


def once_sync(record):
    client(record.token())


def record_of(request: Request):
    return request.scope["record"]


def pattern(function):
    app.get("/" + function.__name__)(function)
    return function


@app.get("/health")
async def health():
    return {}


@pattern
async def plain(record=Depends(record_of)):
    await once(record)


@pattern
async def twice(record=Depends(record_of)):
    await once(record)
    await once(record)


@pattern
async def gather(record=Depends(record_of)):
    await asyncio.gather(*[once(record) for _ in range(3)])


@pattern
async def group(record=Depends(record_of)):
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(once(record))


@pattern
async def outlives(record=Depends(record_of)):
    """Answers while a task that it made is still at work."""
    task = asyncio.create_task(late(record))
    kept.add(task)
    task.add_done_callback(kept.discard)


kept = set()


async def late(record):
    await asyncio.sleep(0.02)
    await once(record)


@pattern
async def background(tasks: BackgroundTasks, record=Depends(record_of)):
    tasks.add_task(once if IS_ASYNC else once_sync, record)


@pattern
async def slept(record=Depends(record_of)):
    """Looks like a wait for a connection, and is none."""
    await asyncio.sleep(0.005)
    await once(record)


@pattern
async def locked(record=Depends(record_of)):
    async with lock:
        await asyncio.sleep(0.0003)
    await once(record)


lock = asyncio.Lock()


@pattern
async def computed(record=Depends(record_of)):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    await once(record)


@pattern
async def streamed(record=Depends(record_of)):
    async def parts():
        for _ in range(2):
            await once(record)
            yield b"x"

    return StreamingResponse(parts(), media_type="text/plain")


async def connected(record=Depends(record_of)):
    await once(record)
    yield record
    await once(record)


@pattern
async def dependency(record=Depends(connected)):
    await once(record)


if not IS_ASYNC:

    @pattern
    def thread(record=Depends(record_of)):
        """An endpoint that runs in the thread pool."""
        once_sync(record)

    @pattern
    async def executor(record=Depends(record_of)):
        """A thread that gets no context: only order tells whose it is."""
        await asyncio.get_running_loop().run_in_executor(None, once_sync, record)

else:

    @pattern
    def thread(record=Depends(record_of)):
        """A thread that has the call made on the loop."""
        asyncio.run_coroutine_threadsafe(once(record), loop).result()


def begin(scope):
    global loop
    loop = asyncio.get_running_loop()
    identity = dict(scope["headers"]).get(b"x-request-id", b"").decode()
    scope["record"] = record = Record(identity.rpartition("-")[2] or "x")
    return identity, record


def end(identity, record):
    if identity:
        truth.write(json.dumps({"id": identity, "waits": record.waits, "handed": record.handed}) + "\n")


class Log:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        identity, record = begin(scope)

        async def answer(message):
            await send(message)
            record.answered = message["type"] == "http.response.body" and not message.get("more_body")

        await self.app(scope, receive, answer)
        end(identity, record)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


truth = open(os.environ["TRUTH"], "a", buffering=1)
if os.environ.get("MIDDLEWARE") == "base":
    app.add_middleware(Passing)
app.add_middleware(Log)
