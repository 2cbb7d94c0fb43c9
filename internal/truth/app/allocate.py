"""Endpoints that allocate known bytes, and one that keeps what it allocates."""
import json

KEPT = []
BLOCK = bytes(1)


def blocks(n):
    """n blocks of 4,000 bytes: each is 4,001 from malloc, 56 for the object and 32 for its number."""
    for i in range(257, 257 + n):
        bytearray(4000)
    return n * (4001 + 56 + 32)


def objects(n):
    """n objects of 16 bytes and their numbers, in a list of known size."""
    kept = [None] * n
    for i in range(257, n):
        kept[i] = object()
    return 8 * n + (n - 257) * (16 + 32)


def array(n):
    """An array of numpy: n zeroed bytes."""
    import numpy

    numpy.zeros(n, numpy.uint8)
    return n


def keep(n):
    """A block that stays, touched to its end."""
    KEPT.append(bytearray(b"x") * n)
    return n


WORK = {
    "/blocks": lambda: blocks(250),  # 1 MB
    "/objects": lambda: objects(10_000),  # 0.55 MB
    "/array": lambda: array(2 << 20),
    "/keep": lambda: keep(256 << 10),
    "/none": lambda: 0,
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    work = WORK.get(scope["path"])
    body = json.dumps({"bytes": work() if work else 0}).encode()
    await send({"type": "http.response.start", "status": 200 if work else 404, "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
