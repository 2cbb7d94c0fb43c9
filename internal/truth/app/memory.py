"""A FastAPI service that knows where its memory goes: it leaks, fills a cache and stops, or keeps nothing.

In: CACHE (entries that the cache holds; default 3000).

Each way allocates as much for a request, in a function of its own; /leak keeps 1,000,000 bytes for 1,000 requests,
/cache as much until it is full and then replaces. /crowd holds some 100 KB for two seconds, and gives them back; /crowdleak
does so too, and keeps what /leak keeps. PSS, arenas and blocks of the allocators are told by /arenas
(sys._debugmallocstats), to compare with what is read from outside.
"""
import asyncio
import ctypes
import os
import random
import sys

from fastapi import FastAPI

CACHE = int(os.environ.get("CACHE", "3000"))
SIZE = 1000 - sys.getsizeof(b"") - 8  # with the object's head and its place in the list 1,000 bytes

app = FastAPI()
kept = []
cache = {}
turn = 0


def remember():
    kept.append(bytes(SIZE))


def store(key):
    cache[key] = bytes(SIZE)


def work():
    return sum(len(bytes(SIZE)) for _ in range(20))


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/plain")
async def plain():
    return {"worked": work()}


@app.get("/leak")
async def leak():
    remember()
    return {"worked": work()}


async def hold():
    """Answers of dependencies, of all sizes, until the last of them is there."""
    held = []
    for _ in range(4):
        held.append([bytes(random.randrange(100, 5000)) for _ in range(10)])
        await asyncio.sleep(.5)
    return len(held)


@app.get("/crowd")
async def crowd():
    return {"held": await hold(), "worked": work()}


@app.get("/crowdleak")
async def crowdleak():
    remember()
    return {"held": await hold(), "worked": work()}


@app.get("/cache")
async def fill():
    global turn
    turn += 1
    store(turn % CACHE)
    return {"worked": work()}
