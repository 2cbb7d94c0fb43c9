"""A target with nothing but the standard library that does what a well-behaved one does not."""
import asyncio
import os
import sys

CHUNK = b"x" * (1 << 18)


async def answer(writer, body, length=None):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) if length is None else length))
    writer.write(body)
    await writer.drain()


async def big(writer, size):
    await answer(writer, b"", size)
    while size > 0:
        part = CHUNK[:size]
        writer.write(part)
        size -= len(part)
        await writer.drain()


def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            path = head[0].split(b" ")[1]
            size = 0
            for line in head[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            while size > 0:
                part = await reader.read(min(size, 1 << 18))
                if not part:
                    return
                size -= len(part)
            if path.startswith(b"/big/"):
                await big(writer, int(path[5:]))
            elif path == b"/fork":
                fork()
                await answer(writer, b"%d" % os.getpid())
            elif path == b"/exec":
                await answer(writer, b"bye")
                writer.close()
                await writer.wait_closed()
                os.execv(sys.executable, [sys.executable] + sys.argv)
            else:
                await answer(writer, b"%d" % os.getpid())
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), limit=1 << 16, backlog=4096, reuse_port=True)
    async with server:
        await server.serve_forever()


for _ in range(int(os.environ.get("WORKERS", "1")) - 1):
    if os.fork() == 0:
        break
asyncio.run(main())
