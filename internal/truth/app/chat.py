"""Forwards a language model's stream to its client: raw ASGI around the real client libraries.

In: LLM (base URL of the model server), MODEL. It logs nothing: who knows the truth is at both ends of it.

  /chat/openai, /chat/ollama   an event stream, {"type": "token", "content": …} for each chunk with text
  /whole/openai                the same question, answered in one piece when all of it is there
  /health

The x-request-id is the question, so that the server can tell whose it is.
"""
import json
import os

import ollama
import openai

model = os.environ.get("MODEL", "test")
chat_openai = openai.AsyncOpenAI(base_url=os.environ["LLM"] + "/v1", api_key="none")
chat_ollama = ollama.AsyncClient(host=os.environ["LLM"])


async def by_openai(messages):
    stream = await chat_openai.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}, max_tokens=24
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def by_ollama(messages):
    async for chunk in await chat_ollama.chat(model=model, messages=messages, stream=True, options={"num_predict": 24}):
        if chunk.message.content:
            yield chunk.message.content


async def answer(send, kind, body):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})


async def stream(send, tokens):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    async for token in tokens:
        event = "data: " + json.dumps({"type": "token", "content": token}) + "\n\n"
        await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def lifespan(receive, send):
    while True:
        kind = (await receive())["type"]
        await send({"type": kind + ".complete"})
        if kind == "lifespan.shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    identity = next((v.decode() for k, v in scope["headers"] if k == b"x-request-id"), "hello")
    messages = [{"role": "user", "content": identity}]
    if scope["path"] == "/chat/openai":
        await stream(send, by_openai(messages))
    elif scope["path"] == "/chat/ollama":
        await stream(send, by_ollama(messages))
    elif scope["path"] == "/whole/openai":
        text = "".join([token async for token in by_openai(messages)])
        await answer(send, b"application/json", json.dumps({"answer": text}).encode())
    else:
        await answer(send, b"application/json", b"{}")
