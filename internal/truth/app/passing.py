"""A server that accepts in one process and serves in others: each connection is passed on by SCM_RIGHTS.

In, out: as web.py, but every path is answered with the length of the body. Run: python passing.py PORT.
"""
import json
import os
import re
import socket
import sys
import threading
import time

WORKERS = 2


def answer(connection):
    """One thread for each connection, one request after the other."""
    stream = connection.makefile("rb")
    while line := stream.readline():
        start = time.monotonic()
        method, path, _ = line.decode().split()
        headers = {}
        while (h := stream.readline()) not in (b"\r\n", b""):
            name, _, value = h.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        status = int(path.split("/")[2]) if path.startswith("/status/") else 200
        out = json.dumps({"bytes": len(body)}).encode()
        if identity := headers.get("x-request-id"):
            record = {
                "id": identity, "method": method, "route": re.sub(r"/\d+", "/{id}", path), "status": status,
                "seconds": time.monotonic() - start, "pid": os.getpid(),
            }
            truth.write(json.dumps(record) + "\n")
        connection.sendall(b"HTTP/1.1 %d Done\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(out)) + out)
        if headers.get("connection") == "close":
            break
    connection.close()


def work(channel):
    while True:
        _, fds, _, _ = socket.recv_fds(channel, 1, 1)
        if not fds:
            return
        threading.Thread(target=answer, args=(socket.socket(fileno=fds[0]),), daemon=True).start()


truth = open(os.environ["TRUTH"], "a", buffering=1)
channels = []
for _ in range(WORKERS):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    if os.fork() == 0:
        ours.close()
        work(theirs)
        os._exit(0)
    theirs.close()
    channels.append(ours)

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
turn = 0
while True:
    accepted, _ = listener.accept()
    socket.send_fds(channels[turn % WORKERS], [b"x"], [accepted.fileno()])
    accepted.close()
    turn += 1
