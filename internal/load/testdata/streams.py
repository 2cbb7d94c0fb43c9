"""Reads streams of server-sent events as a service that calls a language model does, and notes when each event came.

    streams.py httpx|aiohttp URL STREAMS SECONDS_UNTIL_ALL_ARE_OPEN

Prints one line a stream: its x-request-id and the instants of its events, nanoseconds on CLOCK_MONOTONIC.
"""

import asyncio
import sys
import time

library, url, streams, ramp = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])


async def read(lines, at):
    async for line in lines:
        if line.startswith(b"data: {" if isinstance(line, bytes) else "data: {"):
            at.append(time.monotonic_ns())


async def stream(i, get):
    await asyncio.sleep(i * ramp / streams)
    at = []
    await get({"x-request-id": f"{library}-{i}"}, at)
    return f"{library}-{i}", at


async def with_httpx():
    import httpx

    limits = httpx.Limits(max_connections=streams)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def get(headers, at):
            async with client.stream("GET", url, headers=headers) as answer:
                await read(answer.aiter_lines(), at)

        return await asyncio.gather(*(stream(i, get) for i in range(streams)))


async def with_aiohttp():
    import aiohttp

    connector = aiohttp.TCPConnector(limit=streams)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def get(headers, at):
            async with client.get(url, headers=headers) as answer:
                await read(answer.content, at)

        return await asyncio.gather(*(stream(i, get) for i in range(streams)))


for name, at in asyncio.run(with_httpx() if library == "httpx" else with_aiohttp()):
    print(name, *at)
