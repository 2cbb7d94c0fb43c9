"""The same service as web.py for WSGI servers, in Flask: a thread is what runs a request.

In, out: as web.py.
"""
import json
import os
import time

from flask import Flask, Response, g, request

site = Flask(__name__)


@site.get("/health")
def health():
    return {"status": "ok"}


@site.get("/items/<int:item>")
def item(item):
    return {"item": item}


@site.get("/status/<int:code>")
def status(code):
    return Response(status=code)


@site.post("/echo")
def echo():
    return {"bytes": len(request.get_data())}


@site.post("/ignore")
def ignore():
    """Answers without a look at the body."""
    return {}


@site.get("/thread")
def thread():
    time.sleep(0.002)
    return {}


@site.get("/big")
def big():
    return Response(b"x" * 3_000_000, mimetype="application/octet-stream")


@site.get("/stream")
def stream():
    return Response(b"x" * 700 for _ in range(4))


@site.get("/events")
def events():
    return Response(('data: {"token":"x"}\n\n' for _ in range(4)), mimetype="text/event-stream")


@site.get("/slow")
def slow():
    time.sleep(0.05)
    return {}


if path := os.environ.get("TRUTH"):
    truth = open(path, "a", buffering=1)

    @site.before_request
    def begin():
        g.start = time.monotonic()

    @site.after_request
    def write(response):
        if identity := request.headers.get("x-request-id"):
            line = {
                "id": identity, "method": request.method, "route": str(request.url_rule or ""),
                "status": response.status_code, "seconds": time.monotonic() - g.start, "pid": os.getpid(),
            }
            truth.write(json.dumps(line) + "\n")
        return response
