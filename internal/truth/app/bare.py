"""The least that can be called a service, so that whatever is added shows: raw ASGI, no framework.

It logs nothing. In: REDIS_PORT, POOL. Out: /health and /item (one GET), as JSON.
"""
import os

import redis.asyncio as redis

client = redis.Redis(
    connection_pool=redis.BlockingConnectionPool(
        host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=int(os.environ.get("POOL", "10")), timeout=30
    )
)


async def answer(send, body, status=200):
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
    })
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await client.aclose()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/health":
        await answer(send, b'{"status":"ok"}')
    elif scope["path"] == "/item":
        await client.get("known")
        await answer(send, b'{"item":1}')
    else:
        await answer(send, b"{}", 404)
