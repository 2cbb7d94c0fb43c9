"""What the API keeps in Redis: cached embeddings and answers, chat sessions, the rate limit."""

import hashlib
import json
import time

import numpy as np
import redis.asyncio as redis

import settings


def _key(kind: str, text: str) -> str:
    return f"{kind}:{hashlib.sha256(text.lower().encode()).hexdigest()[:32]}"


class Stores:
    def __init__(self) -> None:
        pool = redis.BlockingConnectionPool.from_url(
            settings.REDIS_URL, max_connections=settings.REDIS_MAX_CONNECTIONS, timeout=20
        )
        self.redis = redis.Redis(connection_pool=pool)

    async def close(self) -> None:
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    async def get_embedding(self, text: str) -> list[float] | None:
        if not settings.CACHE:
            return None
        raw = await self.redis.get(_key("emb", text))
        return np.frombuffer(raw, dtype=np.float32).tolist() if raw else None

    async def put_embedding(self, text: str, vector: list[float]) -> None:
        if settings.CACHE:
            raw = np.asarray(vector, dtype=np.float32).tobytes()
            await self.redis.set(_key("emb", text), raw, ex=settings.CACHE_TTL_SECONDS)

    async def get_answer(self, query: str) -> dict | None:
        if not settings.CACHE:
            return None
        raw = await self.redis.get(_key("answer", query))
        return json.loads(raw) if raw else None

    async def put_answer(self, query: str, answer: dict) -> None:
        if settings.CACHE:
            await self.redis.set(_key("answer", query), json.dumps(answer), ex=settings.CACHE_TTL_SECONDS)

    async def session_step(self, session_id: str, entry: dict) -> int:
        """Append to the session's history, return its length. Turns of one session may be made to wait."""
        if settings.SESSION_TURN_WAIT_MS > 0:
            await self.redis.blpop([f"session:{session_id}:turn"], timeout=settings.SESSION_TURN_WAIT_MS / 1000)
        key = f"session:{session_id}"
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.rpush(key, json.dumps(entry))
            pipe.ltrim(key, -20, -1)
            pipe.expire(key, settings.SESSION_TTL_SECONDS)
            pipe.llen(key)
            *_, length = await pipe.execute()
        return length

    async def within_limit(self, client: str) -> bool:
        if settings.RATE_LIMIT_PER_MINUTE <= 0:
            return True
        key = f"limit:{client}:{int(time.time() // 60)}"
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, 120)
            count, _ = await pipe.execute()
        return count <= settings.RATE_LIMIT_PER_MINUTE
