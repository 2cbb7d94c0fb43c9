"""A FastAPI service for every ASGI server: each way in which a request can be answered, and a log of what was answered.

In: TRUTH (log), MIDDLEWARE (asgi, or base: Starlette's BaseHTTPMiddleware, which runs the handler in a child task).

Out: one JSON line a request in TRUTH: x-request-id, method, route template, status, seconds, process. The agent never
reads it.
"""
import asyncio
import json
import os
import time
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware


@asynccontextmanager
async def lifespan(_):
    async def idle():
        while True:
            await asyncio.sleep(0.01)

    task = asyncio.create_task(idle())  # work that belongs to no request
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/items/{item}")
@app.head("/items/{item}")
async def item(item: int):
    return {"item": item}


@app.get("/status/{code}")
async def status(code: int):
    return Response(status_code=code)


@app.post("/echo")
async def echo(request: Request):
    return {"bytes": len(await request.body())}


@app.post("/ignore")
async def ignore():
    """Answers without a look at the body."""
    return {}


@app.get("/thread")
def thread():
    time.sleep(0.002)
    return {}


async def session():
    yield 1
    await asyncio.sleep(0)  # clean up


@app.get("/depends")
async def depends(value: int = Depends(session)):
    return {"value": value}


@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(asyncio.sleep, 0.005)
    return {}


@app.get("/big")
async def big():
    return Response(b"x" * 3_000_000, media_type="application/octet-stream")


@app.get("/stream")
async def stream():
    async def parts():
        for _ in range(4):
            yield b"x" * 700
            await asyncio.sleep(0)

    return StreamingResponse(parts())


@app.get("/events")
async def events():
    async def parts():
        for _ in range(4):
            yield 'data: {"token":"x"}\n\n'
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/slow")
async def slow():
    await asyncio.sleep(0.05)
    return {}


@app.websocket("/ws")
async def ws(socket: WebSocket):
    await socket.accept()
    for _ in range(3):
        await socket.send_text(await socket.receive_text())
    await socket.close()


def write(scope, status, start):
    identity = next((v.decode() for k, v in scope["headers"] if k == b"x-request-id"), None)
    if identity:
        route = scope.get("route")
        line = {
            "id": identity, "method": scope.get("method", "GET"), "route": getattr(route, "path", ""), "status": status,
            "seconds": time.monotonic() - start, "pid": os.getpid(),
        }
        truth.write(json.dumps(line) + "\n")


class Log:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        status, start = 0, time.monotonic()

        async def watched(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            write(scope, status, start)


class Pass(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


if path := os.environ.get("TRUTH"):
    truth = open(path, "a", buffering=1)
    if os.environ.get("MIDDLEWARE") == "base":
        app.add_middleware(Pass)
    app.add_middleware(Log)
