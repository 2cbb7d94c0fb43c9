"""Search: embeddings from Ollama, vectors in Qdrant, terms in Neo4j, both rankings fused."""

import asyncio
import re

import httpx
import neo4j
from qdrant_client import AsyncQdrantClient

import settings
from stores import Stores

STOPWORDS = frozenset(
    "about after also because been before being both can cannot could does each example following from have here "
    "into itself like made make many more most need only other over please section should since some such than that "
    "their them then there these they this those through under used using very want well what when where which while "
    "will with within without would your how are the and for you explain tell".split()
)

GRAPH_QUERY = """
MATCH (t:Term)<-[:MENTIONS]-(p:Passage) WHERE t.name IN $terms
WITH p, sum(1.0 / t.passages) AS direct ORDER BY direct DESC LIMIT $limit
OPTIONAL MATCH (p)-[:MENTIONS]->(:Term)-[r:RELATED]-(u:Term) WHERE u.name IN $terms
WITH p, direct, count(r) AS around
RETURN p.id AS id, p.title AS title, p.text AS text, direct + 0.01 * around AS score
ORDER BY score DESC
"""


def terms(text: str) -> list[str]:
    """The words of a text that are worth a node in the graph."""
    words = re.findall(r"[a-z][a-z0-9_+-]{3,}", text.lower())
    return sorted({w for w in words if w not in STOPWORDS})


class Retriever:
    def __init__(self, http: httpx.AsyncClient, stores: Stores) -> None:
        self.http = http
        self.stores = stores
        self.qdrant = AsyncQdrantClient(
            host=settings.QDRANT_HOST,
            port=settings.QDRANT_PORT,
            grpc_port=settings.QDRANT_GRPC_PORT,
            prefer_grpc=True,
        )
        self.graph = None
        if settings.NEO4J_URI:
            self.graph = neo4j.AsyncGraphDatabase.driver(
                settings.NEO4J_URI, max_connection_pool_size=settings.NEO4J_MAX_CONNECTIONS
            )

    async def close(self) -> None:
        await self.qdrant.close()
        if self.graph:
            await self.graph.close()

    async def embed(self, text: str) -> list[float]:
        if (vector := await self.stores.get_embedding(text)) is not None:
            return vector
        response = await self.http.post("/api/embed", json={"model": settings.EMBED_MODEL, "input": text})
        response.raise_for_status()
        vector = response.json()["embeddings"][0]
        await self.stores.put_embedding(text, vector)
        return vector

    async def vector_search(self, query: str, top_k: int) -> list[dict]:
        found = await self.qdrant.query_points(
            settings.COLLECTION, query=await self.embed(query), limit=top_k, with_payload=True
        )
        return [{"id": p.id, "score": p.score, "source": "vector", **(p.payload or {})} for p in found.points]

    async def graph_search(self, query: str, top_k: int) -> list[dict]:
        if not self.graph:
            return []
        records, _, _ = await self.graph.execute_query(
            GRAPH_QUERY, terms=terms(query), limit=top_k, routing_=neo4j.RoutingControl.READ
        )
        return [{**r.data(), "source": "graph"} for r in records]

    async def search(self, query: str, search_type: str, top_k: int) -> list[dict]:
        if search_type == "vector":
            return await self.vector_search(query, top_k)
        rankings = await asyncio.gather(self.vector_search(query, top_k), self.graph_search(query, top_k))
        return fuse(rankings, top_k)


def fuse(rankings: list[list[dict]], top_k: int) -> list[dict]:
    """Reciprocal rank fusion; a passage found by both ways keeps both sources."""
    fused: dict[int, dict] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking):
            entry = fused.setdefault(hit["id"], {**hit, "score": 0.0, "source": []})
            entry["score"] += 1 / (60 + rank)
            entry["source"].append(hit["source"])
    best = sorted(fused.values(), key=lambda h: -h["score"])[:top_k]
    return [{**h, "source": "+".join(h["source"])} for h in best]
