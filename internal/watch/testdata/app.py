"""A small API that knows the truth about its own waits, for the end-to-end test.

It logs one JSON line a request to TRUTH: its x-request-id, and how long it waited for a Redis
connection by its own clock. The agent never reads that file.
"""
import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar

import redis.asyncio as redis
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

waited: ContextVar[list] = ContextVar("waited")
truth = open(os.environ["TRUTH"], "a", buffering=1)


class Pool(redis.BlockingConnectionPool):
    async def get_connection(self, *args, **kwargs):
        start = time.monotonic()
        try:
            return await super().get_connection(*args, **kwargs)
        finally:
            waited.get([]).append(time.monotonic() - start)


@asynccontextmanager
async def lifespan(app):
    pool = Pool(host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=int(os.environ.get("POOL", "2")), timeout=30)
    app.state.redis = redis.Redis(connection_pool=pool)
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def log(request: Request, call_next):
    waited.set([])
    response = await call_next(request)
    truth.write(json.dumps({"id": request.headers.get("x-request-id"), "path": request.url.path, "waits": waited.get()}) + "\n")
    return response


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/items/{item}")
async def item(item: int):
    """Two look-ups, one of them missing."""
    hit = await app.state.redis.get("known")
    miss = await app.state.redis.get(f"unknown:{item}")
    return {"hit": hit is not None, "miss": miss is None}


@app.get("/hold")
async def hold():
    """Holds a connection for 20 ms without loading Redis."""
    await app.state.redis.blpop("nothing:here", timeout=0.02)
    return {}


@app.get("/sleep")
async def sleep():
    """Looks like a wait and is none."""
    await app.state.redis.get("known")
    await asyncio.sleep(0.02)
    await app.state.redis.get("known")
    return {}


@app.get("/gather")
async def gather():
    await asyncio.gather(*[app.state.redis.get("known") for _ in range(3)])
    return {}


@app.get("/thread")
def thread():
    time.sleep(0.005)
    return {}


@app.get("/stream")
async def stream():
    async def events():
        yield 'data: {"type":"metadata"}\n\n'
        for _ in range(5):
            await asyncio.sleep(0.005)
            yield 'data: {"type":"token","data":{"content":"x"}}\n\n'
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
