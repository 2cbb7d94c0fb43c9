"""Services that call their peers over TLS and know what they asked for.

In: PEER (https URL), POOLED (another, of httpx alone: a free connection of another client would hide its waits), REDIS_PORT (TLS), CA (file), POOL (connections of the httpx pool), TRUTH (log). `app` is ASGI,
`wsgi` the same for threads. A request names the client and a word of its own; the word is in what it asks for, so that
no call can be taken for another request's.

Out: one JSON line a request in TRUTH: its x-request-id, its seconds, its calls in order, how long each waited for a
connection of the pool. Only httpx has a pool smaller than the load.
"""
import json
import os
import ssl
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar

import aiohttp
import httpx
import openai
import redis.asyncio as redis
import requests
from fastapi import FastAPI, Request
from httpcore._async.connection_pool import AsyncPoolRequest
from httpcore._async.http11 import AsyncHTTP11Connection

PEER, POOLED, CA, POOL = os.environ["PEER"], os.environ["POOLED"], os.environ["CA"], int(os.environ.get("POOL", "1"))
truth = open(os.environ["TRUTH"], "a", buffering=1)
pool = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL)
trust = ssl.create_default_context(cafile=CA)


class Record:
    def __init__(self, identity, path):
        self.identity, self.path, self.operations, self.waits, self.start = identity, path, [], [], time.monotonic()

    def asks(self, operation, waited=0.0):
        self.operations.append(operation)
        self.waits.append(waited)

    def write(self):
        line = {"id": self.identity, "path": self.path, "seconds": time.monotonic() - self.start, "operations": self.operations, "waits": self.waits, "holds": []}
        truth.write(json.dumps(line) + "\n")


waited: ContextVar[float] = ContextVar("waited", default=0.0)
wanting: ContextVar[tuple | None] = ContextVar("wanting", default=None)  # since when, and whether it had to wait
acquire, send_head = AsyncPoolRequest.wait_for_connection, AsyncHTTP11Connection._send_request_headers


async def wants(self, timeout=None):
    """Measures what the client library does not tell: how long a request wants a connection until it has one for itself.

    One free connection is promised to all who wait, and all but one come back to wait again.
    """
    before = wanting.get()
    wanting.set((before[0], True) if before else (time.monotonic(), self.is_queued()))
    return await acquire(self, timeout)


async def sends(*args, **kwargs):
    since, stood = wanting.get() or (0, False)
    wanting.set(None)
    if stood:
        waited.set(waited.get() + time.monotonic() - since)
    return await send_head(*args, **kwargs)


AsyncPoolRequest.wait_for_connection, AsyncHTTP11Connection._send_request_headers = wants, sends


@asynccontextmanager
async def lifespan(_):
    global web, session, models, store
    web = httpx.AsyncClient(verify=trust, limits=pool, timeout=60)
    models = openai.AsyncOpenAI(base_url=PEER, api_key="sk-not-to-be-recorded", http_client=httpx.AsyncClient(verify=trust))
    store = redis.Redis(port=int(os.environ["REDIS_PORT"]), ssl=True, ssl_ca_certs=CA, ssl_check_hostname=False)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=200)) as session:
        yield
    await store.aclose()


app = FastAPI(lifespan=lifespan)
threads = requests.Session()
threads.verify, threads.trust_env = CA, False  # the environment would have the last word
threads.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=100))


@app.get("/health")
async def health():
    return {}


@app.get("/none/{word}")
async def none(word: str, request: Request):
    Record(request.headers["x-request-id"], request.url.path).write()
    return {"word": word * 1000}


@app.get("/httpx/{word}")
async def by_httpx(word: str, request: Request):
    r = Record(request.headers["x-request-id"], request.url.path)
    for _ in range(2):
        waited.set(0.0)
        await web.get(f"{POOLED}/answer/{word}")
        r.asks(f"GET /answer/{word}", waited.get())
    r.write()
    return {}


@app.get("/aiohttp/{word}")
async def by_aiohttp(word: str, request: Request):
    r = Record(request.headers["x-request-id"], request.url.path)
    for _ in range(2):
        r.asks(f"GET /answer/{word}")
        async with session.get(f"{PEER}/answer/{word}") as answer:
            await answer.read()
    r.write()
    return {}


@app.get("/openai/{word}")
async def by_openai(word: str, request: Request):
    r = Record(request.headers["x-request-id"], request.url.path)
    r.asks(f"POST /{word}/v1/chat/completions")
    client = models.with_options(base_url=f"{PEER}/{word}/v1")
    async for _ in await client.chat.completions.create(model="m", messages=[{"role": "user", "content": word}], stream=True):
        pass
    r.write()
    return {}


@app.get("/redis/{word}")
async def by_redis(word: str, request: Request):
    r = Record(request.headers["x-request-id"], request.url.path)
    for command in ("get", "strlen"):
        r.asks(command)
        await getattr(store, command)(word)
    r.write()
    return {}


@app.get("/requests/{word}")
def by_requests(word: str, request: Request):
    r = Record(request.headers["x-request-id"], request.url.path)
    ask(r, word)
    return {}


def ask(r, word):
    for _ in range(2):
        r.asks(f"GET /answer/{word}")
        threads.get(f"{PEER}/answer/{word}", timeout=60)
    r.write()


def wsgi(environ, start_response):
    _, client, *word = environ["PATH_INFO"].split("/")
    if client != "health":
        r = Record(environ["HTTP_X_REQUEST_ID"], environ["PATH_INFO"])
        if client == "requests":
            ask(r, word[0])
        else:
            r.write()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
