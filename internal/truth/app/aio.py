"""The same service as web.py on aiohttp.web, a server and a framework in one.

In, out: as web.py. Run: python aio.py PORT.
"""
import asyncio
import json
import os
import sys
import time

from aiohttp import web

truth = open(os.environ["TRUTH"], "a", buffering=1)


@web.middleware
async def log(request, handler):
    start, status = time.monotonic(), 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as e:
        status = e.status
        raise
    finally:
        if identity := request.headers.get("x-request-id"):
            resource = request.match_info.route.resource
            line = {
                "id": identity, "method": request.method, "route": resource.canonical if resource else "",
                "status": status, "seconds": time.monotonic() - start, "pid": os.getpid(),
            }
            truth.write(json.dumps(line) + "\n")


async def health(_):
    return web.json_response({"status": "ok"})


async def item(request):
    return web.json_response({"item": int(request.match_info["item"])})


async def status(request):
    return web.Response(status=int(request.match_info["code"]))


async def echo(request):
    return web.json_response({"bytes": len(await request.read())})


async def ignore(_):
    """Answers without a look at the body."""
    return web.json_response({})


async def thread(_):
    await asyncio.to_thread(time.sleep, 0.002)
    return web.json_response({})


async def big(_):
    return web.Response(body=b"x" * 3_000_000)


async def streamed(request, part, kind):
    response = web.StreamResponse(headers={"content-type": kind})
    await response.prepare(request)
    for _ in range(4):
        await response.write(part)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def stream(request):
    return await streamed(request, b"x" * 700, "application/octet-stream")


async def events(request):
    return await streamed(request, b'data: {"token":"x"}\n\n', "text/event-stream")


async def slow(_):
    await asyncio.sleep(0.05)
    return web.json_response({})


async def ws(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for _ in range(3):
        await socket.send_str(await socket.receive_str())
    await socket.close()
    return socket


app = web.Application(middlewares=[log], client_max_size=1 << 26)
app.add_routes([
    web.get("/health", health), web.get("/items/{item}", item), web.get("/status/{code}", status),
    web.post("/echo", echo), web.post("/ignore", ignore), web.get("/thread", thread), web.get("/big", big),
    web.get("/stream", stream), web.get("/events", events), web.get("/slow", slow), web.get("/ws", ws),
])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, keepalive_timeout=60)
