"""A RAG API: hybrid search over a book of passages, and chat about what was found.

Run it with: uvicorn app:app
"""

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, Field

import settings
from retrieval import Retriever
from stores import Stores

log = logging.getLogger("uvicorn.error")

SYSTEM_PROMPT = "Answer in one short sentence."


class SearchRequest(BaseModel):
    query: str = Field(min_length=1, max_length=1000)
    search_type: Literal["hybrid", "vector"] = "hybrid"
    top_k: int = Field(default=5, ge=1, le=50)


class Hit(BaseModel):
    id: int
    title: str
    text: str
    score: float
    source: str


class SearchResponse(BaseModel):
    query: str
    search_type: str
    graph: bool
    results: list[Hit]
    total_results: int
    took_ms: float


class ChatRequest(BaseModel):
    query: str = Field(min_length=1, max_length=1000)
    session_id: str | None = None


class ChatResponse(BaseModel):
    answer: str
    session_id: str
    turn: int
    cached: bool
    sources: list[int]


class Assistant:
    """The clients of all services, and the chat that is made of them."""

    def __init__(self) -> None:
        self.http = httpx.AsyncClient(
            base_url=settings.OLLAMA_URL,
            timeout=httpx.Timeout(60, connect=5),
            limits=httpx.Limits(max_connections=settings.HTTP_MAX_CONNECTIONS),
        )
        self.stores = Stores()
        self.retriever = Retriever(self.http, self.stores)

    async def close(self) -> None:
        await self.retriever.close()
        await self.stores.close()
        await self.http.aclose()

    async def generate(self, query: str, hits: list[dict]) -> AsyncIterator[str]:
        """Stream the model's answer, token by token."""
        context = " ".join(hits[0]["text"].split()[: settings.CONTEXT_WORDS]) if hits else ""
        body = {
            "model": settings.CHAT_MODEL,
            "messages": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": f"Context: {context}\nQuestion: {query}"},
            ],
            "stream": True,
            "options": {"num_predict": settings.MAX_TOKENS, "temperature": 0},
        }
        async with self.http.stream("POST", "/api/chat", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                chunk = json.loads(line)
                if error := chunk.get("error"):
                    raise RuntimeError(f"the model failed: {error}")
                if content := chunk["message"]["content"]:
                    yield content

    async def chat(self, query: str, session_id: str) -> AsyncIterator[dict]:
        """The events of one chat turn; the last one, "done", carries the whole answer."""
        turn = await self.stores.session_step(session_id, {"role": "user", "content": query})
        yield {"type": "metadata", "data": {"session_id": session_id, "turn": turn}}

        if cached := await self.stores.get_answer(query):
            yield {"type": "phase_event", "data": {"phase": "cache", "status": "hit"}}
            for word in cached["answer"].split(" "):
                yield {"type": "token", "data": {"content": word + " "}}
            yield {"type": "done", "data": {**cached, "cached": True, "turn": turn}}
            return

        yield {"type": "phase_event", "data": {"phase": "retrieval", "status": "in_progress"}}
        hits = await self.retriever.search(query, "hybrid", 3)
        yield {"type": "phase_event", "data": {"phase": "retrieval", "status": "completed", "results": len(hits)}}

        tokens = []
        yield {"type": "phase_event", "data": {"phase": "generation", "status": "in_progress"}}
        async for token in self.generate(query, hits):
            tokens.append(token)
            yield {"type": "token", "data": {"content": token}}

        answer = {"answer": "".join(tokens).strip(), "sources": [h["id"] for h in hits]}
        await self.stores.put_answer(query, answer)
        await self.stores.session_step(session_id, {"role": "assistant", "content": answer["answer"]})
        yield {"type": "done", "data": {**answer, "cached": False, "turn": turn}}


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.assistant = Assistant()
    yield
    await app.state.assistant.close()


app = FastAPI(title="RAG API", version="1.0.0", lifespan=lifespan)
Instrumentator().instrument(app).expose(app, include_in_schema=False)
api = APIRouter(prefix="/api/v1")


def assistant(request: Request) -> Assistant:
    return request.app.state.assistant


TheAssistant = Annotated[Assistant, Depends(assistant)]


async def rate_limit(request: Request, rag: TheAssistant) -> None:
    client = request.client.host if request.client else "unknown"
    if not await rag.stores.within_limit(client):
        raise HTTPException(429, "too many searches, try again in a minute", headers={"Retry-After": "60"})


@app.get("/health")
async def health() -> dict:
    return {"status": "healthy", "graph": bool(settings.NEO4J_URI), "cache": settings.CACHE}


@api.post("/retrieval/search", dependencies=[Depends(rate_limit)])
async def search(body: SearchRequest, request: Request, rag: TheAssistant) -> SearchResponse:
    started = time.perf_counter()
    session_id = request.headers.get("x-session-id") or "anonymous"
    await rag.stores.session_step(session_id, {"role": "search", "content": body.query})
    hits = await rag.retriever.search(body.query, body.search_type, body.top_k)
    return SearchResponse(
        query=body.query,
        search_type=body.search_type,
        graph=rag.retriever.graph is not None and body.search_type == "hybrid",
        results=hits,
        total_results=len(hits),
        took_ms=(time.perf_counter() - started) * 1000,
    )


@api.post("/chat")
async def chat(body: ChatRequest, rag: TheAssistant) -> ChatResponse:
    session_id = body.session_id or uuid.uuid4().hex
    async for event in rag.chat(body.query, session_id):
        if event["type"] == "done":
            return ChatResponse(session_id=session_id, **event["data"])
    raise HTTPException(502, "the model gave no answer")


@api.post("/chat/stream")
async def chat_stream(body: ChatRequest, rag: TheAssistant) -> StreamingResponse:
    session_id = body.session_id or uuid.uuid4().hex

    async def events() -> AsyncIterator[str]:
        try:
            async for event in rag.chat(body.query, session_id):
                if event["type"] != "done":
                    yield f"data: {json.dumps(event)}\n\n"
        except Exception as error:  # the status line is already out: the error has to go into the stream
            log.exception("chat stream failed")
            yield f"data: {json.dumps({'type': 'error', 'data': {'message': str(error)}})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


app.include_router(api)
