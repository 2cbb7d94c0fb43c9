"""A FastAPI service of mixed work, for the names in its stacks: JSON through pydantic, Redis, numpy, hashes that release the
GIL, threads, regular expressions, and sleeps on the event loop and in threads.

It keeps no truth: how many frames have a name is counted in what the agent took.
"""
import asyncio
import hashlib
import json
import os
import re
import time
import zlib

import numpy
import redis.asyncio as redis
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
store = redis.Redis(host="127.0.0.1", port=int(os.environ["REDIS_PORT"]))
text = json.dumps([{"id": i, "score": i / 7, "tags": ["a", "b", str(i)]} for i in range(60)])
array = numpy.random.default_rng(1).random(20000)
matrix = numpy.random.default_rng(2).random((80, 80))
buffer = os.urandom(1 << 17)


class Item(BaseModel):
    id: int
    score: float
    tags: list[str]


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/json")
async def through_json() -> list[Item]:
    items = json.loads(json.dumps(json.loads(text)))
    return sorted(items, key=lambda item: -item["score"])


@app.get("/redis")
async def through_redis():
    await store.set("key", text)
    values = await asyncio.gather(*[store.get("key") for _ in range(3)])
    return {"length": sum(map(len, values))}


@app.get("/numpy")
async def numbers():
    return {"sum": float(numpy.sort(array * array).sum()), "trace": float((matrix @ matrix).trace())}


@app.get("/hash")
async def digest():
    return {"hash": await asyncio.to_thread(lambda: hashlib.sha256(buffer).hexdigest()), "crc": zlib.crc32(buffer)}


@app.get("/thread")
def thread():
    words = re.findall(r"[a-z]+\d*", text)
    time.sleep(0.002)
    return {"words": len(set(words)), "sum": sum(i * i % 7 for i in range(3000))}


@app.get("/sleep")
async def sleeps():
    await asyncio.sleep(0.005)
    time.sleep(0.001)
    await asyncio.to_thread(time.sleep, 0.003)
    return {}
