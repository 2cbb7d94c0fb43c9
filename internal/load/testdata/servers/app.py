"""What internal/load's tests ask of every server, as raw ASGI: answers of each framing."""
import gzip


async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = await read(receive)

    async def answer(status, *pieces, length=True, **headers):
        head = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        if length:
            head.append((b"content-length", str(sum(map(len, pieces))).encode()))
        await send({"type": "http.response.start", "status": status, "headers": head})
        for piece in pieces if scope["method"] != "HEAD" else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    match scope["path"]:
        case "/small":
            await answer(200, b"hello", content_type="text/plain")
        case "/chunked":
            await answer(200, *[b"0123456789" * 1000] * 10, length=False)
        case "/gzip":
            await answer(200, gzip.compress(b"a" * 10000), content_encoding="gzip")
        case "/empty":
            await answer(204, length=False)
        case "/moved":
            await answer(307, b"gone", location="/small")
        case "/stream":
            event = b'data: {"type": "token", "data": {"content": "x"}}\n\n'
            await answer(200, event, event, event, b"data: [DONE]\n\n", length=False, content_type="text/event-stream")
        case "/echo":
            await answer(200, body)
        case _:
            await answer(404, b"no")
